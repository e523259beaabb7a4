"""Who is connected to a hub, at whichever of its processes, and what they are asked.

Its rule: what this process knows by itself it says and asks by itself, also while the backplane is
not there; for the rest it asks the backplane. A member is data: who is elsewhere has no connection
here to call.
"""

from __future__ import annotations

from typing import Any

from ...calls.calling import must_pass
from ...errors import CallFailed, ClientGone
from ..backplane.member import Member
from ..dialects.dialect import Said
from .connection import Connection
from .emitter import check_attachments, said_of
from .hub_context import HubContext

__all__ = ["ONE_OF_MANY", "ask", "attach", "everybody"]


ONE_OF_MANY = 16  # digits of a client's id where other processes give ids, too: 60 random bits


def attach(context: HubContext) -> None:
    """Have the hub's other processes ask our clients, and this one told who was lost with one."""
    if context.backplane.is_shared:
        context.registry.id_digits = ONE_OF_MANY

    async def answer(client_id: str, said: Said, timeout: float | None) -> Said:
        return await _answer(context, client_id, said, timeout)

    def lost(member: Member) -> None:
        if "member_lost" in context.handlers.by_event:
            _ = context.loop.start(_tell(context, member))

    context.backplane.attach_members(answer, lost)


async def everybody(context: HubContext, room: str | None) -> list[Member]:
    """Return who is connected, or in a room, at all processes, in the order of coming.

    Raises:
        BackplaneDown: who is elsewhere is not known now.
    """
    if context.backplane.is_shared:
        return await context.backplane.everybody(room)
    return [connection.as_member() for connection in context.registry.of(room)]


async def ask(context: HubContext, said: Said, to: str, timeout: float | None) -> Any:
    """Ask a client, wherever it is, and return its answer.

    Args:
        context: the hub's.
        said: what it is asked.
        to: its id, or its user's.
        timeout: seconds that it has.

    Raises:
        BackplaneDown: whether it is elsewhere is not known now.
        CallFailed, ClientGone, TimeoutError: as of a client's own `call`.
    """
    backplane = context.backplane
    here = _found_here(context, to)
    if here is not None:
        check_attachments(said, here)
        return await here.call(said, timeout)
    if not backplane.is_shared:
        raise ClientGone(
            f"nobody goes by {to!r:.80} here: expected the id of a client that is connected, or "
            "its user_id"
        )
    return context.data_of(await backplane.ask(to, said, timeout))


def _found_here(context: HubContext, to: str) -> Connection | None:
    connection: Connection | None = context.registry.members.get(to)
    backplane = context.backplane
    if connection is None and not (backplane.is_shared and backplane.status.status == "up"):
        for each in context.registry.of(None):  # the last that came, as over all processes
            if each.session_part.user_id == to:
                connection = each
    return connection


async def _answer(context: HubContext, client_id: str, said: Said, timeout: float | None) -> Said:
    connection: Connection | None = context.registry.members.get(client_id)
    if connection is None:
        raise ClientGone(f"{client_id} has left its process")
    try:
        check_attachments(said, connection)
        return said_of("", await connection.call(said, timeout), context.settings.dumps)
    except (TypeError, ValueError) as exc:  # Socket.IO, or a `loads` whose values JSON cannot hold
        raise CallFailed(str(exc), code="bad-packet") from exc


async def _tell(context: HubContext, member: Member) -> None:
    handler = context.handlers.by_event.get("member_lost")
    if handler is None:
        return
    try:
        await context.handlers.run(handler, member)
    except BaseException as exc:
        if must_pass(exc, is_async=handler.is_async):
            raise
        context.failures.record(exc, handler.name, member.id, None)

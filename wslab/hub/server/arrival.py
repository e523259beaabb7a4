"""Whether a client is let in: ``authenticate`` says so, then ``connect``, in that order.

Its rule: who somebody is, is known before anything of theirs is touched. ``disconnect`` of a
session's earlier connection comes before ``connect`` of the next, and that sees whom it has before
it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from ...calls.calling import must_pass
from ...calls.waiting import finite
from ...errors import BackplaneDown, Refused
from ...identity.verdict import Denial
from ..backplane.backplane import Fetched
from .authentication import Identified, identify
from .prepared_message import PreparedMessage
from .replies import cut

__all__ = ["Arriving", "is_let_in"]

# Of the loop, until it is read that a client has gone which came while this process stood still.
TURNS = 5


class Arriving(Identified, Protocol):
    """Who comes: a connection."""

    address: str
    client: Any

    @property
    def was_here(self) -> bool:
        """Whether it was admitted before ``connect`` returned."""

    @property
    def is_gone(self) -> bool:
        """Whether the hub has parted with it."""

    def retire(self) -> None:
        """Make way for the connection that continues the session."""


async def is_let_in(arriving: Arriving) -> bool:
    """Have ``authenticate`` and ``connect`` run; whoever they do not let in is sent away."""
    context = arriving.context
    denial = await identify(arriving)
    if context.backplane.is_shared and not await _is_started(arriving):
        return False
    if denial is None and context.backplane.keeps_sessions:
        if context.backplane.is_shared and (fetched := await _fetched(arriving)):
            if fetched is Fetched.MOVED_ON:
                arriving.retire()  # its client has not waited, and is at another process
                return False
            if fetched is Fetched.UNSURE:
                arriving.session_part.begin_anew()
            else:
                denial = arriving.session_part.deny()
        denial = denial or await _follow(arriving)
    if denial is not None:
        code, word = denial.close_code, denial.word
        told = {"status": denial.status} if denial.data is None else denial.data
        _send_away(arriving, code, word, denial.reason, told, "authenticate")
        return False
    handler = context.handlers.by_event.get("connect")
    if handler is None:
        return True
    data: Any = None
    try:
        if (
            await context.handlers.run(handler, arriving.client, address=arriving.address)
            is not False
        ):
            return True
        reason = "refused"
    except Refused as exc:
        reason, data = str(exc) or "refused", exc.data
    except BaseException as exc:  # SystemExit in one handler must not end the loop
        if must_pass(exc, is_async=handler.is_async):
            raise
        context.failures.record(exc, handler.name, arriving.id, arriving.link.address)
        reason = ""
    code, word = (1008, "refused") if reason else (1011, "failed")
    _send_away(arriving, code, word, reason or "the connect handler failed", data, handler.name)
    return False


def _send_away(arriving: Arriving, code: int, word: str, text: str, data: Any, where: str) -> None:
    if arriving.is_gone:
        return
    arriving.context.complaints[word] += 1
    told = None
    if arriving.was_here:
        arriving.replies.send(arriving.link.dialect.error(word, text))
    else:
        told = _refusal(arriving, word, text, data, where)
    arriving.send_away(code, cut(text), ends_session=True, word=told)


async def _is_started(arriving: Arriving) -> bool:
    """Start the backplane with the first client, where no server has done it before."""
    try:
        await arriving.context.backplane.start()
    except BackplaneDown as exc:
        context = arriving.context
        context.failures.record(exc, "the backplane", arriving.id, arriving.link.address)
        arriving.send_away(1013, "the backplane is down: try again later", ends_session=True)
        return False
    return True


def _refusal(arriving: Arriving, word: str, text: str, data: Any, where: str) -> PreparedMessage:
    dialect = arriving.link.dialect
    try:
        return PreparedMessage(*dialect.refusal(word, text, data))
    except (TypeError, ValueError) as exc:  # JSON cannot hold what the handler has given
        arriving.context.failures.record(exc, where, arriving.id, arriving.link.address)
        return PreparedMessage(*dialect.refusal(word, text))


async def _fetched(arriving: Arriving) -> Fetched | None:
    part = arriving.session_part
    token, offset, _ = part.greeting
    if not token:
        return None
    user_id = part.identity.user_id if part.identity is not None else None
    for _ in range(TURNS):
        await asyncio.sleep(0)
    fetch, link = arriving.context.backplane.fetch_session, arriving.link
    fetched = await fetch(token, offset, arriving.address, user_id, lambda: link.is_open)
    return None if fetched is Fetched.KNOWN else fetched


async def _follow(arriving: Arriving) -> Denial | None:
    context, part = arriving.context, arriving.session_part
    before = None
    while part.greeting.token:
        session = context.backplane.session(part.greeting.token)
        if session is None:
            break
        if (denial := part.denial(session)) is not None:
            return denial
        if not part.greeting.token:
            break
        old = context.holder(session).client
        if old is None or old is before:
            part.expect(session)
            if part.is_resumed and part.greeting.is_whole_or_new:
                arriving.id = session.client_id  # as if it had never been away
            return None
        before = old
        old.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(finite(context.settings.limits.grace_s)):
                await old.say_goodbye()
    return None

"""Who a hub's client is: the ``authenticate`` handler says so, before the 101 or ``connect``.

Its rule: nobody is let in by a handler that fails, takes too long, or says nothing; and a session,
like a connection, goes on only for whom it was begun. What a token is worth is the handler's to
say, where it stands in a request `identity/credentials` knows.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Protocol

from websockets.datastructures import Headers

from ...calls.calling import must_pass
from ...calls.waiting import finite
from ...identity.credentials import BadCredentials, Credentials, brings_later, token_in
from ...identity.identity import Identity
from ...identity.verdict import Denial, denial_of, judged
from ...wire.http.message import HttpRequest
from ..dialects.plain_json import PLAIN_JSON
from ..protocol.addresses import counted_as
from ..protocol.packets import AUTHENTICATE, Packet
from .handlers import Handler
from .hub_context import HubContext
from .packet_reader import PacketReader
from .replies import Speaker

__all__ = ["Identified", "authenticated", "handler_of", "identify", "renew"]


class Identified(Speaker, Protocol):
    """Who is somebody: a connection."""

    address: str
    reader: PacketReader
    expires_at: float | None


def handler_of(context: HubContext) -> Handler | None:
    """Return what a hub asks who somebody is; a namespace asks the first hub's, if it has none."""
    handler = context.handlers.by_event.get(AUTHENTICATE)
    if handler is None and context.root is not None:
        return context.root.handlers.by_event.get(AUTHENTICATE)
    return handler


async def authenticated(
    context: HubContext, request: HttpRequest, *, trusts_page: bool
) -> Identity | Denial | None:
    """Return who comes with a handshake; None where the hub does not ask, or not yet.

    Args:
        context: the hub's.
        request: the handshake, of a plain client.
        trusts_page: whether the page's Origin is one that the server was told to let in.
    """
    handler = handler_of(context)
    if handler is None:
        return None
    path, headers = PLAIN_JSON.shown_path(request.target), Headers(request.headers)

    def find() -> Credentials | None:
        if brings_later(path):
            return None
        return Credentials.of(path, headers, request.address, trusts_page=trusts_page)

    counts_as = counted_as(request.address, headers, context.settings.limits.proxies)
    return await _asked(context, handler, find, request.address, counts_as)


async def identify(arriving: Identified) -> Denial | None:
    """Find out who comes, unless that is known already; return why it is not let in, or None."""
    context, link = arriving.context, arriving.link
    identity: Any = getattr(link.connection, "identity", None)  # a server has asked already
    if not isinstance(identity, Identity):
        handler = handler_of(context)
        if handler is None:
            return None
        try:
            packet = link.auth
            if not link.dialect.introduces and brings_later(link.path):
                packet = await _first_packet(arriving)
        except (BadCredentials, TimeoutError) as exc:
            return Denial(401, str(exc))
        find = functools.partial(_found, arriving, packet)
        verdict = await _asked(context, handler, find, link.address, arriving.address)
        if isinstance(verdict, Denial):
            return verdict
        identity = verdict
    _take(arriving, identity)
    return None


async def renew(speaker: Identified, packet: Packet) -> None:
    """Take new credentials of a client that is here, and tell it until when they hold."""
    context, replies = speaker.context, speaker.replies
    handler = handler_of(context)
    if handler is None:
        replies.complain("unknown-event", "nobody authenticates here: no token is needed", packet)
        return
    if token_in(packet.data) is None:
        text = 'expected {"token": "..."} as the data of this event, got no token'
        replies.complain("unauthorized", text, packet)
        return
    find = functools.partial(_found, speaker, packet.data)
    verdict = await _asked(context, handler, find, speaker.link.address, speaker.address)
    before = speaker.session_part.identity
    if isinstance(verdict, Identity) and (before is None or before.user_id != verdict.user_id):
        who = "nobody who is known" if before is None else repr(before.user_id)
        text = f"this connection is that of {who}: somebody else needs one of their own"
        verdict = Denial(403, text)
    if isinstance(verdict, Denial):
        replies.complain(verdict.word, verdict.reason, packet)
        return
    assert verdict is not None
    _take(speaker, verdict)
    if packet.id is not None:
        replies.answer(packet, {"user_id": verdict.user_id, "expires_at": verdict.expires_at})


def _found(speaker: Identified, packet: Any) -> Credentials:
    link = speaker.link
    path = link.dialect.shown_path(link.path)
    shown = link.dialect.shown_auth(packet)
    return Credentials.of(path, link.headers, link.address, packet=shown)


def _take(speaker: Identified, identity: Identity) -> None:
    speaker.session_part.identity = identity
    speaker.expires_at = identity.expires_at


async def _first_packet(arriving: Identified) -> Any:
    """Return the data of the packet that was announced.

    Raises:
        TimeoutError, BadCredentials: what was expected, and what came.
    """
    wait_s = arriving.context.settings.limits.authenticate_s
    expected = 'expected {"event": "authenticate", "data": {"token": "..."}} as the first packet'
    try:
        async with asyncio.timeout(finite(wait_s)):
            item = await arriving.reader.next()
    except TimeoutError:
        arriving.context.limited["authenticate_s"] += 1
        raise TimeoutError(f"{expected} within {wait_s:g} s, got none") from None
    if not isinstance(item, Packet) or item.event != AUTHENTICATE:
        raise BadCredentials(f"{expected}, since the URL says ?auth=packet, got something else")
    return item.data


async def _asked(
    context: HubContext,
    handler: Handler,
    find: Callable[[], Credentials | None],
    address: tuple[str, int] | None,
    counts_as: str,
) -> Identity | Denial | None:
    """Ask the handler; None where the credentials are still to come."""
    wait_s = context.settings.limits.authenticate_s
    bound = asyncio.timeout(finite(wait_s))
    try:
        credentials = find()
        if credentials is None:
            return None
        async with bound, context.authenticating.turn(counts_as, _most(context, handler)):
            run = functools.partial(context.handlers.run, handler, address=counts_as)
            return await judged(run, credentials)
    except BadCredentials as exc:
        return denial_of(exc, None)
    except BaseException as exc:  # SystemExit in one handler must not end the loop
        if must_pass(exc, is_async=handler.is_async):
            raise
        context.failures.record(exc, handler.name, "", address)
        if bound.expired():
            context.limited["authenticate_s"] += 1
            return Denial(503, "who you are could not be found out in time: try again later")
        return Denial(500, "the authenticate handler failed")


def _most(context: HubContext, handler: Handler) -> int:
    """Return how many may be judged at once: whoever is let in already has the other half."""
    limits = context.settings.limits
    return max((limits.handlers if handler.is_async else limits.threads) // 2, 1)

"""What is done with what comes from one client: each packet once, in order, by its handler.

Its rule: whatever a handler lets through ends neither the connection nor the loop; its sender is
told. Reading is `packet_reader`'s affair, how a handler runs is `handlers`'.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any, Protocol

from ...calls.calling import must_pass
from ...errors import BadPacket, Refused, is_cancelled
from ...failures import kind_of, said_by
from ..backplane.backplane import Session
from ..dialects.dialect import Item
from ..protocol import packets
from ..protocol.arguments import arguments_for
from ..protocol.packets import Packet
from ..protocol.server_session import Deliver, OutOfOrder, RepeatAnswer
from .authentication import Identified, renew
from .handlers import Handler
from .message_ids import saying_once

__all__ = ["Listener", "PacketHandler"]


class Listener(Identified, Protocol):
    """Whose packets they are: a connection."""

    client: Any  # whom handlers are called with

    @property
    def is_over(self) -> bool:
        """Whether nothing more of it may be handled."""


class PacketHandler:
    """One connection's; on the hub's loop only.

    Args:
        listener: the connection.
    """

    __slots__ = ("_context", "_listener", "_tokens", "_tokens_s", "_too_fast", "_too_fast_s")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._context = listener.context
        self._tokens = max(self._context.settings.limits.rate or 0.0, 1.0)
        self._tokens_s = time.monotonic()
        self._too_fast_s = 0.0
        self._too_fast = 0  # not told yet

    async def take(self, item: Item) -> None:
        """Do what is to be done with one item, and wait until its handler has ended."""
        if type(item) is Packet:
            part = self._listener.session_part
            if item.n is not None and part.session is not None and part.holder is not None:
                await self._take_once(item, part.session, part.holder.turn)
            elif item.event is not None and self._may_take(item):
                await self._handle(item)
                if item.id is None:  # else its answer has done so
                    self._record()
        elif isinstance(item, BadPacket):
            code = "too-large" if str(item).startswith("too large") else item.code
            asking = Packet(id=item.id) if item.id is not None else None
            if self._may_take(asking):
                self._listener.replies.complain(code, str(item), asking)
        elif self._may_take(None):
            await self._handle_raw(item)  # type: ignore[arg-type]
            self._record()
        if self._listener.send_queue.is_full_of_answers:
            self._listener.reader.read_ahead()
            await self._listener.send_queue.room()

    def _record(self) -> None:
        """Have it written down what a handler has done to its client's session."""
        session = self._listener.session_part.session
        if session is not None and session.recorded is not None:
            self._context.backplane.record(session)

    async def _take_once(self, packet: Packet, session: Session, turn: asyncio.Lock) -> None:
        # In order and once, although after a reconnection two connections may bring the same.
        if turn.locked():
            self._listener.reader.read_ahead()
        async with turn:
            if self._listener.is_over:
                return  # its successor brings it again
            step = session.receive(packet)
            if type(step) is Deliver:
                if session.recorded is not None:
                    await self._take_recorded(packet, session, step)
                    return
                self._listener.replies.acknowledge_soon(step.acknowledge_now)
                if packet.event is not None and self._may_take(packet):
                    await self._handle(packet)
            elif isinstance(step, OutOfOrder):
                self._listener.replies.complain("bad-packet", step.reason, packet)
            elif isinstance(step, RepeatAnswer):
                self._listener.replies.answer_again(packet, step.answer)

    async def _take_recorded(self, packet: Packet, session: Session, step: Deliver) -> None:
        # Where this process ends in the middle of a handler, the packet comes again, to another
        # one: so it is acknowledged when its handler has ended, and says nothing twice.
        replies = self._listener.replies
        if step.unknown:
            replies.complain(
                "gap",
                f"{step.unknown} packets before this one came to another process, which ended "
                "before it had written down what it did with them",
            )
        if packet.event is not None and self._may_take(packet):
            with saying_once(session.token, packet):
                await self._handle(packet)
        session.has_handled(packet)
        replies.acknowledge_soon(step.acknowledge_now)

    def _may_take(self, packet: Packet | None) -> bool:
        """Take a token out of the bucket; tell a client that is too fast, once a second."""
        rate = self._context.settings.limits.rate
        if rate is None:
            return True
        now_s = time.monotonic()
        self._tokens = min(max(rate, 1.0), self._tokens + (now_s - self._tokens_s) * rate)
        self._tokens_s = now_s
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return True
        if now_s - self._too_fast_s >= 1.0 or (packet is not None and packet.id is not None):
            more, self._too_fast = self._too_fast, 0
            self._too_fast_s = now_s
            self._listener.replies.complain(
                "too-fast",
                f"expected at most {rate:g} messages a second, got more; this one was not taken"
                + (f", nor were {more} before it" if more else ""),
                packet,
            )
        else:
            self._too_fast += 1
            self._context.complaints["too-fast"] += 1
        return False

    async def _handle(self, packet: Packet) -> None:
        event = packet.event
        assert event is not None
        if packet.flaw:
            self._listener.replies.complain("too-large", packet.flaw, packet)
            return
        if event == packets.AUTHENTICATE:
            await renew(self._listener, packet)
            return
        handlers = self._context.handlers
        handler = handlers.by_event.get(event)
        args: tuple[Any, ...] = ()
        if handler is None:
            handler, args = handlers.by_event.get("*"), (event,)
        if handler is None or event in packets.RESERVED:
            self._listener.replies.complain("unknown-event", self._why_nobody(event), packet)
            return
        try:
            data = packets.take_binary(packet, self._context.settings.loads)
        except BadPacket as exc:
            self._listener.replies.complain("bad-packet", str(exc), packet)
            return
        except BaseException as exc:  # of loads: it is the sender's data that it could not read
            if must_pass(exc, is_async=True):
                raise
            shown = self._context.settings.show_errors
            why = "the data could not be read" + f": {kind_of(exc)}: {said_by(exc)}" * shown
            self._listener.replies.complain("bad-packet", why, packet)
            return
        args += arguments_for(data, handler.least - len(args))
        if not handler.least <= len(args) <= handler.most:
            self._listener.replies.complain("bad-packet", _miscounted(handler, args), packet)
            return
        self._listener.reader.read_ahead()
        listener = self._listener
        answer = None
        if packet.id is not None:
            answer = functools.partial(listener.replies.answer, packet)
        try:
            await handlers.run(
                handler, listener.client, *args, address=listener.address, then=answer
            )
        except BaseException as exc:
            if is_cancelled(exc) and packet.id is not None:  # it may come back and ask again
                self._listener.replies.complain("failed", "its handler was cancelled", packet)
            self._caught(exc, handler, packet)

    def _why_nobody(self, event: str) -> str:
        if event in packets.RESERVED:
            return (
                f"expected an event of your own, got {event!r}, which means something else here"
                + ("; a message that is no packet goes to its handler" * (event == "message"))
            )
        own = packets.RESERVED | {packets.AUTHENTICATE}
        known = sorted(self._context.handlers.by_event.keys() - own)
        names = ", ".join(map(repr, known[:8])) if self._context.settings.show_errors else ""
        return f"nobody handles {event!r:.60} here" + (f"; there are {names}" if names else "")

    async def _handle_raw(self, message: str | bytes) -> None:
        handler = self._context.handlers.by_event.get("message")
        if handler is None:
            self._listener.replies.complain(
                "bad-packet",
                f"nobody handles raw messages here, and this {type(message).__name__} of "
                f"{len(message)} is no packet",
            )
            return
        await self.run(handler, message)

    async def run(self, handler: Handler, *args: Any) -> None:
        """Run a handler that gives no answer."""
        self._listener.reader.read_ahead()
        try:
            listener = self._listener
            run = self._context.handlers.run
            await run(handler, listener.client, *args, address=listener.address)
        except BaseException as exc:
            self._caught(exc, handler)

    def _caught(self, exc: BaseException, handler: Handler, packet: Packet | None = None) -> None:
        """Take what a handler let through; SystemExit, too, must not end the loop."""
        if must_pass(exc, is_async=handler.is_async):
            raise exc
        if isinstance(exc, Refused):
            self._listener.replies.complain("refused", str(exc), packet)
        elif not isinstance(exc, self._listener.link.closed_error) or self._listener.link.is_open:
            # A closed_error while this one is open: another client's.
            self._listener.replies.failed(exc, handler.name, packet)


def _miscounted(handler: Handler, args: tuple[Any, ...]) -> str:
    least, most = handler.least, handler.most
    expected = f"{least}" + ("" if most == least else " or more" if most > 99 else f" to {most}")
    arguments = "argument" if least == most == 1 else "arguments"
    return (
        f"expected {expected} {arguments} for this event, got {len(args)}; a handler "
        "(client, *args) takes any number"
    )

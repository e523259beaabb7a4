"""One Engine.IO 4 session, from its open packet to its end, over polling or a WebSocket.

Its rule: messages keep their order, also from one transport to the other, and what does not keep to
the protocol ends it. Its states stand in `life`; HTTP is `polling`'s, going over to a WebSocket is
`upgrade`'s, who may come is the server's. What a message means is for whoever takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, Protocol

from ...wire import engineio
from ...wire.engineio import Packet, PacketType
from ...wire.violation import ProtocolViolation
from ..protocol.closed import Closed
from .heartbeat import Heartbeat
from .inbox import Inbox
from .life import FROM_CLIENT, EngineEvent, EngineState, next_state
from .link import Link, Message
from .outbox import Outbox
from .requests import PYTHON_PACKETS, is_of_python
from .settings import SocketIO

__all__ = ["Controls", "EngineSession", "Keeper", "SessionClosed"]

CLOSE_GRACE_S = 5.0  # for a client to answer the close frame before it is cut off
MESSAGE = str(int(PacketType.MESSAGE))
RESTART = 1012
NO_STATUS = 1005  # a close packet has no code (RFC 6455 §7.4.1 says so of a frame without one)
MAX_REASON = 123  # bytes of a close frame's reason (RFC 6455 §5.5)


class SessionClosed(Exception):
    """What receiving raises once a session has ended."""


class Controls(NamedTuple):
    """The packets that are the same for all sessions, as messages."""

    close: Message
    ping: Message
    noop: Message
    probed: Message


class Keeper(Protocol):
    """Who keeps the sessions: a server.

    Attributes:
        settings: what all of them are told.
        controls: the packets that are the same for all.
    """

    settings: SocketIO
    controls: Controls

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside whatever runs, and see to its end."""

    def ended(self, session: EngineSession) -> None:
        """Forget a session."""


class EngineSession:
    """One session; on its loop only.

    Its public members are more than fifteen: half is what a link offers to a hub, and half is what
    its transports do with it.

    Args:
        keeper: its server.
        id: its secret name.
        limit_bytes: of what waits for a poll, and of what has come and nobody has taken.
        path: what was asked for first, with its query.
        headers: of that request.
        address: host and port of the other end.
        link: the WebSocket that it began on; None where it began by polling.
        connection: what is behind it, for handlers.

    Attributes:
        closed_error: what receiving raises once it has ended.
    """

    __slots__ = (
        "__weakref__", "_closed", "_closing", "_flush", "_heartbeat", "_is_lost", "_is_reading",
        "_keeper", "_lost", "_ping_waits", "_state", "_told", "address", "connection", "headers",
        "id", "inbox", "link", "outbox", "path",
    )  # fmt: skip

    closed_error: type[Exception] = SessionClosed

    def __init__(
        self,
        keeper: Keeper,
        id: str,
        limit_bytes: int,
        *,
        path: str,
        headers: Mapping[str, str],
        address: tuple[str, int] | None,
        link: Link | None = None,
        connection: Any = None,
    ) -> None:
        settings = keeper.settings
        self.id, self.path, self.headers, self.address = id, path, headers, address
        self.connection = connection
        self._keeper = keeper
        self._state = EngineState.POLLING if link is None else EngineState.WEBSOCKET
        self.link = link
        # Where it begins on a WebSocket, whoever receives reads that itself.
        self.inbox = Inbox(limit_bytes) if link is None else None
        self.outbox = Outbox(limit_bytes)
        self._told: Callable[[], object] | None = None  # somebody waits for the outbox: a poll
        self._lost: list[Callable[[], object]] = []
        self._closed: Closed | None = None
        self._closing: asyncio.Task[None] | None = None
        self._flush: asyncio.Task[None] | None = None
        self._is_reading = self._ping_waits = self._is_lost = False
        self._heartbeat = Heartbeat(self, settings.ping_interval_s, settings.ping_timeout_s)
        if link is not None:
            link.when_lost(self.link_lost)

    # What it is.

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""
        return self._state

    @property
    def transport(self) -> str:
        """What its messages go by: "polling" or "websocket"."""
        return "polling" if self.link is None else "websocket"

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        if self._state is EngineState.WEBSOCKET:
            assert self.link is not None
            return self.link.is_open
        return self._state is EngineState.POLLING or self._state is EngineState.UPGRADING

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        if self._state is EngineState.WEBSOCKET:
            assert self.link is not None
            return self.link.is_closing
        return self._state is EngineState.CLOSING or self._state is EngineState.CLOSED

    @property
    def is_writable(self) -> bool:
        """Whether it is open and takes a message now."""
        if self._state is EngineState.WEBSOCKET:
            assert self.link is not None
            return self._flush is None and self.link.is_writable
        return self.is_open and not self.outbox.is_full

    @property
    def closed(self) -> Closed | None:
        """How it was closed; None while it is open, and where it broke off."""
        return self._closed

    @property
    def said_goodbye(self) -> bool:
        """Whether the client has closed its WebSocket with 1000.

        A close packet says no such thing: stock clients send one also before they come back.
        """
        return self.link is not None and self.link.said_goodbye

    # Messages.

    async def receive(self) -> str | bytes:
        """Return the next message, without the packet's digit.

        What a client has sent before it closed still comes.

        Raises:
            SessionClosed: it has ended.
        """
        if self.inbox is None:
            return await self._receive_on_link()
        message = await self.inbox.get()
        if message is None:
            raise SessionClosed(self._why)
        return message

    async def _receive_on_link(self) -> str | bytes:
        link = self.link
        assert link is not None
        while True:
            self._is_reading = True
            try:
                came = await link.receive()
            except link.closed_error:
                self.link_lost()
                raise SessionClosed(self._why) from None
            finally:
                self._is_reading = False
            if self._state is EngineState.WEBSOCKET:
                payload = self.take_frame(came)
                if payload is not None:
                    return payload
            elif self._is_lost and (not isinstance(came, str) or came[:1] == MESSAGE):
                return came[1:] if isinstance(came, str) else came
            # Else it was on its way when this side ended it: the link's end comes next.

    def take_frame(self, came: str | bytes) -> str | bytes | None:
        """Take what a WebSocket has brought, and return it where it is a message."""
        try:
            if len(came) > (most := self._keeper.settings.max_payload):
                raise ProtocolViolation(
                    "too-large", f"at most {most:,} bytes in a message", f"{len(came):,}"
                )
            if not isinstance(came, str) or came[:1] == MESSAGE:  # nearly all are, so at once
                self._heartbeat.heard()
                return came[1:] if isinstance(came, str) else came
            return self.take(engineio.decode_text(came))
        except ProtocolViolation as violation:
            self.break_off(violation)
            return None

    def take(self, packet: Packet) -> str | bytes | None:
        """Take a packet of the client's, and return its data where it is a message.

        Raises:
            ProtocolViolation: unexpected-packet.
        """
        if packet.type not in FROM_CLIENT[self._state]:
            raise ProtocolViolation(
                "unexpected-packet", "a message, a pong or a close from a client", packet.type.name
            )
        if packet.type is PacketType.PONG:
            if not self._ping_waits:
                self._heartbeat.pong()
            return None
        if packet.type is PacketType.CLOSE:
            self.end(Closed(NO_STATUS, "", True), self._keeper.controls.noop)
            return None
        self._heartbeat.heard()
        return packet.data

    def write(self, message: Message, dialect: Any) -> bool:
        """Hand a message over if it is writable, and return whether it was; never waits.

        Args:
            message: its texts are whole packets: they begin with Engine.IO's ``4``.
            dialect: that it is to be in.
        """
        link = self.link
        if link is None or self._state is not EngineState.WEBSOCKET:
            if not self.is_writable:
                return False
            self.put(message, dialect)
            return True
        if self._flush is not None:  # what was said before goes first
            return False
        if link.dialect is not dialect:
            link.speak(dialect)
        return link.write(message)

    def put(self, message: Message, dialect: Any = None) -> None:
        """Send a message, or let it wait, however much does: for packets of the session's own."""
        link = self.link
        if link is not None and not self.outbox and link.write(message):
            return
        self.outbox.put(message, dialect)
        if link is not None:
            self.flush()
        elif self._told is not None:
            self._told()

    def flush(self) -> None:
        """See to it that what waits goes out on the WebSocket."""
        if self.outbox and self._flush is None:
            self._flush = self._keeper.start(self._flushed())

    async def _flushed(self) -> None:
        link = self.link
        assert link is not None
        try:
            while self.outbox and not link.is_closing:
                message, dialect = self.outbox.first()
                link.speak(dialect)
                if link.write(message):
                    self.outbox.pop()
                else:
                    await link.drain()
                    await asyncio.sleep(0)
        finally:
            self._flush = None
            self.outbox.clear()
            self._ping_waits = False
        if self._state is EngineState.CLOSING and self._closed is not None:
            self.end(self._closed)  # it went over while a close packet waited for a poll

    async def drain(self) -> None:
        """Wait until it may be writable again, or has ended."""
        if self._flush is not None:
            await asyncio.wait([self._flush])
        elif self.link is not None:
            await self.link.drain()
        else:
            await self.outbox.room()

    def when_filled(self, tell: Callable[[], object] | None) -> None:
        """Have somebody told when something waits for a poll; None to stop that."""
        self._told = tell

    def taken(self) -> bytes:
        """Return what waits, as a polling body."""
        most = PYTHON_PACKETS if is_of_python(self.path) else math.inf
        body = self.outbox.take_body(most)
        self._ping_waits = self._ping_waits and bool(self.outbox)
        if self._state is EngineState.CLOSING and not self.outbox:
            self.end(self._closed)
        return body

    # Heartbeats.

    @property
    def is_listened_to(self) -> bool:
        """Whether what the client says is read now."""
        return self._is_reading if self.inbox is None else not self.inbox.is_full

    def ping(self) -> None:
        """Send a ping."""
        self.put(self._keeper.controls.ping)
        self._ping_waits = bool(self.outbox)

    def expire(self) -> None:
        """End: no pong has come in time."""
        timeout_s = self._keeper.settings.ping_timeout_s
        self.end(Closed(1011, f"no pong within {timeout_s:g} s", False))
        self._closed = None  # as TCP would have it: it broke off

    # Going over, and going.

    def move(self, event: EngineEvent) -> None:
        """Let an event lead to another state."""
        self._state = next_state(self._state, event)

    def go_over(self, link: Link) -> None:
        """Let what comes next go out on a WebSocket."""
        self.move(EngineEvent.UPGRADE)
        self.link = link
        if self._told is not None:  # no poll stays behind
            self._told()
        self.flush()

    async def close(self, reason: str = "", code: int = 1000) -> None:
        """Close it, and wait until the client has been told, for as long as it takes.

        Over polling that is a close packet, in the answer to the next poll. For a restart there is
        none: the session is unknown after that answer, since python-socketio's client takes a close
        packet for an end on purpose, and does not come back.
        """
        if self._state is EngineState.CLOSED:
            return
        if self._state is not EngineState.CLOSING:
            self.move(EngineEvent.CLOSE)
        closed = Closed(code, _cut(reason), False)
        if self.link is not None:
            if self._flush is not None:
                await asyncio.wait([self._flush])
            with contextlib.suppress(self.link.closed_error):
                await self.link.close(closed.code, closed.reason)
            self.end(self.link.closed or closed)
            return
        if self._closed is None:
            self._closed = closed
            controls = self._keeper.controls
            self.put(controls.noop if code == RESTART else controls.close)
        gone = asyncio.get_running_loop().create_future()
        self.when_lost(lambda: None if gone.done() else gone.set_result(None))
        await gone

    def abort(self) -> None:
        """Cut it off without a word."""
        if self.link is not None:
            self.link.abort()
        self.end(None)
        if self.inbox is not None:
            self.inbox.clear()

    def break_off(self, violation: ProtocolViolation) -> None:
        """End it because the client broke a rule."""
        code = 1009 if violation.rule == "too-large" else 1002
        self.end(Closed(code, _cut(str(violation)), False))

    def link_lost(self) -> None:
        """End it because its WebSocket has."""
        if self.link is not None:
            self._is_lost = self._is_lost or self._state is EngineState.WEBSOCKET
            self.end(self.link.closed)

    def end(self, closed: Closed | None, farewell: Message | None = None) -> None:
        """Let it be over; idempotent.

        Args:
            closed: how; None where it broke off.
            farewell: the answer to a poll that is held; a close packet by default.
        """
        if self._state is EngineState.CLOSED:
            return
        self.move(EngineEvent.END)
        self._closed = closed
        self._heartbeat.stop()
        self.outbox.clear()
        if self._flush is not None:
            self._flush.cancel()
        if self.inbox is not None:
            self.inbox.close()
        link = self.link
        if link is None:
            self.put(farewell or self._keeper.controls.close)
        elif link.is_open and closed is not None:
            self._closing = self._keeper.start(_close(link, closed))
        elif link.is_open:
            link.abort()
        self._keeper.ended(self)
        loop = asyncio.get_running_loop()
        for tell in self._lost:
            loop.call_soon(tell)
        self._lost.clear()

    async def link_closed(self) -> None:
        """Wait until its WebSocket is closed, where that is under way."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Have somebody told when it has ended, in a later turn of the loop."""
        if self._state is EngineState.CLOSED:
            asyncio.get_running_loop().call_soon(tell)
        else:
            self._lost.append(tell)

    @property
    def _why(self) -> str:
        closed = self._closed
        if closed is None:
            return "expected a session that is open, got one that broke off"
        who = "the client" if closed.is_by_client else "this side"
        return f"expected a session that is open, got one closed by {who}" + (
            f": {closed.reason}" if closed.reason else ""
        )

    def __repr__(self) -> str:
        return f"<EngineSession {self.transport}, {self._state.value}>"  # its id is a secret


async def _close(link: Link, closed: Closed) -> None:
    with contextlib.suppress(TimeoutError, link.closed_error):
        async with asyncio.timeout(CLOSE_GRACE_S):
            await link.close(closed.code if closed.code != NO_STATUS else 1000, closed.reason)
            return
    link.abort()


def _cut(reason: str) -> str:
    return reason.encode()[:MAX_REASON].decode(errors="ignore")

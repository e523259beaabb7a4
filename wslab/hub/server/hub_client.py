"""One client of a hub: who it is, what it says, what is said to it.

Its rule: one task a client, the one that websockets runs the handler in; it takes the client's
messages in order, one at a time. A second one exists only while somebody waits for the client's
answer and that first one is busy in a handler. A client is admitted (listed, told "welcome") when
its ``connect`` handler has returned, or at the first join, emit or call in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from websockets.frames import EXTERNAL_CLOSE_CODES

from ...calling import must_pass
from ...errors import BadPacket, ClientGone, Refused, is_cancelled
from ...failures import kind_of, said_by
from ...waiting import finite
from ..protocol import packets
from ..protocol.room_log import Owner
from ..protocol.server_session import (
    ACKNOWLEDGE_S,
    Deliver,
    OutOfOrder,
    RepeatAnswer,
    Resumption,
    ServerSession,
)
from ..protocol.sessions import Sessions
from .delivery import Delivery
from .holder import Holder
from .link import Link
from .packet_reader import Item, PacketReader
from .prepared_message import Frames, PreparedMessage
from .registry import check_room
from .send_queue import SendQueue

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["HubClient"]

CLOSE_GRACE_S = 5.0  # for a client to answer the close frame before it is cut off
TAKEN_OVER = 4409  # close code: the session goes on in another connection
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")


class HubClient:
    """One connection, as the hub's handlers see it; made by the hub.

    Attributes:
        websocket: the websockets connection itself, for the hub's loop only. What is sent on it
            directly may overtake what waits in the backlog.
        data: a dict of your own; it outlives the connection where the hub keeps sessions.
        since: when it connected, in seconds since the epoch.
        is_resumed: whether it continues an earlier connection's session.
    """

    __slots__ = (
        "__weakref__",
        "_acknowledging",
        "_address",
        "_began_s",
        "_closing",
        "_gap",
        "_goodbye",
        "_grace",
        "_holder",
        "_hub",
        "_is_admitted",
        "_is_cut",
        "_is_gone",
        "_is_retired",
        "_is_taking",
        "_is_welcome",
        "_leaving",
        "_left_s",
        "_link",
        "_name",
        "_offset_asked",
        "_reader",
        "_rooms",
        "_rooms_at_end",
        "_rooms_before",
        "_send_queue",
        "_session",
        "_task",
        "_token_asked",
        "_tokens",
        "_tokens_s",
        "_too_fast",
        "_too_fast_s",
        "_user_before",
        "data",
        "id",
        "is_resumed",
        "since",
    )

    def __init__(self, hub: Hub, link: Link, address: str) -> None:
        self._link = link
        self._address = address
        self.id = hub._registry.id_for(link.id.hex)
        self.data: dict[Any, Any] = {}
        self.since = time.time()
        self.is_resumed = False
        self._hub = hub
        self._began_s = time.monotonic()
        self._name: str | None = None
        self._rooms: set[str] = set()  # kept by Registry, under its lock
        self._rooms_before: frozenset[str] = frozenset()  # of the session that it continues
        self._user_before = ""
        self._rooms_at_end: frozenset[str] | None = None
        self._is_welcome = self._is_admitted = self._is_retired = False
        self._is_taking = self._is_gone = self._is_cut = False
        self._grace: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.Task[None] | None = None
        self._leaving: str | None = None
        self._left_s = 0.0
        self._closing: asyncio.Task[None] | None = None
        self._session: ServerSession[Frames] | None = None
        self._holder: Holder[HubClient] | None = None
        self._gap: str | None = None
        self._token_asked, self._offset_asked = asked(link.path)
        self._send_queue = SendQueue(
            link,
            self.id,
            policy=hub.slow,
            limit=hub.limits.backlog,
            limit_bytes=hub.limits.backlog_bytes,
            overflow=self._overflowed,
            tell_dropped=self._tell_dropped,
        )
        self._reader = PacketReader(link, hub, self._send_queue, self._complain)
        self._task: asyncio.Task[Any] | None = None
        self._acknowledging: asyncio.TimerHandle | None = None
        self._tokens = max(hub.limits.rate or 0.0, 1.0)
        self._tokens_s = self._began_s
        self._too_fast_s = 0.0
        self._too_fast = 0  # not told yet

    # Who it is.

    @property
    def websocket(self) -> Any:
        return self._link.connection

    @property
    def full_id(self) -> str:
        """The connection's id in full (a random UUID); ``id`` is its beginning."""
        return str(self._link.id)

    @property
    def user_id(self) -> str:
        """Who it is, for everybody to see: the same after it came back, as its session is.

        Unlike ``session`` it is no secret. Where the hub keeps no history, it is ``id``.
        """
        if self._session is not None:
            return self._session.user_id
        if self._hub._sessions is None:
            return self.id
        return self._user_before or self._link.id.hex[-12:]

    @property
    def may_return(self) -> bool:
        """Whether its session is kept, so that it may come back, or has done so already."""
        return self._session is not None and not self._session.is_gone

    @property
    def name(self) -> str | None:
        """What your handlers call it; None until one sets it."""
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"expected a name as a str, or None, got {type(name).__name__}")
        self._name = name
        if self._session is not None:
            self._session.name = name

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in; once it is gone, those that it was in at the end."""
        return self._hub._registry.rooms_of(self) if self._is_admitted else self._rooms_before

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the other end of the TCP connection."""
        return self._link.address

    @property
    def path(self) -> str:
        """The path that was asked for, with its query; what names a session in it is left out."""
        path, mark, query = self._link.path.partition("?")
        if mark and "session=" in query:
            ours = ("session=", "offset=")
            query = "&".join(part for part in query.split("&") if not part.startswith(ours))
        return f"{path}?{query}" if query else path

    @property
    def query(self) -> dict[str, str]:
        """The query of that path, such as {"name": "bob"} of ``/chat?name=bob``."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def session(self) -> str:
        """The token by which it can come back; "" where the hub keeps no history."""
        return self._session.token if self._session is not None else ""

    @property
    def _owner(self) -> Owner:
        return self._address, self.session or self.id

    @property
    def is_open(self) -> bool:
        """Whether its connection is open and the hub has not parted with it."""
        return not self._is_gone and self._link.is_open

    @property
    def open_s(self) -> float:
        """How long it has been connected, in seconds."""
        return time.monotonic() - self._began_s

    @property
    def received(self) -> int:
        """Messages that came from it."""
        return self._reader.received

    @property
    def sent(self) -> int:
        """Messages that were handed to TCP for it."""
        return self._send_queue.sent

    @property
    def queued(self) -> int:
        """Messages that wait in its backlog."""
        return len(self._send_queue)

    @property
    def dropped(self) -> int:
        """Messages that its full backlog has lost."""
        return self._send_queue.dropped

    def __repr__(self) -> str:
        name = f" {self._name!r:.60}" if self._name is not None else ""
        rooms = ", ".join(sorted(self.rooms)) or "no room"
        slow = f", {self.queued} queued" if self.queued else ""
        slow += f", {self.dropped} dropped" if self.dropped else ""
        gone = ", gone" if self._is_gone else ""
        return f"<HubClient {self.id}{name}, in {rooms}{slow}{gone}>"

    def __str__(self) -> str:
        return self._name if self._name is not None else self.id

    # What handlers do with it.

    def join(self, room: str, *rooms: str) -> bool:
        """Put it into a room, or several; return whether it was not in all of them before.

        Raises:
            TypeError, ValueError: not a room's name; then it joins none of them.
            Refused: that is more than the hub's `Limits` allow; its client is told.
        """
        names = [check_room(each) for each in (room, *rooms)]
        return any(self._hub._on_loop(lambda: [self._join(name) for name in names]))

    def _join(self, room: str) -> bool:
        self._admit()
        here = self._current()
        session = here._session
        is_new = here.is_open and self._hub._registry.join(here, room)
        if session is not None and room not in session.rooms:
            if not here.is_open:
                self._hub._registry.check_join(room, len(session.rooms))
            session.join(room)
            is_new = True
        return is_new

    def leave(self, room: str, *rooms: str) -> bool:
        """Take it out of a room, or several; return whether it was in one of them.

        Raises:
            TypeError, ValueError: not a room's name; then it leaves none of them.
        """
        names = [check_room(each) for each in (room, *rooms)]
        return any(self._hub._on_loop(lambda: [self._leave(name) for name in names]))

    def _leave(self, room: str) -> bool:
        here = self._current()
        was_in = self._hub._registry.leave(here, room)
        if here._session is not None:
            was_in = here._session.leave(room) or was_in
        return was_in

    def emit(self, event: str, data: Any = None, *, key: str | None = None) -> Delivery:
        """Send it an event; see :meth:`Hub.emit`."""
        return self._hub.emit(event, data, to=self, key=key)

    def call(self, event: str, data: Any = None, timeout: float | None = 5.0) -> Any:
        """Send it an event and return its answer.

        In an ``async def`` it is awaited: ``answer = await client.call("pick", [1, 2])``. In a
        plain ``def`` handler, which runs on a thread, it waits and returns the answer itself. It is
        the same under ``websockets.serve`` and ``wslab.serve``; from a cell:
        ``wslab.run(client.call, "pick", [1, 2])``.

        Args:
            event: the event's name.
            data: what it carries.
            timeout: seconds to wait for the answer; None waits until the client leaves.

        Raises:
            CallFailed: the client answered with an error.
            ClientGone: it left before it answered.
            TimeoutError: no answer came in time.
            WrongThread: it would wait for the very loop that it is called on.
        """
        self._hub._check_event(event)
        encoded = packets.dumps(data, self._hub._dumps)
        timeout = finite(timeout)
        return self._hub._ask(functools.partial(self._call, event, encoded, timeout), timeout)

    async def _call(
        self, event: str, encoded: tuple[str, list[bytes]], timeout: float | None
    ) -> Any:
        self._admit()
        if not self.is_open:
            raise ClientGone(f"{self} cannot be asked: it has left ({self._reason()})")
        number, answer = self._reader.ask()
        try:
            question = PreparedMessage(*packets.encode_event(event, id=number, encoded=encoded))
            async with asyncio.timeout(timeout):
                await self._send_queue.room()
                self._send(question)
                self._reader.read_ahead()
                return await answer
        except TimeoutError:
            ahead = self._reader.ahead
            why = f"; {ahead} other messages of it came before, and wait" if ahead else ""
            raise TimeoutError(
                f"{self} did not answer {event!r} within {timeout:g} s{why}. On the other side, a "
                "handler of that event returns the answer"
            ) from None
        finally:
            self._reader.forget(number)

    def disconnect(self, code: int = 1000, reason: str = "") -> None:
        """Send it away: it leaves all rooms now, and gets a close frame (RFC 6455 §7.1.2).

        Its session ends, too. A client that does not answer the close frame is cut off.

        Args:
            code: 1000 (normal), or one of your own between 4000 and 4999.
            reason: at most 123 bytes of UTF-8.

        Raises:
            ValueError: not a code that may be sent, or too long a reason.
        """
        if type(code) is not int or not (code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000):
            raise ValueError(
                f"expected a close code that may be sent, such as 1000, or 4000 to 4999 for what "
                f"your application means, got {code!r} (RFC 6455 §7.4)"
            )
        if len(reason.encode()) > 123:
            raise ValueError(
                f"expected a reason of at most 123 bytes, got {len(reason.encode())}: a close "
                "frame holds 125, and the code takes two (RFC 6455 §5.5)"
            )
        self._hub._on_loop(self._part, code, reason, True)

    # Coming and going; on the loop.

    async def _live(self) -> None:
        self._task = asyncio.current_task()
        self._link.when_lost(self._go)
        try:
            await self._converse()
        except self._link.closed_error:
            pass
        except asyncio.CancelledError:
            assert self._task is not None
            if not self._is_cut or self._task.uncancel():
                raise  # the server ends it
        finally:
            self._task = None
            if self.is_open:
                self._leaving = self._leaving or "its handler was ended"
            self._go()
            if self._grace is not None:
                self._grace.cancel()
            self._reader.close()
            self._hub._gone.pop(self, None)
        await self._say_goodbye()
        if self._closing is not None:  # else websockets would close with 1000 before it
            await asyncio.wait([self._closing])

    async def _converse(self) -> None:
        if not await self._hub._connected(self):
            return
        self._is_welcome = True
        self._admit()
        while True:
            item = await self._reader.next()
            if self._closing is None and not self._is_over:
                self._is_taking = True
                try:
                    await self._take(item)
                finally:
                    self._is_taking = False
            # else it is read nevertheless: behind it is the answer to our close frame
            if self._closing is not None:
                await self._say_goodbye()

    @property
    def _is_over(self) -> bool:
        # After ``disconnect`` nothing more is handled: whoever keeps a list of who is here would
        # have it in there for ever. What a session sent and was not taken up, it sends again.
        return self._is_retired or self._goodbye is not None

    async def _say_goodbye(self) -> None:
        """Let ``disconnect`` run, once; its task outlives whoever waits for it here."""
        if self._goodbye is None and (self._is_welcome or self._is_admitted):
            self._goodbye = self._hub._start(self._hub._disconnected(self, self._reason()))
        if self._goodbye is not None:
            await asyncio.shield(self._goodbye)

    def _cut_short(self) -> None:
        # What is still at work of it works for nobody, unless it may come back for the answer.
        self._grace = None
        if self._task is None:
            return
        _ = self._hub._start(self._say_goodbye())
        limits = self._hub.limits
        if not self._may_come_back():
            self._cut_off(None)
        elif (
            not self._current().is_open and time.monotonic() - self._left_s > limits.gone_handler_s
        ):
            self._cut_off("gone_handler_s")
        else:
            self._allow_grace(0.1)

    def _cut_off(self, limit: str | None) -> None:
        """Cancel what is at work of it, now that it has left; say which limit it was, if one."""
        self._hub._gone.pop(self, None)
        if self._task is None or self._is_cut:
            return
        if limit is not None:
            self._hub.limited[limit] += 1
        _ = self._hub._start(self._say_goodbye())
        self._is_cut = True
        self._task.cancel()

    def _may_come_back(self) -> bool:
        if self._hub._sessions is None or not self._link.is_served:
            return False
        self._hub._sessions.prune(time.monotonic())
        return self.may_return

    def _allow_grace(self, least_s: float = 0.0) -> None:
        grace_s = finite(max(self._hub.limits.grace_s, least_s))
        if grace_s is not None:
            self._grace = asyncio.get_running_loop().call_later(grace_s, self._cut_short)

    def _admit(self) -> None:
        if self._is_admitted or self._is_gone:
            return
        self._is_admitted = True
        hub = self._hub
        told = self._begin_session(hub._sessions) if hub._sessions is not None else None
        hub._registry.add(self)
        self._send_queue.client_id = self.id
        # Its own token the client knows: a secret need not stand on a record of the wire.
        known = True if self._token_asked else self.session
        welcome = {
            "id": self.id,
            "session": known if told is not None else None,
            "offset": told and told.offset,
            "received": told and told.received,
            "resumed": told is not None and told.is_resumed,
            "gap": self._gap,
        }
        if told is not None:
            welcome["user"] = self.user_id
        self._send(PreparedMessage(*packets.encode_event("welcome", welcome)))
        if told is None or self._session is None:
            return
        self._send_queue.replay(told.missed)
        if told.dropped:
            self._send(PreparedMessage(packets.encode_dropped(told.dropped, told.dropped_offset)))
        for room in self._session.rooms:
            hub._registry.put_back(self, room)

    def _begin_session(self, sessions: Sessions[Frames]) -> Resumption[Frames]:
        """Continue the session that its client asked for, or open a new one."""
        now_s, token = time.monotonic(), self._token_asked
        session = sessions.continued(token, now_s, self._address) if token else None
        self.is_resumed = session is not None
        if session is not None:
            self._take_over(session)
        else:
            session = sessions.open(token or secrets.token_urlsafe(24), now_s, self._address)
            session.data, session.name = self.data, self._name
            session.user_id = self._user_before or self._link.id.hex[-12:]
        self._session, self._holder = session, self._hub._holder(session)
        self._holder.client = self
        told = session.resume(self._offset_asked)
        self._gap = told.gap
        return told

    def _take_over(self, session: ServerSession[Any]) -> None:
        holder = self._hub._holder(session)
        old = holder.client
        if self._name is None:
            self._name = session.name
        session.name = self._name
        if self.data is not session.data:  # the connect handler may have filled it already
            session.data.update(self.data)
            self.data = session.data
        holder.client = None  # so that the old one's end does not send the session away
        if old is not None:
            old._retire()

    def _retire(self) -> None:
        self._is_retired = True  # what it has not taken up yet comes again
        self._part(TAKEN_OVER, "session continued elsewhere", False)

    def _is_before(self, session: ServerSession[Any]) -> None:
        """Let the connect handler see whom it has before it."""
        self._name, self.data, self.is_resumed = session.name, session.data, True
        self._rooms_before = frozenset(session.rooms)
        self._user_before = session.user_id

    def _current(self) -> HubClient:
        """Return the connection that continues this one's session, or this one."""
        here = self._holder.client if self._holder is not None else None
        return here if here is not None else self

    def _part(self, code: int, reason: str, ends_session: bool) -> None:
        if self._is_gone:
            return
        self._leaving = f"sent away with {code}" + (f" ({reason})" if reason else "")
        if ends_session and self._session is not None and self._hub._sessions is not None:
            self._hub._sessions.end(self._session)
        self._closing = self._hub._start(self._close(code, reason))
        self._go()

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, self._link.closed_error):
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._link.close(code, reason)
                return
        self._link.abort()

    def _go(self) -> None:
        """Take it out of everything; idempotent."""
        if self._is_gone:
            return
        self._is_gone = True
        self._left_s = time.monotonic()
        self._hub._registry.remove(self)
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._allow_grace()
            if self._closing is not None and not self._is_taking:  # nothing more is taken of it
                _ = self._hub._start(self._say_goodbye())
            if self._is_taking or not self._is_welcome:
                self._hub._has_left(self)
        if self._session is not None:
            self._session.lose(self._send_queue.untold_offsets)
        self._send_queue.clear()
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        self._reader.fail(lambda: ClientGone(f"{self} left before it answered ({self._reason()})"))
        session, holder, sessions = self._session, self._holder, self._hub._sessions
        if session is not None and sessions is not None and holder and holder.client is self:
            if self._link.said_goodbye:
                sessions.end(session)
            else:
                sessions.leave(session, time.monotonic())

    def _reason(self) -> str:
        if self._leaving is not None:
            return self._leaving
        close = self._link.closed
        if close is None:
            return "the connection broke off (1006)"
        who = "the client" if close.is_by_client else "this side"
        return f"closed by {who} with {close.code}" + (f" ({close.reason})" if close.reason else "")

    def _overflowed(self, reason: str) -> None:
        self._part(1013, reason, False)

    # What comes from it; on the loop.

    async def _take(self, item: Item) -> None:
        if type(item) is packets.Packet:
            if item.n is not None and self._session is not None and self._holder is not None:
                await self._take_once(item, self._session, self._holder.turn)
            elif item.event is not None and self._may_take(item):
                await self._handle(item)
        elif isinstance(item, BadPacket):
            code = "too-large" if str(item).startswith("too large") else "bad-packet"
            asking = packets.Packet(id=item.id) if item.id is not None else None
            if self._may_take(asking):
                self._complain(code, str(item), asking)
        elif self._may_take(None):
            await self._handle_raw(item)  # type: ignore[arg-type]
        if self._send_queue.is_full_of_answers:
            self._reader.read_ahead()
            await self._send_queue.room()

    async def _take_once(
        self, packet: packets.Packet, session: ServerSession[Frames], turn: asyncio.Lock
    ) -> None:
        # In order and once, although after a reconnection two connections may bring the same.
        if turn.locked():
            self._reader.read_ahead()
        async with turn:
            if self._is_over:
                return  # its successor brings it again
            step = session.receive(packet)
            if type(step) is Deliver:
                self._acknowledge_soon(step.acknowledge_now)
                if packet.event is not None and self._may_take(packet):
                    await self._handle(packet)
            elif isinstance(step, OutOfOrder):
                self._complain("bad-packet", step.reason, packet)
            elif isinstance(step, RepeatAnswer):
                if step.answer is not None:
                    self._send(PreparedMessage.of(step.answer))
                else:
                    self._complain(
                        "failed", "it was answered before, and the answer is no longer kept", packet
                    )

    def _acknowledge_soon(self, is_due: bool) -> None:
        if is_due:
            self._acknowledge()
        elif self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(ACKNOWLEDGE_S, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._acknowledging is not None:
            self._acknowledging.cancel()
            self._acknowledging = None
        if self._session is not None and not self._is_gone:
            self._send(PreparedMessage(packets.encode_received(self._session.received)))

    def _may_take(self, packet: packets.Packet | None) -> bool:
        """Take a token out of the bucket; tell a client that is too fast, once a second."""
        rate = self._hub.limits.rate
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
            self._complain(
                "too-fast",
                f"expected at most {rate:g} messages a second, got more; this one was not taken"
                + (f", nor were {more} before it" if more else ""),
                packet,
            )
        else:
            self._too_fast += 1
            self._hub.complaints["too-fast"] += 1
        return False

    async def _handle(self, packet: packets.Packet) -> None:
        event = packet.event
        assert event is not None
        if packet.flaw:
            self._complain("too-large", packet.flaw, packet)
            return
        handlers = self._hub._handlers
        handler = handlers.get(event)
        args: tuple[Any, ...] = ()
        if handler is None:
            handler, args = handlers.get("*"), (event,)
        if handler is None or event in packets.RESERVED:
            known = sorted(self._hub._handlers.keys() - packets.RESERVED)
            names = ", ".join(map(repr, known[:8])) if self._hub.show_errors else ""
            why = f"nobody handles {event!r:.60} here" + (f"; there are {names}" if names else "")
            if event in packets.RESERVED:
                why = (
                    f"expected an event of your own, got {event!r}, which means something else here"
                    + ("; a message that is no packet goes to its handler" * (event == "message"))
                )
            self._complain("unknown-event", why, packet)
            return
        try:
            data = packets.take_binary(packet, self._hub._loads)
        except BadPacket as exc:
            self._complain("bad-packet", str(exc), packet)
            return
        except BaseException as exc:  # of loads: it is the sender's data that it could not read
            if must_pass(exc, is_async=True):
                raise
            why = f": {kind_of(exc)}: {said_by(exc)}" if self._hub.show_errors else ""
            self._complain("bad-packet", f"the data could not be read{why}", packet)
            return
        self._reader.read_ahead()
        try:
            result = await self._hub._run(handler, self, *args, data)
            if packet.id is not None:
                if isinstance(result, Delivery):  # of a handler that is one emit
                    result = result.reached
                self._answer(
                    packet,
                    PreparedMessage(*packets.encode_answer(packet.id, result, self._hub._dumps)),
                )
        except BaseException as exc:
            if is_cancelled(exc) and packet.id is not None:  # it may come back and ask again
                self._complain("failed", "its handler was cancelled", packet)
            self._caught(exc, handler, packet)

    async def _handle_raw(self, message: str | bytes) -> None:
        handler = self._hub._handlers.get("message")
        if handler is None:
            self._complain(
                "bad-packet",
                f"nobody handles raw messages here, and this {type(message).__name__} of "
                f"{len(message)} is no packet",
            )
            return
        await self._handle_with(handler, message)

    async def _handle_with(self, handler: Any, *args: Any) -> None:
        self._reader.read_ahead()
        try:
            await self._hub._run(handler, self, *args)
        except BaseException as exc:
            self._caught(exc, handler)

    def _caught(
        self, exc: BaseException, handler: Any, packet: packets.Packet | None = None
    ) -> None:
        """Take what a handler let through; SystemExit, too, must not end the loop."""
        if must_pass(exc, is_async=handler.is_async):
            raise exc
        if isinstance(exc, Refused):
            self._complain("refused", str(exc), packet)
        elif not isinstance(exc, self._link.closed_error) or self._link.is_open:
            self._failed(exc, handler.name, packet)  # a closed_error: another client's

    # What goes to it; on the loop.

    def _send(self, message: PreparedMessage) -> None:
        """Send what must not be dropped: welcome, answers, what it missed."""
        self._send_queue.put(message, is_essential=True)

    def _answer(self, packet: packets.Packet, answer: PreparedMessage) -> None:
        session, sessions = self._session, self._hub._sessions
        if session is not None and sessions is not None and session.awaits_answer(packet):
            sessions.keep_answer(session, answer.plain, answer.size_bytes)
            here = self._current()
            if here.is_open:
                here._send(answer)
        elif self.is_open:
            self._send(answer)

    def _failed(self, exc: BaseException, where: str, packet: packets.Packet | None = None) -> None:
        failure = self._hub._record(exc, self, where)
        text = failure.summary if self._hub.show_errors else "the handler failed"
        self._complain("failed", text, packet)

    def _complain(self, code: str, message: str, packet: packets.Packet | None = None) -> None:
        """Tell the client what was wrong: as the answer where it waits for one, else an event."""
        self._hub.complaints[code] += 1
        if packet is not None and packet.id is not None:
            self._answer(
                packet, PreparedMessage(packets.encode_error(code, message, answer=packet.id))
            )
        elif self.is_open:
            event = packet.event if packet is not None else None
            self._send_queue.put(PreparedMessage(packets.encode_error(code, message, event=event)))

    def _tell_dropped(self, count: int, offsets: Iterable[int]) -> None:
        # What tells of a loss must not be lost itself.
        offset = None
        if self._session is not None:
            self._session.lose(offsets)
            offset = self._session.tell_dropped()
        self._send(PreparedMessage(packets.encode_dropped(count, offset)))


def asked(path: str) -> tuple[str, int | None]:
    """Return the session's token and the offset that a client comes back with, from its URL."""
    if "session=" not in path:
        return "", None
    query = parse_qs(urlsplit(path).query)
    token = query.get("session", [""])[0]
    offset = query.get("offset", [""])[0]
    if not _TOKEN.fullmatch(token):
        return "", None
    return token, int(offset) if re.fullmatch(r"[0-9]{1,15}", offset) else None

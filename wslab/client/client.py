"""connect() and Client: a WebSocket client for plain, synchronous code in a cell.

A thin shell around ``websockets.connect`` on the lab's loop. Its rule: nothing that came is lost
and nobody waits for what is already here: messages go into a queue on this side of the portal as
they arrive, up to a bound, and beyond it the sender is slowed down (TCP's own backpressure). What
is not here: an async twin; async code awaits ``websockets.connect(server.url)``.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import functools
import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from websockets.asyncio import client as ws_client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from ..calling import running_loop
from ..errors import BadURL, LoopBlocked, NobodyListening, PortalClosed, WrongThread, WslabError
from ..loops import fork, portals
from ..loops.kernel_portal import KernelPortal
from ..loops.listening import loop_here_serves
from ..loops.portal import Portal
from ..network.recording import Wire, new_tape, recorded
from ..notebook import cells
from ..waiting import (
    deadline_after,
    finite,
    finite_times,
    is_set_within,
    left_until,
    result_of,
    slices,
)
from ..websockets_compat.keywords import check_keywords
from ..wire.frames.close_codes import close_code_meaning, may_be_sent
from ..wire.tape.tape import Tape
from .arguments import check_headers
from .backoff import Attempt, Reconnect
from .close_diagnosis import closed
from .events import Emitter
from .fragments import FragmentStream, check_iterable
from .on_open import OnOpen
from .open_diagnosis import Attempted, not_opened, proxy_of
from .receive_queue import Message, ReceiveQueue, size_of
from .reconnector import Reconnector
from .send_queue import SendQueue
from .urls import check_url, is_loopback, session_in, shown, with_query

if TYPE_CHECKING:
    import types

    from ..loops.watchdog import Stall

__all__ = ["Client", "connect"]

OPEN_TIMEOUT_S = 10.0
KEEP_RECEIVED = 1_000  # messages, and at most so many bytes of them:
KEEP_RECEIVED_BYTES = 4 * 2**20
INSTANT_S = 0.1
CLOSE_WAIT_S = 15.0  # longer than websockets' own close_timeout

# A child of websockets' own, so that what its documentation says of logging holds; silent unless
# the user configures one of the two.
logger = logging.getLogger("websockets.client.wslab")
logger.addHandler(logging.NullHandler())


class Addressed(Protocol):
    """Anything with a WebSocket URL, such as a Server."""

    @property
    def url(self) -> str:
        """A ``ws://`` or ``wss://`` URL."""
        ...


class Client(Emitter):
    """One connection; made by :func:`connect`. Works from any thread but the lab's loop's own.

    Iterating gives the messages as they come and ends when the connection closes normally. Use it
    as a context manager to close it at the end of a ``with`` block. With ``reconnect`` it is one
    connection after another, and the end is the end of the last.

    Attributes:
        name: how views call it.
        url: where it is connected to.
        tape: every byte of the connection, or None where ``record=False``; see :class:`Tape`.
        received_dropped: messages that ``received`` no longer keeps.
        discarded: messages that came while it was closing and found no room.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        runner: Portal,
        target: Any = None,
        tape: Tape | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        self.url = url
        self.name = name
        self.tape = tape
        self.received_dropped = 0
        self.discarded = 0  # messages that came while it was closing and found no room
        self._portal = runner
        self._target = target  # this process's own server, if that is where it goes
        self._no_server_of_ours: Any = None  # a loop that does not serve the other end
        self._websocket: Any = None
        self._tried: Any = None  # the connection in its handshake
        self._tried_at: Attempted | None = None  # where the last attempt got to
        self._wire: Wire | None = None
        self._kwargs: dict[str, Any] = {}
        self._inbox: ReceiveQueue | None = None
        self._outbox: SendQueue | None = None
        self._rejoin: Reconnector | None = None
        self._may_have_session = reconnect is not None and reconnect.session
        if reconnect is not None:
            self._rejoin = Reconnector(reconnect, self._come_back, self._why_not_opened)
        self._opening: OnOpen | None = None
        if reconnect is not None and reconnect.on_open is not None:
            self._opening = OnOpen(
                reconnect.on_open,
                self,
                lambda: self.state is State.OPEN,
                lambda exc, where: self._talk.note(exc, where),
            )
        self._received: collections.deque[Message] = collections.deque()
        self._received_bytes = 0
        self._first: Message | None = None  # where ``received`` no longer has it
        self._counted = (0, 0, 0, 0)  # on connections before this one
        self._broken: ConnectionClosed | None = None  # how the last connection ended
        self._opened_s = 0.0
        self._pump_task: asyncio.Task[None] | None = None
        self._on_long_way = 0  # messages that websockets puts together and the pump takes
        self._closing: concurrent.futures.Future[None] | None = None
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._began_at = time.time()
        self._ended_s: float | None = None
        self._end: ConnectionClosed | None = None
        self._gone = threading.Event()  # the connection has ended, and why is known
        self._replaced = False
        self._is_closing_down = False  # close() was called while the connection was open
        self._untaken = 0  # messages that waited when it ended, where no more could be read

    # What it is.

    @property
    def id(self) -> str:
        """The first six hexadecimal digits of this end's connection id."""
        return self._wire.id if self._wire is not None else ""

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."""
        state: State = State.CONNECTING if self._websocket is None else self._websocket.state
        if state is State.CLOSED and self._rejoin is not None and not self._gone.is_set():
            return State.CONNECTING if self._closing is None else State.CLOSING
        return state

    @property
    def close_code(self) -> int | None:
        """The close code, None while the connection is open; 1006 where it broke off."""
        return self._websocket.close_code if self.state is State.CLOSED else None

    @property
    def close_reason(self) -> str | None:
        """The reason that came with the close code, None while the connection is open."""
        return self._websocket.close_reason if self.state is State.CLOSED else None

    @property
    def reconnects(self) -> tuple[Attempt, ...]:
        """The latest 100 attempts to come back: ``at`` (epoch seconds), ``delay_s``, ``outcome``.

        The outcome is ``"open"``, or says what went wrong. Empty without ``reconnect``.
        """
        return tuple(self._rejoin.attempts) if self._rejoin is not None else ()

    @property
    def reconnected(self) -> int:
        """How often it has come back."""
        return self._rejoin.opened if self._rejoin is not None else 0

    @property
    def status(self) -> str:
        """Its state in words, such as "OPEN" or "reconnecting, attempt 3, next in 1.2 s"."""
        state = self.state
        if state is State.CONNECTING and self._rejoin is not None and self._websocket is not None:
            return self._rejoin.status
        if state is State.CLOSED and self.close_code is not None:
            return f"CLOSED with {self.close_code}"
        return state.name

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed upon (RFC 6455 §1.9)."""
        return self._websocket.subprotocol if self._websocket is not None else None

    @property
    def received(self) -> tuple[Message, ...]:
        """The latest messages that came, taken with recv() or not: 1,000 or 4 MiB at the most.

        ``received_dropped`` counts the older ones that are no longer kept here.
        """
        with self._lock:
            return tuple(self._received)

    @property
    def waiting(self) -> int:
        """Messages that came and that nobody has taken yet."""
        return len(self._inbox) if self._inbox is not None else 0

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Messages received, messages sent, bytes received, bytes sent."""
        wire = self._wire
        if wire is None:
            return (0, 0, 0, 0)
        now = (wire.received, wire.sent, wire.received_bytes, wire.sent_bytes)
        if self._rejoin is None:
            return now
        received, sent, received_bytes, sent_bytes = map(sum, zip(now, self._counted, strict=True))
        return (received, sent, received_bytes, sent_bytes)

    @property
    def replaced(self) -> bool:
        """Whether its cell ran again, and a new client took its place."""
        return self._replaced

    @property
    def began_s(self) -> float:
        """When it was made, on the clock of ``time.monotonic()``."""
        return self._began_s

    @property
    def websocket(self) -> ws_client.ClientConnection:
        """The websockets connection itself; use it on the lab's loop only."""
        return self._websocket  # type: ignore[no-any-return]

    # OnOpen; these run on the loop.

    async def _open(self, kwargs: dict[str, Any], max_waiting: int) -> None:
        loop = asyncio.get_running_loop()
        self._inbox = ReceiveQueue(max_waiting, loop)
        base: Any = kwargs.pop("create_connection", None) or ws_client.ClientConnection
        if getattr(base, "recv", None) is ws_client.ClientConnection.recv:
            base = _short_cut_kind(base)
        kwargs["create_connection"] = recorded(
            base, self._made, self._lost, side="client", tape=self.tape
        )
        kwargs.setdefault("logger", logger)
        self._kwargs = kwargs
        if self._rejoin is not None:
            from ..hub.client.event_dispatcher import EventDispatcher

            session = None
            if self._may_have_session:
                session = session_in(self.url) or secrets.token_urlsafe(24)
            self._talk = EventDispatcher(loop, session)
        await self._connect()
        self._portal.watchdog.watch(loop)
        self._pump_task = loop.create_task(self._run())

    async def _connect(self) -> None:
        """Open a connection, the first or another one, and take it for the client's own."""
        url = self.url if self._talk is None else with_query(self.url, self._talk.session.query())
        connector = ws_client.connect(url, **self._kwargs)
        try:
            self._websocket = await connector
        except AssertionError:
            # What a server that speaks first (SSH, SMTP) does to websockets; it knows the reason.
            failure = self._tried and self._tried.protocol.handshake_exc
            if failure is None:
                raise
            raise failure from failure.__cause__
        finally:
            reached = self._tried is not None and self._tried.protocol.uri == connector.ws_uri
            proxy = None if reached else proxy_of(connector)
            # The session is ours: with it in its query it is no other place.
            last = self.url if connector.uri == url else connector.uri
            self._tried_at = Attempted(last, proxy)
            self._tried = None
        self._opened_s = time.monotonic()
        if self._websocket.state is State.CLOSED:  # already, before this end was ready
            self._lost(self._websocket)
        self._outbox = SendQueue(self._websocket, self._portal.loop)
        if self._talk is not None:
            self._talk.opened(self._outbox)
        if self._opening is not None:
            self._opening.opened()

    async def _come_back(self) -> None:
        inbox = self._inbox
        assert inbox is not None
        self._on_long_way = 0
        self._ended_s = None
        inbox.open = True
        try:
            await self._connect()
        except BaseException:
            for message in self._talk.lost():  # of a connection that never opened
                inbox.put(message)
            raise
        assert self._rejoin is not None
        self._rejoin.may_send.set()

    def _not_opened(self, exc: Exception) -> WslabError | None:
        """Say what went wrong, and where: at a proxy, or where a redirect led to."""
        return not_opened(exc, self.url, self._target, self._tried_at)

    def _why_not_opened(self, exc: Exception) -> str:
        return str(self._not_opened(exc) or exc) or type(exc).__name__

    def _came(self, frame: Frame) -> bool:
        """Take a message on the short way, past websockets' queue and the pump; on the loop.

        Only where nothing is on the long way, so that the order is kept, and where there is room.
        """
        inbox = self._inbox
        assert inbox is not None
        if frame.opcode == Opcode.CONT:
            return False
        if self._on_long_way or not frame.fin or inbox.is_at_limit or not inbox.open:
            self._on_long_way += 1
            return False
        talk = self._talk
        if talk is not None and talk.is_at_limit:
            self._on_long_way += 1
            return False
        try:
            message = str(frame.data, "utf-8") if frame.opcode == Opcode.TEXT else bytes(frame.data)
        except UnicodeDecodeError:
            self._on_long_way += 1
            return False  # websockets closes with 1007
        self._keep(message)
        if talk is None:
            inbox.put(message)
        else:
            for own in talk.take(message):
                inbox.put(own)
        return True

    def _made(self, websocket: Any, transport: Any) -> None:
        # A redirect makes several of them, one after the other; the last one counts.
        self._tried = websocket
        if self._rejoin is not None:
            self._counted = self.counts
        self._wire = wire = websocket.wire
        if hasattr(websocket, "_came"):  # else it leads back here, and nobody would ask it
            websocket._came = self._came
        wire.label = self.name
        wire.fileno = fork.close_in_child(transport)

    def _lost(self, websocket: Any) -> None:
        wire = websocket.wire
        fork.closed_in_child.discard(wire.fileno)
        if websocket is not self._websocket:
            return
        self._ended_s = time.monotonic()
        assert self._inbox is not None
        self._untaken = len(self._inbox) if self._inbox.is_full else 0
        self._inbox.open = False  # nothing more comes from the network: take in what is here
        self._inbox.wake()
        if self._talk is not None:
            self._talk.wake()
        if self._rejoin is not None:
            self._talk.muted()

    def _discard(self) -> None:
        # The handshake failed: leave nothing of this end behind.
        self._kwargs = {}
        if self._rejoin is not None:
            self._rejoin.forget()
        if self._websocket is not None and self._closing is None:
            self.begin_close()

    async def _run(self) -> None:
        """Take in what comes, over one connection after another, until the last has ended."""
        inbox = self._inbox
        assert inbox is not None
        try:
            while True:
                self._broken = end = await self._pump(self._websocket, inbox)
                if self._talk is not None:
                    for message in self._talk.lost():
                        inbox.put(message)
                if self._rejoin is None or not await self._rejoin.again(
                    end, (self._ended_s or 0.0) - self._opened_s
                ):
                    if self._rejoin is not None and self._rejoin.gave_up:
                        # Not the normal end that 1001 would be: whoever iterates shall know.
                        end = ConnectionClosedError(end.rcvd, end.sent, end.rcvd_then_sent)
                    self._end = end
                    break
        except BaseException as exc:  # never leave a reader waiting
            self._end = ConnectionClosedError(None, None)
            self._end.__cause__ = exc
            if isinstance(exc, asyncio.CancelledError):
                self._end.__cause__ = PortalClosed("the lab's loop was closed")
                raise
        finally:
            self._portal.watchdog.unwatch()
            cells.forget(self)
            self._gone.set()
            inbox.end()
            self._kwargs = {}  # they lead back here
            if self._rejoin is not None:
                self._rejoin.may_send.set()
                self._rejoin.forget()
            if self._opening is not None:
                self._opening.stop()
                self._opening = None
            if self._talk is not None:
                self._talk.end()

    async def _pump(self, websocket: Any, inbox: ReceiveQueue) -> ConnectionClosed:
        try:
            while True:
                message = await websocket.recv()
                self._on_long_way -= 1
                self._keep(message)
                talk = self._talk
                if self._is_closing_down and talk is not None and talk.is_twice_full:
                    self.discarded += 1
                    continue
                for own in (message,) if talk is None else talk.take(message):
                    if self._is_closing_down and inbox.is_twice_full:
                        self.discarded += 1  # read on to the close frame, but keep no more
                    elif not inbox.put(own):
                        await inbox.room()
                if talk is not None and talk.is_at_limit and inbox.open:
                    await talk.room()
        except ConnectionClosed as exc:
            return exc.with_traceback(None)  # whose frames hold this very client

    def _keep(self, message: Message) -> None:
        with self._lock:
            self._received.append(message)
            self._received_bytes += size_of(message)
            while len(self._received) > 1 and (
                len(self._received) > KEEP_RECEIVED or self._received_bytes > KEEP_RECEIVED_BYTES
            ):
                oldest = self._received.popleft()
                self._received_bytes -= size_of(oldest)
                if not self.received_dropped:
                    self._first = oldest
                self.received_dropped += 1

    # Talking.

    def send(self, message: Any, timeout: float | None = None) -> None:
        """Send a message: str as a text frame, bytes as a binary one (RFC 6455 §5.6).

        An iterable of either is sent as one message in fragments (RFC 6455 §5.4); a generator
        runs on the caller's own thread. That it returned does not mean that the message arrived:
        it is on its way, in order.

        Args:
            message: what to send: str, bytes, bytearray, memoryview, or an iterable or an
                asynchronous iterable of these.
            timeout: seconds to wait where the other side does not read; None waits until it does,
                or until the keepalive gives up.

        Raises:
            ConnectionClosed: the connection is closed; ``why_closed`` says why.
            TypeError: the message is neither of these.
            TimeoutError: it could not be sent in time; it says whether it was taken back.
        """
        is_whole = isinstance(message, str | bytes | bytearray | memoryview)
        if not is_whole:
            check_iterable(message)
        self._refuse_own_thread("send()")
        self._refuse_what_is_over()
        if self.state is not State.OPEN:
            self._wait_open("the message was not sent", timeout)
        assert self._outbox is not None
        feed = None
        if not is_whole and not isinstance(message, list | tuple | AsyncIterable):
            feed = FragmentStream(self._portal.loop)
        elif isinstance(message, list | tuple):
            message = list(message)  # the caller may change it before its turn
        gone = self._outbox.put(message if feed is None else feed)
        if gone is None:
            return
        self._wait_gone(gone, timeout, None if feed is None else (feed, message))

    def _wait_gone(
        self,
        gone: concurrent.futures.Future[None],
        timeout: float | None,
        fed: tuple[FragmentStream, Any] | None = None,
    ) -> None:
        """Wait until a message has gone out, and take it back where that takes too long."""
        try:
            if fed is not None:
                fed[0].run(fed[1], gone, timeout)
            else:
                result_of(gone, timeout)
        except ConnectionClosed as exc:
            raise self._explained(exc) from exc.__cause__
        except concurrent.futures.CancelledError:
            raise PortalClosed("the lab's loop has been closed") from None
        except TimeoutError:
            if timeout is None:
                raise
            is_back = gone.cancel() or gone.cancelled()
            raise TimeoutError(
                f"the message did not go out within {timeout:g} s: the other side does not read"
                f"{self._held()}. "
                + (
                    "It has been taken back"
                    if is_back
                    else "It is on its way and arrives when the other side reads on"
                    if fed is None
                    else "Part of it is on its way, which ends the connection (RFC 6455 §5.4)"
                )
            ) from None
        except BaseException:
            gone.cancel()
            raise

    def _wait_open(self, what: str, timeout: float | None) -> None:
        """Wait until there is a connection again; raise where there will be none."""
        rejoin = self._rejoin
        for slice_s in slices(timeout):
            if rejoin is None or self._closing is not None:
                break
            rejoin.may_send.clear()  # before looking, so that no news is missed
            self._refuse_what_is_over()
            if self.state is State.OPEN:
                return
            if self._gone.is_set():
                break
            rejoin.may_send.wait(slice_s)
        else:
            raise TimeoutError(f"{what} within {timeout:g} s: {self.name!r} is {self.status}")
        self._raise_closed()

    def _refuse_what_is_over(self) -> None:
        """Let on_open of a connection that has ended wait for no other: that has its own call."""
        opening = self._opening
        if opening is not None and opening.is_over:
            raise self._explained(self._broken or ConnectionClosedError(None, None))

    def recv(self, timeout: float | None = None) -> Message:
        """Take the oldest message that has come, or wait for one.

        A timeout or an interrupt loses no message: the next call gets it.

        Args:
            timeout: seconds; None waits until a message comes or the connection ends.

        Raises:
            TimeoutError: none came in time.
            ConnectionClosed: the connection has ended and all messages have been taken.
            WrongThread: called where it would wait for itself.
        """
        inbox = self._inbox
        assert inbox is not None
        self._portal.fork.refuse("recv()")
        if not inbox and not inbox.ended:
            # Some wait for an instant, in between; nobody wants to wait for what can't come.
            has_bound = timeout is not None and timeout <= INSTANT_S
            self._refuse_to_wait_for_itself("recv()", has_bound=has_bound)
        try:
            opening = self._opening
            if opening is not None and opening.is_inside:
                message = self._get_while_open(inbox, timeout)
            else:
                message = inbox.get(timeout)
        except queue.Empty:
            raise TimeoutError(
                f"{self.name!r} got no message within {timeout:g} s; the connection is "
                f"{self.status}{self._held()}"
            ) from None
        if message is None:
            self._raise_closed()
        return message

    def _get_while_open(self, inbox: ReceiveQueue, timeout: float | None) -> Message | None:
        ends_s = None if timeout is None else time.monotonic() + timeout
        while True:
            self._refuse_what_is_over()
            left_s = 0.2 if ends_s is None else max(ends_s - time.monotonic(), 0.0)
            try:
                return inbox.get(min(left_s, 0.2))
            except queue.Empty:
                if not left_s:
                    raise

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.recv()
            except ConnectionClosedOK:
                return

    def ping(self, timeout: float | None = 10.0) -> float:
        """Send a ping and wait for its pong (RFC 6455 §5.5.2); return the round trip in seconds.

        Raises:
            TimeoutError: no pong came within ``timeout`` seconds.
            ConnectionClosed: the connection is closed.
        """
        self._refuse_to_wait_for_itself("ping()", has_bound=False)
        self._refuse_what_is_over()
        if self._rejoin is not None and self.state is not State.OPEN:
            self._wait_open("no ping was sent", timeout)

        async def round_trip() -> float:
            # By our own clock: uvloop's counts whole milliseconds.
            began_s = time.perf_counter()
            await (await self._websocket.ping())
            return time.perf_counter() - began_s

        try:
            return float(self._portal.call(round_trip, timeout=timeout))
        except LoopBlocked:
            raise
        except TimeoutError:
            raise TimeoutError(f"no pong came within {timeout:g} s{self._held()}") from None
        except ConnectionClosed as exc:
            raise self._explained(exc) from exc.__cause__

    # Events; what they mean to a learner is written in `events`.

    def _talking(self, what: str) -> Any:
        # A server on the kernel's loop could not answer while this very cell waits for it.
        self._refuse_to_wait_for_itself(what, has_bound=what != "call()")
        self._refuse_what_is_over()
        has_ended = self._gone.is_set() or self._closing is not None
        if has_ended or (self._rejoin is None and self.state is not State.OPEN):
            self._raise_closed()
        return self._new_talk() if self._talk is None else self._talk

    def _new_talk(self) -> Any:
        from ..hub.client.event_dispatcher import EventDispatcher

        with self._lock:
            if self._talk is None:
                talk = EventDispatcher(self._portal.loop)
                assert self._outbox is not None
                talk.opened(self._outbox)
                self._talk = talk
        if self._gone.is_set():
            self._talk.end()
        return self._talk

    def _claim(self, event: str, func: Callable[..., Any] | None) -> None:
        talk = self._new_talk() if self._talk is None else self._talk
        if func is None:
            talk.check(event)
            return
        talk.on(event, func)

        def claim() -> None:
            assert self._inbox is not None
            self._inbox.sift(functools.partial(talk.claim, event))

        if threading.get_ident() == self._portal.thread_id:
            claim()
        else:
            self._portal.call(claim, timeout=5.0)

    def _welcome(self) -> Mapping[str, Any]:
        with self._lock:
            first = self._received[0] if self._received else None
            if self.received_dropped:
                first = self._first
        if not isinstance(first, str) or '"welcome"' not in first[:100]:
            return {}
        from ..hub.protocol.client_session import Welcomed, events_of

        [event] = events_of([first])
        return event.data if isinstance(event, Welcomed) else {}

    def _standing(self) -> str:
        inbox = self._inbox
        held = self._talk.held_back() if self._talk is not None else ""
        if inbox is not None and (inbox.is_full or inbox.is_at_limit):
            held += (
                f"; {len(inbox):,} messages wait that no recv() took, and hold back what comes "
                "after them"
            )
        return f"the connection is {self.status}{held}{self._held()}"

    def _raise_lost(self, event: str, exc: BaseException) -> NoReturn:
        if self._rejoin is None or self._broken is None or self._end is not None:
            self._raise_closed()
        lost = self._explained(self._broken)
        lost.add_note(
            f"{event!r} had been sent; whether it was handled nobody knows, since this server "
            "keeps no session (a Hub does with history=...)"
        )
        raise lost from exc

    # Closing.

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = 5.0) -> None:
        """Close the connection with the closing handshake (RFC 6455 §7.1.2); idempotent.

        Messages that came before can still be taken with recv().

        Args:
            code: 1000 (normal), 1001, 3000 to 4999 and the few others that may be sent.
            reason: at most 123 bytes of UTF-8.
            timeout: seconds to wait for the other side's close frame; then TCP is cut. None waits
                for it without end.

        Raises:
            ValueError: a code that may not be sent, or too long a reason.
            LoopBlocked: something holds the lab's loop.
        """
        if not may_be_sent(code):
            raise ValueError(
                f"close code {code} may not be sent: {close_code_meaning(code)}. Use 1000, or one "
                "of your own between 4000 and 4999 (RFC 6455 §7.4)"
            )
        if len(reason.encode()) > 123:
            raise ValueError(
                f"expected a reason of at most 123 bytes, got {len(reason.encode())}: a close frame"
                " holds 125, and the code takes two (RFC 6455 §5.5)"
            )
        self._portal.fork.refuse("close()")
        if not self._gone.is_set() or (self._talk and self._talk.is_busy):
            self._refuse_own_thread("close()")
        closing = self._begin(code, reason, timeout)
        try:
            result_of(closing, None if timeout is None else timeout + 1.0)
        except (concurrent.futures.CancelledError, PortalClosed):
            return  # the lab's loop has been closed, and everything on it
        except TimeoutError:
            if self._portal.answers():
                raise TimeoutError(
                    f"{self.name!r} did not close within {timeout:g} s; an earlier close() of a "
                    "longer timeout still waits for the other side"
                ) from None
            raise LoopBlocked(
                f"{self.name!r} did not close, because {self._portal.held_by()}"
            ) from None

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Start closing with 1001 (going away) without waiting; the future is done when it has."""
        self._replaced = self._replaced or replaced
        return self._begin(1001, "", 1.0)

    def _begin(
        self, code: int, reason: str, timeout: float | None
    ) -> concurrent.futures.Future[None]:
        with self._lock:
            if self._closing is None:
                try:
                    if self._gone.is_set() and not (self._talk and self._talk.is_busy):
                        raise PortalClosed
                    # A handler that closes its own client must not wait for itself.
                    may_finish = self._talk is None or not self._talk.is_inside
                    self._closing = self._portal.submit(
                        self._close, code, reason, timeout, may_finish and code != 1001
                    )
                except PortalClosed:  # nothing is left to close
                    self._closing = concurrent.futures.Future()
                    self._closing.set_result(None)
            return self._closing

    async def _close(self, code: int, reason: str, timeout: float | None, may_finish: bool) -> None:
        websocket = self._websocket
        assert self._inbox is not None
        self._is_closing_down = websocket.state is State.OPEN
        self._inbox.open = False
        self._inbox.wake()
        ends_s = deadline_after(timeout)
        if self._talk is not None:
            self._talk.wake()
        if self._rejoin is not None:
            self._rejoin.stop()
        try:
            async with asyncio.timeout(finite(timeout)):
                if self._outbox is not None:
                    await self._outbox.empty()  # what was sent before goes out before
                await websocket.close(code, reason)
        except TimeoutError:
            if websocket.protocol.close_sent is None:
                websocket.set_connection_exc(
                    TimeoutError(
                        f"close() cut it off after {timeout:g} s, since the other side did not "
                        "read what had been sent before"
                    )
                )
            websocket.transport.abort()
            await websocket.wait_closed()
            if self._outbox is not None:
                await self._outbox.empty()  # now it cannot go out any more, and is counted
        if self._pump_task is not None:
            await asyncio.wait([self._pump_task])
        if self._talk is not None:
            await self._talk.finish(left_until(ends_s) if may_finish else 0.0)

    # Saying why.

    @property
    def why_closed(self) -> str:
        """In words: who closed the connection, what the code means, and what went before it."""
        end, state, more = self._end, self.state, ""
        if end is None and state is State.CLOSED:
            end = self._websocket.close_exc  # it closed an instant ago
        if self._rejoin is not None:
            if end is None and state is not State.OPEN and self._broken is not None:
                end, more = self._broken, f" It is {self.status}."
            else:
                more = self._rejoin.why_ended + self._unconfirmed()
        if end is None:
            return f"{self.name!r} is {state.name}, not closed"
        wire = getattr(self._websocket, "wire", None)
        ended_s = self._ended_s or time.monotonic()
        told = closed(
            end,
            replaced=self._replaced,
            last_pong_s=wire.last_pong_s if wire is not None else None,
            ended_s=ended_s,
            stalls=[
                stall
                for stall in self._stalls()
                if stall.began_s < ended_s and stall.began_s + stall.duration_s >= self._began_s
            ],
            handler_error=self._handler_error(),
            unsent=self._outbox.unsent if self._outbox is not None else 0,
            untaken=self._untaken,
            discarded=self.discarded,
        )
        return told + more

    def _unconfirmed(self) -> str:
        kept, end = self._talk.session.kept, self._end
        if not kept or end is None or (end.rcvd is not None and not end.rcvd_then_sent):
            return ""  # it answered our close frame, and has read all that was before it
        return f" {kept:,} of its events may not have arrived: the hub did not say that they came."

    def _stalls(self) -> list[Stall]:
        runners = {id(self._portal): self._portal, **_runner_of(self._target)}
        return [stall for runner in runners.values() for stall in tuple(runner.watchdog.stalls)]

    def _handler_error(self) -> str | None:
        address = self._wire.address if self._wire is not None else None
        for error in reversed(tuple(getattr(self._target, "errors", ()))):
            # An earlier client may have had the same port.
            if address is not None and error.peer == address and error.at >= self._began_at:
                return str(error)
        return None

    def _raise_closed(self) -> NoReturn:
        """Raise what websockets raised when the connection ended; wait for that end, briefly."""
        if self._pump_task is not None and not is_set_within(self._gone, CLOSE_WAIT_S):
            raise TimeoutError(f"{self.name!r} is {self.state.name} and does not end{self._held()}")
        assert self._end is not None
        raise self._explained(self._end) from self._end.__cause__

    def _explained(self, exc: ConnectionClosed) -> ConnectionClosed:
        fresh = type(exc)(exc.rcvd, exc.sent, exc.rcvd_then_sent)
        fresh.add_note(self.why_closed)
        return fresh

    def _held(self) -> str:
        if self._portal.answers():
            return ""
        return f"; {self._portal.held_by()}"

    def _refuse_own_thread(self, what: str) -> None:
        self._portal.fork.refuse(what)
        if threading.get_ident() == self._portal.thread_id:
            raise WrongThread(
                f"{what} was called on the lab's own loop, where it would wait for itself; async "
                "code awaits `websockets.connect(server.url)` instead"
            )

    def _is_served_here(self) -> bool:
        if self._target is not None or self._kwargs.get("unix"):
            return False  # it knows its loop
        host, port = check_url(self.url)
        return is_loopback(host) and loop_here_serves(host, port)

    def _refuse_to_wait_for_itself(self, what: str, *, has_bound: bool) -> None:
        self._refuse_own_thread(what)
        if not has_bound:
            _refuse_kernel_server(self._target, what)
            loop = running_loop()
            if loop is not None and self._no_server_of_ours is not loop:
                if self._is_served_here():
                    raise _waits_for_itself(what)
                self._no_server_of_ours = loop  # asked once: it takes milliseconds

    # Handles are context managers, and show themselves as text.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        if not self._portal.fork.is_child:  # a child leaves the block, too: nothing of it runs
            self.close()

    def __repr__(self) -> str:
        received, sent, *_ = self.counts
        if self._portal.fork.is_child:
            return f"<Client {self.name!r} to {shown(self.url)}, of the parent process>"
        errors = f", {self.errors_seen} errors" if self.errors_seen else ""
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return (
            f"<Client {self.name!r} to {shown(self.url)}, {self.status}, {sent} sent, "
            f"{received} received{waiting}{errors}>"
        )


def connect(
    target: Addressed | str,
    *,
    name: str | None = None,
    max_waiting: int = 1024,
    keep: bool = False,
    record: bool | int = True,
    compression: str | None = None,
    reconnect: bool | Reconnect = False,
    **kwargs: Any,
) -> Client:
    """Connect to a server; the connection is open when the call returns.

    Every other keyword of ``websockets.connect`` is handed on as it is. Running the cell again
    closes the old connection.

    Args:
        target: a Server, or any ``ws://`` or ``wss://`` URL.
        name: how views call it; "client 1", "client 2", ... by default.
        max_waiting: how many messages (at most 16 MiB of them) may wait for recv() before the
            sender is slowed down.
        keep: do not close this client when its cell runs again.
        record: put every byte on ``client.tape``, 16 MiB at the most; a number sets another bound
            in bytes. False keeps no byte; messages are still counted.
        compression: off by default, unlike in websockets, so that what you see on the wire is what
            was sent; ``"deflate"`` offers it (RFC 7692).
        reconnect: come back when the connection breaks off: True, or a :class:`Reconnect` with
            delays of your own. See below.
        kwargs: ``subprotocols``, ``additional_headers``, ``origin``, ``ssl``, ``ping_interval``,
            ``open_timeout`` (10 s) and all others of ``websockets.connect``.

    With ``reconnect`` the same Client survives its connection. Where that ends without anybody's
    having meant it (TCP breaks off, the server restarts or is too busy: 1001, 1006, 1011 to 1014),
    it tries again until it is open, with growing delays and full jitter; ``client.state`` is
    CONNECTING meanwhile, and ``client.reconnects`` lists the attempts. recv() and iteration wait
    across it, send() waits until it is open again, emit() keeps events until then. Final are
    close(), every other close code, a refusal such as 403 or 404, and a re-run of its cell. The
    first connection is tried once, as ever.

    ``Reconnect(on_open=...)`` names a function that is called with the client on each opening, the
    first included: to subscribe to a feed again, to say who one is. A plain one runs on a thread
    (the first time on the caller's own) and may use all of the client: send, recv, call; an
    ``async def`` runs on the lab's loop, where it awaits ``client.websocket``. What it raises at
    the first opening is raised here, and the client closed; what it raises later is kept in
    ``client.errors`` and shown, and the connection stays open. One call runs at a time: when its
    connection breaks off, the client raises ConnectionClosed in it, and the next opening has a call
    of its own. What other code sends meanwhile is not held back.

    From a Hub with a history every event then comes once, in order, and to it: the client names
    itself by ``?session=...`` in the URL, a secret that it makes up. ``client.gap`` says where that
    could not be kept. Any other server knows nothing of this: what either side sent around the
    moment of the break, or while there was no connection, is lost, and nobody is told.

    Raises:
        BadURL: not a WebSocket URL.
        TypeError: nobody knows a keyword: it says which one is nearest.
        ValueError: a header of your own that HTTP cannot carry, or another wrong argument.
        NobodyListening: nothing listens there.
        HandshakeRefused: something answered, but not with 101 (RFC 6455 §4.1).
        HandshakeTimeout: no answer came in time.
        ConnectFailed: the host is unknown, TLS failed, or another reason; the message says.
        WrongThread: called on the lab's loop, or from a cell to a server on the kernel's loop.
    """
    check_keywords(
        kwargs,
        "connect()",
        connect,
        ws_client.connect,
        asyncio.BaseEventLoop.create_connection,
        also=("unix", "path", *(f"proxy_{name}" for name in _TLS_KEYWORDS)),
    )
    policy = Reconnect.from_argument(reconnect)
    if policy is not None and kwargs.get("sock") is not None:
        raise ValueError("expected no sock= with reconnect: a socket can be connected only once")
    if max_waiting < 1:
        raise ValueError(f"expected max_waiting of at least 1 message, got {max_waiting}")
    if isinstance(target, str):
        url = target
    elif isinstance(getattr(target, "url", None), str):
        url = target.url
    else:
        raise BadURL(
            f"expected a Server or a ws:// URL, got {type(target).__name__} {target!r:.60}"
        )
    scheme, _, path = url.partition("+unix://")
    if path and scheme in ("ws", "wss"):
        kwargs.update(unix=True, path=path)
        url = f"{scheme}://localhost/"
    kwargs = finite_times(kwargs)
    host, port = check_url(url)
    check_headers(kwargs)
    local = target if not isinstance(target, str) else _server_at(host, port)
    _refuse_kernel_server(local, "connect()")
    if local is None and is_loopback(host) and loop_here_serves(host, port):
        raise _waits_for_itself("connect()")
    if is_loopback(host) or _runner_of(local):
        kwargs.setdefault("proxy", None)  # a proxy's own 127.0.0.1 is another machine
    claim = cells.claim("client", keep=keep)
    runner = portals.lab()
    name = name or f"client {next(_numbers)}"
    tape = new_tape(record, name=name)
    client = Client(url, name=name, runner=runner, target=local, tape=tape, reconnect=policy)
    open_timeout = kwargs.get("open_timeout", OPEN_TIMEOUT_S)
    bound = None if open_timeout is None else open_timeout + 1.0
    try:
        runner.call(
            client._open, {**kwargs, "compression": compression}, max_waiting, timeout=bound
        )
    except BaseException as exc:
        client._discard()
        told = client._not_opened(exc) if isinstance(exc, Exception) else None
        if told is None:
            raise
        if isinstance(told, NobodyListening):
            exc.__traceback__ = None  # TCP's refusal: a screenful of asyncio, no line of the user's
        raise told from exc
    opening = client._opening
    if opening is not None:
        try:
            opening.first(runner.call)
        except BaseException:
            client._discard()
            raise
    claim.adopt(client)
    if client._gone.is_set():  # closed by the server at once, before it was entered
        cells.forget(client)
    return client


_numbers = itertools.count(1)
# What websockets hands on to an https:// proxy with a prefix.
_TLS_KEYWORDS = ("ssl", "server_hostname", "ssl_handshake_timeout", "ssl_shutdown_timeout")


@functools.lru_cache(maxsize=32)
def _short_cut_kind(kind: Any) -> type:
    # A message that is one frame needs no queue between the loop and the inbox: it goes there as
    # it is read, which saves two turns of the loop.
    class ShortCut(kind):  # type: ignore[misc]
        _came: Any = None

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", 8)
            if opcode < 8 and self._came is not None and self._came(event):
                return
            super().process_event(event)

        def connection_lost(self, exc: Exception | None) -> None:
            self._came = None  # it leads back here: a cycle
            super().connection_lost(exc)

    ShortCut.__name__, ShortCut.__qualname__ = kind.__name__, kind.__qualname__
    ShortCut.__module__ = kind.__module__
    return ShortCut


def _server_at(host: str, port: int) -> Any:
    """This process's own server at that address, if there is one."""
    is_here = is_loopback(host)
    for thing in cells.things():
        if getattr(thing, "port", None) == port and (is_here or getattr(thing, "host", "") == host):
            return thing
    return None


def _runner_of(server: Any) -> dict[int, Any]:
    runner = getattr(server, "runner", None)
    return {} if runner is None else {id(runner): runner}


def _waits_for_itself(what: str) -> WrongThread:
    return WrongThread(
        f"{what} would wait for itself: the server's event loop runs on this very thread, and gets "
        "no turn while it waits. In async code await websockets' own calls (`async with "
        "websockets.connect(url) as websocket: ...`), or move this one off the loop: `await "
        f"asyncio.to_thread(...)`. A server by wslab.serve() has a loop of its own"
    )


def _refuse_kernel_server(server: Any, what: str) -> None:
    runner = getattr(server, "runner", None)
    if isinstance(runner, KernelPortal) and threading.get_ident() == runner.thread_id:
        raise WrongThread(
            f"{what} would wait for ever: the server runs on the kernel's loop, which gets no turn "
            "while this very cell waits for it. Await it: `async with websockets.connect(url) as "
            "websocket: ...`, or start the server on the lab's loop (leave out loop=)"
        )

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
import threading
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from websockets.asyncio import client as ws_client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from . import cells, portal, why
from .boxes import Feed, Inbox, Message, Outbox, check_fragments
from .errors import BadURL, LoopBlocked, PortalClosed, WrongThread
from .recording import Wire, new_tape, recorded
from .wire.closecodes import close_code_meaning, may_be_sent
from .wire.tape import Tape

if TYPE_CHECKING:
    import types

    from .stalls import Stall

__all__ = ["Client", "connect"]

OPEN_TIMEOUT_S = 10.0
KEEP_RECEIVED = 1_000  # messages, and at most so many bytes of them:
KEEP_RECEIVED_BYTES = 4 * 2**20
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


class Client:
    """One connection; made by :func:`connect`. Works from any thread but the lab's loop's own.

    Iterating gives the messages as they come and ends when the connection closes normally. Use it
    as a context manager to close it at the end of a ``with`` block.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        runner: portal.Portal,
        target: Any = None,
        tape: Tape | None = None,
    ) -> None:
        self.url = url
        self.name = name
        self.tape = tape
        self.received_dropped = 0
        self.discarded = 0  # messages that came while it was closing and found no room
        self._portal = runner
        self._target = target  # this process's own server, if that is where it goes
        self._websocket: Any = None
        self._tried: Any = None  # the connection in its handshake
        self._wire: Wire | None = None
        self._inbox: Inbox | None = None
        self._outbox: Outbox | None = None
        self._received: collections.deque[Message] = collections.deque()
        self._received_bytes = 0
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
        return self._websocket.state if self._websocket is not None else State.CONNECTING

    @property
    def close_code(self) -> int | None:
        """The close code, None while the connection is open; 1006 where it broke off."""
        return self._websocket.close_code if self._websocket is not None else None

    @property
    def close_reason(self) -> str | None:
        """The reason that came with the close code, None while the connection is open."""
        return self._websocket.close_reason if self._websocket is not None else None

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
        return (wire.received, wire.sent, wire.received_bytes, wire.sent_bytes)

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

    # Opening; these run on the loop.

    async def _open(self, kwargs: dict[str, Any], max_waiting: int) -> None:
        loop = asyncio.get_running_loop()
        self._inbox = Inbox(max_waiting, loop)
        base: Any = kwargs.pop("create_connection", None) or ws_client.ClientConnection
        if getattr(base, "recv", None) is ws_client.ClientConnection.recv:
            base = _short_cut_kind(base)
        kwargs["create_connection"] = recorded(
            base, self._made, self._lost, side="client", tape=self.tape
        )
        kwargs.setdefault("logger", logger)
        try:
            self._websocket = await ws_client.connect(self.url, **kwargs)
        except AssertionError:
            # What a server that speaks first (SSH, SMTP) does to websockets; it knows the reason.
            failure = self._tried and self._tried.protocol.handshake_exc
            if failure is None:
                raise
            raise failure from failure.__cause__
        finally:
            self._tried = None
        if self._websocket.state is State.CLOSED:  # already, before this end was ready
            self._lost(self._websocket)
        self._outbox = Outbox(self._websocket, loop)
        self._portal.watch(loop)
        self._pump_task = loop.create_task(self._pump())

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
        try:
            message = str(frame.data, "utf-8") if frame.opcode == Opcode.TEXT else bytes(frame.data)
        except UnicodeDecodeError:
            self._on_long_way += 1
            return False  # websockets closes with 1007
        self._keep(message)
        inbox.put(message)
        return True

    def _made(self, websocket: Any, transport: Any) -> None:
        # A redirect makes several of them, one after the other; the last one counts.
        self._tried = websocket
        self._wire = wire = websocket.wire
        if hasattr(websocket, "_came"):  # else it leads back here, and nobody would ask it
            websocket._came = self._came
        wire.label = self.name
        wire.fileno = portal.inherit(transport)

    def _lost(self, websocket: Any) -> None:
        wire = websocket.wire
        portal.inherited.discard(wire.fileno)
        if websocket is not self._websocket:
            return
        self._ended_s = time.monotonic()
        assert self._inbox is not None
        self._untaken = len(self._inbox) if self._inbox.is_full else 0
        self._inbox.open = False  # nothing more comes from the network: take in what is here
        self._inbox.wake()

    def _discard(self) -> None:
        # The handshake failed: leave nothing of this end behind.
        if self._websocket is not None and self._closing is None:
            self.begin_close()

    async def _pump(self) -> None:
        inbox, websocket = self._inbox, self._websocket
        assert inbox is not None
        try:
            while True:
                message = await websocket.recv()
                self._on_long_way -= 1
                self._keep(message)
                if self._is_closing_down and self.waiting >= 2 * inbox.limit:
                    self.discarded += 1  # read on to the close frame, but keep no more
                elif not inbox.put(message):
                    await inbox.room()
        except ConnectionClosed as exc:
            self._end = exc.with_traceback(None)  # whose frames hold this very client
        except BaseException as exc:  # never leave a reader waiting
            self._end = ConnectionClosedError(None, None)
            self._end.__cause__ = exc
            if isinstance(exc, asyncio.CancelledError):
                self._end.__cause__ = PortalClosed("the lab's loop was closed")
                raise
        finally:
            self._portal.unwatch()
            cells.forget(self)
            self._gone.set()
            inbox.end()

    def _keep(self, message: Message) -> None:
        with self._lock:
            self._received.append(message)
            self._received_bytes += len(message)
            while len(self._received) > 1 and (
                len(self._received) > KEEP_RECEIVED or self._received_bytes > KEEP_RECEIVED_BYTES
            ):
                self._received_bytes -= len(self._received.popleft())
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
            _check_iterable(message)
        self._refuse_own_thread("send()")
        if self.state is not State.OPEN:
            self._raise_closed()
        assert self._outbox is not None
        feed = None
        if not is_whole and not isinstance(message, list | tuple | AsyncIterable):
            feed = Feed(self._portal.loop)
        elif isinstance(message, list | tuple):
            message = list(message)  # the caller may change it before its turn
        gone = self._outbox.put(message if feed is None else feed)
        if gone is None:
            return
        try:
            if feed is not None:
                feed.run(message, gone, timeout)
            else:
                gone.result(timeout)
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
                    if feed is None
                    else "Part of it is on its way, which ends the connection (RFC 6455 §5.4)"
                )
            ) from None
        except BaseException:
            gone.cancel()
            raise

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
        if not inbox and not inbox.ended:
            self._refuse_to_wait_for_itself("recv()", has_bound=timeout is not None)
        try:
            message = inbox.get(timeout)
        except queue.Empty:
            raise TimeoutError(
                f"{self.name!r} got no message within {timeout:g} s; the connection is "
                f"{self.state.name}{self._held()}"
            ) from None
        if message is None:
            self._raise_closed()
        return message

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.recv()
            except ConnectionClosedOK:
                return

    def ping(self, timeout: float = 10.0) -> float:
        """Send a ping and wait for its pong (RFC 6455 §5.5.2); return the round trip in seconds.

        Raises:
            TimeoutError: no pong came within ``timeout`` seconds.
            ConnectionClosed: the connection is closed.
        """
        self._refuse_to_wait_for_itself("ping()", has_bound=True)

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

    # Closing.

    def close(self, code: int = 1000, reason: str = "", timeout: float = 5.0) -> None:
        """Close the connection with the closing handshake (RFC 6455 §7.1.2); idempotent.

        Messages that came before can still be taken with recv().

        Args:
            code: 1000 (normal), 1001, 3000 to 4999 and the few others that may be sent.
            reason: at most 123 bytes of UTF-8.
            timeout: seconds to wait for the other side's close frame; then TCP is cut.

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
        if not self._gone.is_set():
            self._refuse_own_thread("close()")
        closing = self._begin(code, reason, timeout)
        try:
            closing.result(timeout + 1.0)
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

    def _begin(self, code: int, reason: str, timeout: float) -> concurrent.futures.Future[None]:
        with self._lock:
            if self._closing is None:
                try:
                    if self._gone.is_set():
                        raise PortalClosed
                    self._closing = self._portal.submit(self._close, code, reason, timeout)
                except PortalClosed:  # nothing is left to close
                    self._closing = concurrent.futures.Future()
                    self._closing.set_result(None)
            return self._closing

    async def _close(self, code: int, reason: str, timeout: float) -> None:
        assert self._inbox is not None
        websocket = self._websocket
        self._is_closing_down = websocket.state is State.OPEN
        self._inbox.open = False
        self._inbox.wake()
        try:
            async with asyncio.timeout(timeout):
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

    # Saying why.

    @property
    def why_closed(self) -> str:
        """In words: who closed the connection, what the code means, and what went before it."""
        end = self._end
        if end is None and self.state is State.CLOSED:
            end = self._websocket.close_exc  # it closed an instant ago
        if end is None:
            return f"{self.name!r} is {self.state.name}, not closed"
        ended_s = self._ended_s or time.monotonic()
        return why.closed(
            end,
            replaced=self._replaced,
            last_pong_s=self._wire.last_pong_s if self._wire else None,
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

    def _stalls(self) -> list[Stall]:
        runners = {id(self._portal): self._portal, **_runner_of(self._target)}
        return [stall for runner in runners.values() for stall in tuple(runner.stalls)]

    def _handler_error(self) -> str | None:
        address = self._wire.address if self._wire is not None else None
        for error in reversed(tuple(getattr(self._target, "errors", ()))):
            # An earlier client may have had the same port.
            if address is not None and error.peer == address and error.at >= self._began_at:
                return str(error)
        return None

    def _raise_closed(self) -> NoReturn:
        """Raise what websockets raised when the connection ended; wait for that end, briefly."""
        if self._pump_task is not None and not self._gone.wait(CLOSE_WAIT_S):
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
        if threading.get_ident() == self._portal.thread_id:
            raise WrongThread(
                f"{what} was called on the lab's own loop, where it would wait for itself; async "
                "code awaits `websockets.connect(server.url)` instead"
            )

    def _refuse_to_wait_for_itself(self, what: str, *, has_bound: bool) -> None:
        self._refuse_own_thread(what)
        if not has_bound:
            _refuse_kernel_server(self._target, what)

    # Handles are context managers, and show themselves as text.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        received, sent, *_ = self.counts
        state = self.state.name
        if self.state is State.CLOSED and self.close_code is not None:
            state = f"CLOSED with {self.close_code}"
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return (
            f"<Client {self.name!r} to {why.shown(self.url)}, {state}, {sent} sent, "
            f"{received} received{waiting}>"
        )


def connect(
    target: Addressed | str,
    *,
    name: str | None = None,
    max_waiting: int = 1024,
    keep: bool = False,
    record: bool | int = True,
    compression: str | None = None,
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
        kwargs: ``subprotocols``, ``additional_headers``, ``origin``, ``ssl``, ``ping_interval``,
            ``open_timeout`` (10 s) and all others of ``websockets.connect``.

    Raises:
        BadURL: not a WebSocket URL.
        NobodyListening: nothing listens there.
        HandshakeRefused: something answered, but not with 101 (RFC 6455 §4.1).
        HandshakeTimeout: no answer came in time.
        ConnectFailed: the host is unknown, TLS failed, or another reason; the message says.
        WrongThread: called on the lab's loop, or from a cell to a server on the kernel's loop.
    """
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
    host, port = why.check_url(url)
    local = target if not isinstance(target, str) else _server_at(host, port)
    _refuse_kernel_server(local, "connect()")
    if why.is_loopback(host):
        kwargs.setdefault("proxy", None)  # a proxy's own 127.0.0.1 is another machine
    claim = cells.claim("client", keep=keep)
    runner = portal.lab()
    name = name or f"client {next(_numbers)}"
    tape = new_tape(record, name=name)
    client = Client(url, name=name, runner=runner, target=local, tape=tape)
    open_timeout = kwargs.get("open_timeout", OPEN_TIMEOUT_S)
    bound = None if open_timeout is None else open_timeout + 1.0
    try:
        runner.call(
            client._open, {**kwargs, "compression": compression}, max_waiting, timeout=bound
        )
    except BaseException as exc:
        client._discard()
        told = why.not_opened(exc, url, local) if isinstance(exc, Exception) else None
        if told is None:
            raise
        raise told from exc
    claim.adopt(client)
    if client._gone.is_set():  # closed by the server at once, before it was entered
        cells.forget(client)
    return client


_numbers = itertools.count(1)


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


def _check_iterable(message: Any) -> None:
    if isinstance(message, list | tuple):
        check_fragments(message)
    elif isinstance(message, Mapping) or not isinstance(message, Iterable | AsyncIterable):
        raise TypeError(
            f"expected str (a text frame) or bytes (a binary frame), got "
            f"{type(message).__name__}; a WebSocket carries no objects: "
            "json.dumps(...) makes a str of one"
        )


def _server_at(host: str, port: int) -> Any:
    """This process's own server at that address, if there is one."""
    if not why.is_loopback(host):
        return None
    return next((t for t in cells.things() if getattr(t, "port", None) == port), None)


def _runner_of(server: Any) -> dict[int, Any]:
    runner = getattr(server, "runner", None)
    return {} if runner is None else {id(runner): runner}


def _refuse_kernel_server(server: Any, what: str) -> None:
    runner = getattr(server, "runner", None)
    if isinstance(runner, portal.KernelPortal) and threading.get_ident() == runner.thread_id:
        raise WrongThread(
            f"{what} would wait for ever: the server runs on the kernel's loop, which gets no turn "
            "while this very cell waits for it. Await it: `async with websockets.connect(url) as "
            "websocket: ...`, or start the server on the lab's loop (leave out loop=)"
        )

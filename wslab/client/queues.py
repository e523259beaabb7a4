"""The boxes between a plain thread and the loop: messages that came, messages that shall go.

Their rule: order is kept, nothing is lost (not by a timeout, not by an interrupt), nobody waits for
what is already here, and neither box grows beyond its bound: the inbox holds the sender back, the
outbox the caller. What a message means, and when a connection ends, is for `client` to know.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import math
import queue
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from websockets.asyncio.connection import broadcast
from websockets.protocol import State

from ..errors import PortalClosed
from ..waiting import SLICE_S, any_done_within, deadline_after, left_until, result_of

__all__ = [
    "Feed",
    "Inbox",
    "Message",
    "Outbox",
    "check_fragments",
    "check_iterable",
    "size_of",
]

Message = str | bytes
T = TypeVar("T")

MAX_WAITING_BYTES = 16 * 2**20  # of messages that came and that nobody has taken
MAX_UNSENT_BYTES = 64 * 2**10  # as much may be handed over without waiting for the loop
UNSENT_OVERHEAD_BYTES = 16  # what each counts beside its payload: an empty one is not free


def size_of(message: Message) -> int:
    """Return at least the bytes of memory that a message takes, and the same at each asking.

    A character takes up to four. ``sys.getsizeof`` would say how many, but more of them after
    somebody has had the text encoded.
    """
    is_narrow = isinstance(message, bytes) or message.isascii()
    return len(message) if is_narrow else 4 * len(message)


class Inbox:
    """Messages that came and that nobody has taken yet: filled on the loop, emptied anywhere.

    Taking a message that is here costs no hop between threads. When it is full, the pump on the
    loop waits until it is half empty, and websockets stops reading from the socket.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self.limit = limit
        self._loop = loop
        self._lock = threading.Lock()  # guards what follows
        self._messages: collections.deque[Message] = collections.deque()
        self._size_bytes = 0
        self._readers = 0  # threads that wait at the bell
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._room: asyncio.Event | None = None  # there while the pump waits for room
        self.open = True  # False when nobody shall wait for room any more
        self.ended = False

    def put(self, message: Message) -> bool:
        """Add a message, on the loop; whether there is room for more."""
        with self._lock:
            self._messages.append(message)
            self._size_bytes += size_of(message)
            if self._readers > self._bell.qsize():
                self._bell.put(None)
            return not self._is_over(self.limit, MAX_WAITING_BYTES)

    def end(self) -> None:
        """Say that no message will follow; on the loop."""
        with self._lock:
            self.ended = True
            for _ in range(self._readers):
                self._bell.put(None)

    @property
    def is_full(self) -> bool:
        """Whether the pump waits for room, so that nothing more is read from the socket."""
        return self._room is not None

    @property
    def is_at_limit(self) -> bool:
        """Whether there is no room for another message."""
        return self._is_over(self.limit, MAX_WAITING_BYTES)

    @property
    def is_twice_full(self) -> bool:
        """Whether it holds twice what it may: then nothing is kept, although nobody waits."""
        return self._is_over(2 * self.limit, 2 * MAX_WAITING_BYTES)

    def _is_over(self, count: int, size_bytes: int) -> bool:
        return len(self._messages) >= count or self._size_bytes >= size_bytes

    def _is_over_half(self) -> bool:
        return self._is_over(self.limit // 2 + 1, MAX_WAITING_BYTES // 2 + 1)

    async def room(self) -> None:
        """Wait until it is half empty; on the loop."""
        # First the event, then the question; get() does it the other way round. So whoever is
        # second sees what the first did, and no wake-up is lost.
        self._room = room = asyncio.Event()
        try:
            while self.open and self._is_over_half():
                await room.wait()
                room.clear()
        finally:
            self._room = None

    def wake(self) -> None:
        """Let the pump look again; on the loop."""
        if self._room is not None:
            self._room.set()

    def _wake_pump(self) -> None:
        if self._room is not None and not self._is_over_half():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the pump with it
                self._loop.call_soon_threadsafe(self.wake)

    def get(self, timeout: float | None) -> Message | None:
        """Take the oldest message, or None where the connection has ended (that stays).

        Raises:
            queue.Empty: nothing came within ``timeout`` seconds.
        """
        deadline_s = deadline_after(timeout)
        while True:
            is_taken = is_waiting = False
            try:
                with self._lock:
                    if self._messages:
                        # An interrupt strikes between any two calls, and a call's result would be
                        # lost with it. So: look, then delete, and put back what was not handed out.
                        message = self._messages[0]
                        del self._messages[0]
                        is_taken = True
                        self._size_bytes -= size_of(message)
                    elif self.ended:
                        return None
                    else:
                        self._readers += 1
                        is_waiting = True
                if self._room is not None:
                    self._wake_pump()
                if is_waiting:
                    # The bell only says that it is worth looking again.
                    self._bell.get(timeout=min(left_until(deadline_s), SLICE_S))
            except queue.Empty:
                if time.monotonic() >= deadline_s and not self._messages and not self.ended:
                    raise  # and nothing came in the last instant either
            except BaseException:
                if is_taken:
                    with self._lock:
                        self._messages.appendleft(message)
                        self._size_bytes += size_of(message)
                raise
            finally:
                if is_waiting:
                    with self._lock:
                        self._readers -= 1
            if is_taken:
                return message

    def sift(self, func: Callable[[list[Message]], list[Message]]) -> None:
        """Let ``func`` choose which of the messages that are here stay; on the loop."""
        with self._lock:
            self._messages = collections.deque(func(list(self._messages)))
            self._size_bytes = sum(map(size_of, self._messages))
        if not self._is_over_half():
            self.wake()

    def __len__(self) -> int:
        return len(self._messages)


class _Unsent(NamedTuple):
    message: Any
    is_text: bool | None  # of bytes that are a str, encoded already; None: see message itself
    size_bytes: int
    gone: concurrent.futures.Future[None] | None  # there where the caller waits
    following: tuple[bytes, ...]  # messages that must go out right behind it


class Outbox:
    """Messages on their way to the socket: filled anywhere, emptied on the loop, in order.

    Handing a small message over costs no wait for the loop, as writing to a socket costs no wait
    for the network; what would grow beyond the bound waits for its turn.
    """

    def __init__(self, websocket: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._websocket = websocket
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: collections.deque[_Unsent] = collections.deque()
        self._waiting_bytes = 0
        self._is_scheduled = False
        self._sender: asyncio.Task[None] | None = None
        # A connection class of the user's own may do something else in its send().
        self._is_plain: bool = websocket.sends_plainly
        self.unsent = 0  # handed over, but the connection closed before their turn

    @property
    def is_open(self) -> bool:
        """Whether what is handed over has a chance to go out."""
        websocket = self._websocket
        return websocket.state is State.OPEN and not websocket.transport.is_closing()

    def put(
        self, message: Any, following: tuple[bytes, ...] = ()
    ) -> concurrent.futures.Future[None] | None:
        """Hand a message over; a future where one has to wait until it has gone out.

        Args:
            message: whatever websockets can send.
            following: binary messages with nothing between them and this one.

        Raises:
            UnicodeEncodeError: a str that UTF-8 cannot carry (a lone surrogate).
        """
        is_text = None
        # What is encoded or copied here, on the caller's thread, keeps the loop free for others.
        if isinstance(message, str) and self._is_plain:
            message, is_text = message.encode(), True
        elif isinstance(message, bytearray | memoryview):
            message = bytes(message)  # the caller may change it before its turn
        is_whole = isinstance(message, bytes) and self._is_plain
        size_bytes = len(message) + UNSENT_OVERHEAD_BYTES if is_whole else 0
        if following:
            size_bytes += sum(map(len, following))
        with self._lock:
            is_over = self._waiting_bytes + size_bytes > MAX_UNSENT_BYTES
            gone = None if is_whole and not is_over else concurrent.futures.Future[None]()
            self._waiting.append(_Unsent(message, is_text, size_bytes, gone, following))
            self._waiting_bytes += size_bytes
            if not self._is_scheduled:
                try:
                    self._loop.call_soon_threadsafe(self._flush)
                except RuntimeError:
                    raise PortalClosed("the lab's loop has been closed") from None
                self._is_scheduled = True  # after it: an interrupt in between must not stop it all
        return gone

    def _take(self) -> None:
        with self._lock:
            self._waiting_bytes -= self._waiting.popleft().size_bytes

    def _flush(self) -> None:
        with self._lock:
            self._is_scheduled = False
        if self._sender is not None:
            return  # it empties the box in order
        websocket = self._websocket
        while self._waiting:
            message, is_text, _, gone, following = self._waiting[0]
            if (
                gone is not None
                or websocket.send_in_progress is not None
                or websocket.transport.get_write_buffer_size() > MAX_UNSENT_BYTES
            ):
                self._sender = self._loop.create_task(self._send_waiting())
                return
            self._take()
            if websocket.state is not State.OPEN or websocket.transport.is_closing():
                self.unsent += 1
                continue
            try:  # one receiver: a send() that needs no task
                broadcast((websocket,), message, text=is_text, raise_exceptions=True)
                for message in following:
                    broadcast((websocket,), message, raise_exceptions=True)
            except ExceptionGroup:
                self.unsent += 1

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                message, is_text, _, gone, following = self._waiting[0]
                try:
                    if gone is None or gone.set_running_or_notify_cancel():
                        if is_text is None:
                            await self._websocket.send(message)
                        else:
                            await self._websocket.send(message, text=is_text)
                        for message in following:
                            await self._websocket.send(message)
                except BaseException as exc:
                    if gone is None:
                        self.unsent += 1
                    else:
                        gone.set_exception(exc)
                    if isinstance(exc, asyncio.CancelledError):
                        raise
                else:
                    if gone is not None and not gone.cancelled():
                        gone.set_result(None)
                finally:
                    self._take()
        finally:
            self._sender = None

    async def empty(self) -> None:
        """Wait until all that was handed over has gone out, or cannot any more; on the loop."""
        self._flush()
        if self._sender is not None:
            await asyncio.wait([self._sender])


EXPECTED_FRAGMENTS = "expected the fragments of one message, all of them str or all of them bytes"
_BYTES = (bytes, bytearray, memoryview)


def check_fragments(fragments: Iterable[Any]) -> None:
    """Refuse fragments that could not make up one message (RFC 6455 §5.4).

    Raises:
        TypeError: what was expected and what came.
    """
    kind: type | tuple[type, ...] | None = None
    for fragment in fragments:
        kind = kind or _kind(fragment)
        if not isinstance(fragment, kind):
            raise TypeError(f"{EXPECTED_FRAGMENTS}, got {type(fragment).__name__} as well")


def _kind(fragment: Any) -> type | tuple[type, ...]:
    if isinstance(fragment, str):
        return str
    if isinstance(fragment, _BYTES):
        return _BYTES
    raise TypeError(
        f"{EXPECTED_FRAGMENTS}, got {type(fragment).__name__}; a WebSocket carries no objects: "
        "json.dumps(...) makes a str of one"
    )


def check_iterable(message: Any) -> None:
    """Refuse what is no message and cannot be the fragments of one.

    Raises:
        TypeError: what was expected and what came.
    """
    if isinstance(message, list | tuple):
        check_fragments(message)
    elif isinstance(message, Mapping) or not isinstance(message, Iterable | AsyncIterable):
        raise TypeError(
            f"expected str (a text frame) or bytes (a binary frame), got "
            f"{type(message).__name__}; a WebSocket carries no objects: "
            "json.dumps(...) makes a str of one"
        )


class _GivenUp(Exception):
    """Told to websockets where the caller's thread will make no more fragments."""


class Feed:
    """Fragments that the caller's thread makes, as an asynchronous iterator on the loop.

    A generator's code may block, or wait for this very client: on the loop that would hold
    everybody. So it runs where it was called from, one fragment ahead of the socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[tuple[Any, concurrent.futures.Future[None]]] = asyncio.Queue()
        self._has_begun = False

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Any:
        fragment, taken = await self._queue.get()
        taken.set_result(None)
        if isinstance(fragment, StopIteration) or (
            isinstance(fragment, _GivenUp) and not self._has_begun
        ):
            raise StopAsyncIteration  # before the first one: nothing is sent at all
        if isinstance(fragment, _GivenUp):
            raise fragment
        self._has_begun = True
        return fragment

    def run(
        self,
        fragments: Iterable[Any],
        gone: concurrent.futures.Future[None],
        timeout: float | None,
    ) -> None:
        """Make the fragments and hand them over; on the caller's thread.

        Args:
            fragments: what makes them.
            gone: done when the message has gone out, or cannot any more.
            timeout: seconds to wait, in all, for the loop to take them.

        Raises:
            TimeoutError: they were not taken in time; if the first one was, the connection fails
                with 1011, since half a message cannot be taken back.
        """
        left_s = math.inf if timeout is None else timeout
        kind: type | tuple[type, ...] | None = None
        try:
            for fragment in fragments:
                kind = kind or _kind(fragment)
                if not isinstance(fragment, kind):
                    raise TypeError(f"{EXPECTED_FRAGMENTS}, got {type(fragment).__name__} as well")
                began_s = time.monotonic()
                taken = self._offer(fragment)
                if not any_done_within((taken, gone), left_s):
                    raise TimeoutError
                if gone.done():
                    break
                left_s = max(left_s - (time.monotonic() - began_s), 0.0)
        except BaseException:
            if not gone.cancel():
                self._offer(_GivenUp("the fragments of a message ended before the last one"))
            raise
        self._offer(StopIteration())
        result_of(gone, left_s)

    def _offer(self, fragment: Any) -> concurrent.futures.Future[None]:
        taken = concurrent.futures.Future[None]()
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (fragment, taken))
        except RuntimeError:
            raise PortalClosed("the lab's loop has been closed") from None
        return taken

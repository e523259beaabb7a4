"""Messages that came and that nobody has taken yet, between the loop and plain threads.

Its rule: order is kept, nothing is lost (not by a timeout, not by an interrupt), nobody waits for
what is already here, and it does not grow beyond its bound: then the sender is slowed down. What a
message means, and when a connection ends, is for others to know.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import queue
import threading
import time
from collections.abc import Callable

from ..calls.waiting import deadline_after, left_until, pause

__all__ = ["Message", "ReceiveQueue", "size_of"]

Message = str | bytes

MAX_WAITING_BYTES = 16 * 2**20  # of messages that came and that nobody has taken


def size_of(message: Message) -> int:
    """Return at least the bytes of memory that a message takes, and the same at each asking.

    A character takes up to four. ``sys.getsizeof`` would say how many, but more of them after
    somebody has had the text encoded.
    """
    is_narrow = isinstance(message, bytes) or message.isascii()
    return len(message) if is_narrow else 4 * len(message)


class ReceiveQueue:
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
    def size_bytes(self) -> int:
        """At least the bytes of the messages in it."""
        return self._size_bytes

    @property
    def has_room(self) -> bool:
        """Whether another message may come, and somebody may wait for it to be taken."""
        is_below = len(self._messages) < self.limit and self._size_bytes < MAX_WAITING_BYTES
        return is_below and self.open

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
                    pause(self._bell.get, left_until(deadline_s))
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

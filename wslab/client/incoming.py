"""Where the messages of a client go: to the record of the latest, to handlers, and to recv().

Its rule: each has a bound, and where one is reached nothing more is read from the network, so that
TCP slows the sender down; while the client closes, when nobody slows anybody down any more, what
finds no room is counted and dropped. What is recorded is bounded by a count and by bytes, and what
it no longer keeps is counted, too. It lives longer than a connection and knows none.
"""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable
from typing import Any

from .receive_queue import Message, ReceiveQueue, size_of

__all__ = ["Incoming", "ReceivedLog"]


class Incoming:
    """Takes messages in, on the loop.

    Args:
        max_waiting: how many may wait for recv() before the sender is slowed down.
        loop: on which they come.
    """

    def __init__(self, max_waiting: int, loop: asyncio.AbstractEventLoop) -> None:
        self.log = ReceivedLog()
        self.queue = ReceiveQueue(max_waiting, loop)
        self.dispatcher: Any = None  # an EventDispatcher, once there is something to talk about
        self.is_closing_down = False  # close() was called while the connection was open
        self.discarded = 0  # messages that came meanwhile and found no room

    @property
    def has_room(self) -> bool:
        """Whether a message can be put in without waiting."""
        dispatcher = self.dispatcher
        return self.queue.has_room and (dispatcher is None or not dispatcher.queue.is_at_limit)

    def put(self, message: Message) -> None:
        """Take in a message, where there is room."""
        if self.dispatcher is None:
            self.log.keep(message, self.queue.put)
        else:
            self.log.keep(message)
            for own in self.dispatcher.take(message):
                self.queue.put(own)

    async def put_and_wait(self, message: Message) -> None:
        """Take in a message, and wait until there is room for another one."""
        self.log.keep(message)
        queue, dispatcher = self.queue, self.dispatcher
        if self.is_closing_down and dispatcher is not None and dispatcher.queue.is_twice_full:
            self.discarded += 1
            return
        for own in (message,) if dispatcher is None else dispatcher.take(message):
            if self.is_closing_down and queue.is_twice_full:
                self.discarded += 1  # read on to the close frame, but keep no more
            elif not queue.put(own):
                await queue.room()
        if dispatcher is not None and dispatcher.queue.is_at_limit and queue.open:
            await dispatcher.queue.room()

    def stop_waiting(self) -> None:
        """Note that nothing more comes from the network: what is here is taken in at once."""
        self.queue.open = False
        self.queue.wake()
        if self.dispatcher is not None:
            self.dispatcher.queue.wake()

    def connection_lost(self) -> None:
        """Note that all of a connection has been taken in; what it had begun is a message."""
        if self.dispatcher is not None:
            for message in self.dispatcher.lost():
                self.queue.put(message)

    def end(self) -> None:
        """Say that no connection will follow."""
        self.queue.end()
        if self.dispatcher is not None:
            self.dispatcher.end()


KEEP_RECEIVED = 1_000  # messages, and at most so many bytes of them:
KEEP_RECEIVED_BYTES = 4 * 2**20


class ReceivedLog:
    """Filled on the loop, read from any thread."""

    def __init__(self) -> None:
        self.dropped = 0  # older ones that are no longer kept
        self._lock = threading.Lock()
        self._messages: collections.deque[Message] = collections.deque()
        self._size_bytes = 0
        self._first: Message | None = None  # where it is no longer among the messages

    def keep(self, message: Message, then: Callable[[Message], object] | None = None) -> None:
        """Add a message, and let go of the oldest where there are too many.

        Args:
            message: what came.
            then: is handed the message before that is done, so that who waits for it wakes up
                meanwhile; asking for the latest waits until it is here as well.
        """
        with self._lock:
            if then is not None:
                then(message)
            self._messages.append(message)
            self._size_bytes += size_of(message)
            while len(self._messages) > 1 and (
                len(self._messages) > KEEP_RECEIVED or self._size_bytes > KEEP_RECEIVED_BYTES
            ):
                oldest = self._messages.popleft()
                self._size_bytes -= size_of(oldest)
                if not self.dropped:
                    self._first = oldest
                self.dropped += 1

    def latest(self) -> tuple[Message, ...]:
        """Return those that are kept, oldest first."""
        with self._lock:
            return tuple(self._messages)

    def first(self) -> Message | None:
        """Return the very first that came, kept or not; None where none has come."""
        with self._lock:
            return self._first if self.dropped else next(iter(self._messages), None)

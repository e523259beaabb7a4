"""The latest messages that came, whether somebody has taken them or not.

Its rule: bounded by a count and by bytes; what it no longer keeps is counted.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

from .receive_queue import Message, size_of

__all__ = ["ReceivedLog"]

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

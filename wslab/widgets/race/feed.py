"""Feed: numbered updates, and whoever waits for the next one; what all lanes of a race tell.

Its rule: updates count from 1, and a reader says the last number that it has: so every way, also
one that asks again and again, gets the same. It keeps the latest ones, up to a bound in bytes; who
comes back too late begins with the oldest that is kept. ``add`` may be called on any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator

__all__ = ["Feed"]

MAX_BYTES = 2**20


class Feed:
    """Updates in order, numbered from 1.

    Args:
        max_bytes: how much of text it keeps, as UTF-8; the oldest updates go first.

    Attributes:
        last: the number of the latest update; 0 before the first.
        dropped: how many it no longer has.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.last = 0
        self.dropped = 0
        self._texts: deque[str] = deque()
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add(self, text: str) -> int:
        """Add an update, wake all who wait, and return its number.

        Args:
            text: what it says.
        """
        with self._lock:
            self._texts.append(text)
            self._held_bytes += len(text.encode())
            while self._held_bytes > self.max_bytes and len(self._texts) > 1:
                self._held_bytes -= len(self._texts.popleft().encode())
                self.dropped += 1
            self.last += 1
            waiting, self._waiting = self._waiting, set()
            number = self.last
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
        return number

    def since(self, number: int) -> list[str]:
        """Return the updates after this number, oldest first.

        Args:
            number: the last one that the reader has; 0 for none.
        """
        with self._lock:
            missing = self.last - max(number, self.dropped)
            return list(self._texts)[len(self._texts) - missing :] if missing > 0 else []

    async def newer(self, number: int, within_s: float | None = None) -> bool:
        """Wait until there is an update after this number; return whether there is.

        Args:
            number: the last one that the reader has.
            within_s: seconds; None waits until the task is cancelled.
        """
        place = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self.last > number:
                return True
            self._waiting.add(place)
        try:
            async with asyncio.timeout(within_s):
                await place[1].wait()
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.discard(place)
        return True

    async def each(self, after: int = 0) -> AsyncIterator[tuple[int, str]]:
        """Give each update after this number with its own, for as long as it is gone through."""
        while True:
            await self.newer(after)
            texts = self.since(after)
            after = self.last - len(texts)
            for text in texts:
                after += 1
                yield after, text

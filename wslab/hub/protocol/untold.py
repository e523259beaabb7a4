"""Events that made way in a client's full backlog, and that it was not told of.

Its rule: the count stays right, although only so many offsets are kept; and each loss is told once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

__all__ = ["Untold"]

MAX_UNTOLD = 4096  # offsets of one session


class Untold:
    """What one session has lost and does not know of yet."""

    __slots__ = ("_count_before", "_last_before", "_offsets")

    def __init__(self) -> None:
        self._offsets = array("q")
        self._count_before = self._last_before = 0  # of more than these: how many, up to where

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return 8 * len(self._offsets)

    def add(self, offsets: Iterable[int]) -> None:
        """Note the offsets of events that were dropped."""
        self._offsets.extend(offsets)
        more = len(self._offsets) - MAX_UNTOLD
        if more > 0:  # the earliest ones; it is told how many
            self._count_before += more
            self._last_before = max(self._last_before, *self._offsets[:more])
            del self._offsets[:more]

    def take(self, offset: int) -> int:
        """Say, once, how many events a client that has seen this offset will never get.

        Those after the offset come again, or are in a gap.
        """
        offsets, self._offsets = self._offsets, array("q")
        before, last = self._count_before, self._last_before
        self._count_before = self._last_before = 0
        return sum(each <= offset for each in offsets) + (before if last <= offset else 0)

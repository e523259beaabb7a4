"""Events that made way in a client's full backlog, until the client is known to have been told.

Its rule: each loss is told once. What tells of it has an offset of its own, as an event has; so who
comes back says, by the last offset that it has seen, whether it was told before its connection
broke. The count stays right, although only so many offsets are kept.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["LostState", "Untold", "UntoldState"]

MAX_UNTOLD = 4096  # offsets of one session; and as many that it has been told of

# As data: of the earliest how many, and up to where; and the offsets of the others.
LostState: TypeAlias = tuple[int, int, list[int]]
# What was lost, and of what was told: the offset of what told it, and what that was.
UntoldState: TypeAlias = tuple[LostState, list[tuple[int, LostState]]]


class Untold:
    """What one session has lost, and does not know of for certain."""

    __slots__ = ("_lost", "_told")

    def __init__(self) -> None:
        self._lost = _Lost()
        self._told: deque[tuple[int, _Lost]] | None = None  # with the offset of what told it

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        told = sum(len(lost.offsets) for _, lost in self._told or ())
        return 8 * (len(self._lost.offsets) + told)

    def add(self, offsets: Iterable[int]) -> None:
        """Note the offsets of events that were dropped."""
        self._lost.add(offsets)

    def tell(self, offset: int) -> None:
        """Note that all of it is told now, by what has this offset."""
        if self._told is None:
            self._told = deque()
        self._told.append((offset, self._lost))
        self._lost = _Lost()
        # The earliest ones were told so long ago that the client has seen it.
        while len(self._told) > 1 and self.size_bytes > 8 * MAX_UNTOLD:
            self._told.popleft()

    def resume(self, offset: int) -> int:
        """Return how many events a client that has seen this offset will never get.

        Those after the offset come again, or are in a gap.
        """
        found = _Lost()
        for told_at, lost in self._told or ():
            if told_at > offset:
                found.add_seen(lost, offset)
        found.add_seen(self._lost, offset)
        self._lost, self._told = found, None
        return found.count

    # As data, for another process.

    def snapshot(self, more: Iterable[int] = ()) -> UntoldState:
        """Return all of it as data, with more offsets that were dropped and not noted yet."""
        lost = self._lost.copy()
        lost.add(more)
        return lost.snapshot(), [(at, told.snapshot()) for at, told in self._told or ()]

    def restore(self, state: UntoldState) -> None:
        """Put back what was another's: for one that has lost nothing yet."""
        lost, told = state
        self._lost = _Lost.restored(lost)
        self._told = deque((at, _Lost.restored(each)) for at, each in told) or None


class _Lost:
    """Offsets; of more than `MAX_UNTOLD`, of the earliest only how many, and up to where."""

    __slots__ = ("before", "before_last", "offsets")

    def __init__(self) -> None:
        self.offsets = array("q")
        self.before = self.before_last = 0

    @property
    def count(self) -> int:
        return self.before + len(self.offsets)

    def add(self, offsets: Iterable[int]) -> None:
        self.offsets.extend(offsets)
        more = len(self.offsets) - MAX_UNTOLD
        if more > 0:
            self.before += more
            self.before_last = max(self.before_last, *self.offsets[:more])
            del self.offsets[:more]

    def add_seen(self, other: _Lost, offset: int) -> None:
        """Take over those of another that a client has seen events after."""
        if other.before and other.before_last <= offset:
            self.before += other.before
            self.before_last = max(self.before_last, other.before_last)
        self.add(each for each in other.offsets if each <= offset)

    def copy(self) -> _Lost:
        return _Lost.restored(self.snapshot())

    def snapshot(self) -> LostState:
        return self.before, self.before_last, list(self.offsets)

    @classmethod
    def restored(cls, state: LostState) -> _Lost:
        lost = cls()
        lost.before, lost.before_last, offsets = state
        lost.add(offsets)
        return lost

"""Where one session is and was: which room, from which event on, and until which.

Its rule: who comes back gets exactly the events of the rooms that it was in at that moment; so
rooms that were left are remembered, with their logs, as long as somebody may ask. What is too much
is forgotten the earliest first, and it is known since when all is remembered. As data, rooms have
names in place of logs, so that another process can put them back.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, KeysView
from typing import Generic, NamedTuple, TypeVar

from .room_log import RoomLog

__all__ = ["Stays", "StaysState"]

MAX_LEFT = 100  # rooms that a session has left, and may miss events of
STAY_BYTES = 500  # that a session is in a room, or was
M = TypeVar("M")


class StaysState(NamedTuple):
    """The rooms of one session as data.

    Args:
        here: since which offset it is in a room.
        left: room, offset of joining, offset of leaving; the earliest first.
        left_dropped_to: since when all is remembered.
    """

    here: dict[str, int]
    left: list[tuple[str, int, int]]
    left_dropped_to: int


class Stays(Generic[M]):
    """The rooms of one session."""

    __slots__ = ("_here", "_left", "_left_dropped_to")

    def __init__(self) -> None:
        self._here: dict[str, tuple[RoomLog[M], int, bool]] = {}
        self._left: collections.deque[tuple[RoomLog[M], int, int, bool]] = collections.deque()
        self._left_dropped_to = 0

    @property
    def rooms(self) -> KeysView[str]:
        """The rooms that it is in."""
        return self._here.keys()

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        names = sum(map(len, self._here)) + sum(len(each[0].name or "") for each in self._left)
        return names + STAY_BYTES * (len(self._here) + len(self._left))

    def join(self, log: RoomLog[M], offset: int, *, is_exact: bool = False) -> None:
        """Note that it is in a room from the events after this offset on.

        Args:
            log: the room's.
            offset: of the latest event.
            is_exact: it joined elsewhere, however long the room has been followed here.
        """
        assert log.name is not None
        if log.name not in self._here:
            self._here[log.name] = log, offset, is_exact
            log.inside += 1

    def leave(self, room: str, offset: int) -> bool:
        """Note that this event was the last that it got in a room; whether it was there."""
        if room not in self._here:
            return False
        log, joined, is_exact = self._here.pop(room)
        log.inside -= 1
        if joined < offset:
            if len(self._left) == min(4 * log.limit, MAX_LEFT):
                self.forget_before(self._left[0][2])
                self._forget(self._left.popleft()[0])
            self._left.append((log, joined, offset, is_exact))
            log.left += 1
        log.release()
        return True

    def inside_since(self, room: str) -> int | None:
        """Return the offset from which on it is in a room; None where it is not."""
        if room not in self._here:
            return None
        log, joined, is_exact = self._here[room]
        return joined if is_exact else log.since(joined)

    def has_joined_elsewhere(self, room: str) -> bool:
        """Whether it is in a room, and was when it came from another process."""
        return room in self._here and self._here[room][2]

    def forget(self, offset: int) -> None:
        """Leave all rooms, and forget them: nobody will ask for what was said there."""
        for room in tuple(self._here):
            self.leave(room, offset)
        while self._left:
            self._forget(self._left.popleft()[0])

    def _forget(self, log: RoomLog[M]) -> None:
        log.left -= 1
        log.release()

    def intervals(self) -> Iterator[tuple[RoomLog[M], int, int | None]]:
        """Yield (log, offset of joining, offset of leaving or None) for each of its stays."""
        for log, joined, is_exact in self._here.values():
            yield log, joined if is_exact else log.since(joined), None
        for log, joined, left, is_exact in self._left:
            yield log, joined if is_exact else log.since(joined), left

    def forget_before(self, offset: int) -> None:
        """Know nothing more for certain of what was said before an offset."""
        self._left_dropped_to = max(self._left_dropped_to, offset)

    def know_since(self, offset: int) -> None:
        """Note that who has seen an offset was told of all that is not known."""
        self._left_dropped_to = min(self._left_dropped_to, offset)

    def are_known_since(self, offset: int) -> bool:
        """Whether all the rooms that it was in since then are remembered."""
        return self._left_dropped_to <= offset

    # As data.

    def snapshot(self) -> StaysState:
        """Return all of it as data."""
        here: dict[str, int] = {}
        left: list[tuple[str, int, int]] = []
        for log, joined, until in self.intervals():
            if until is None:
                here[log.name or ""] = joined
            else:
                left.append((log.name or "", joined, until))
        return StaysState(here, left, self._left_dropped_to)

    def restore(self, state: StaysState, log_of: Callable[[str], RoomLog[M]]) -> None:
        """Put back what was another's: for one that was nowhere yet.

        Args:
            state: as `snapshot` returned it.
            log_of: returns a room's log.
        """
        self._left_dropped_to = state.left_dropped_to
        for room, joined in state.here.items():
            self.join(log_of(room), joined, is_exact=True)
        for room, joined, to in state.left:
            log = log_of(room)
            self._left.append((log, joined, to, True))
            log.left += 1

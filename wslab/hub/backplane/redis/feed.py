"""What comes from Redis, put in the order in which it was said, with nothing missing in between.

Pure: numbers and events in, events out. Its rule: an event is told only when all that was said
before it is known, since a client remembers no more than the last that it has seen. So what comes
while something before it is being read (a room that is followed from now on, a gap, all rooms after
a break) waits for that: a `Hold`. What comes later waits for no earlier hold's sake twice.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

__all__ = ["Feed", "Hold", "Stream"]

Stream: TypeAlias = str  # the name of a room's, or of a session's own


class Placed(Protocol):
    """An event with its place."""

    @property
    def offset(self) -> int:
        """Its place."""

    @property
    def size_bytes(self) -> int:
        """What it takes."""


E = TypeVar("E", bound=Placed)


@dataclass(slots=True, eq=False)
class Hold:
    """Something is being read that belongs before what comes from now on.

    Args:
        number: in order.
        since: for each stream that is read, the offset after which.
    """

    number: int
    since: dict[Stream, int]


class Feed(Generic[E]):
    """What comes to one node.

    Args:
        limit_bytes: of events that wait.

    Attributes:
        latest: the offset of the last event that was told.
        seen: for each stream that is followed, the offset up to which all of it has come, or is
            being read.
        size_bytes: of events that wait.
        late: events that came behind later ones: told nevertheless, and counted.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.latest = 0
        self.seen: dict[Stream, int] = {}
        self.size_bytes = self.late = 0
        self._number = 0
        self._holds: dict[int, Hold] = {}  # in order
        self._offsets: list[int] = []  # of what waits, in order
        self._waiting: collections.deque[tuple[int, E]] = collections.deque()  # until which hold

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Those that are open."""
        return tuple(self._holds.values())

    @property
    def number(self) -> int:
        """Of the hold that began last."""
        return self._number

    def is_settled(self, offset: int, number: int) -> bool:
        """Whether all is told up to an offset that was waiting, or read, when a hold was last."""
        is_told = not self._offsets or self._offsets[0] > offset
        return is_told and (not self._holds or next(iter(self._holds)) > number)

    # Streams.

    def follow(self, stream: Stream, since: int) -> Hold:
        """Take in a stream from now on, and what was said in it after an offset."""
        self.seen[stream] = since
        return self._hold({stream: since})

    def saw(self, stream: Stream, offset: int) -> None:
        """Note that all up to an offset was read in a stream, told or not."""
        if stream in self.seen:
            self.seen[stream] = max(self.seen[stream], offset)

    def unfollow(self, stream: Stream) -> None:
        """Take in a stream no more."""
        self.seen.pop(stream, None)

    def hold_all(self) -> Hold:
        """Hold what comes until all streams are read from where they were seen last."""
        for hold in reversed(self.holds):  # the earliest has the last word
            for stream, since in hold.since.items():  # not read yet, whatever came meanwhile
                if stream in self.seen:
                    self.seen[stream] = since
        self._holds.clear()
        hold = self._hold(dict(self.seen))
        self._waiting = collections.deque((hold.number, event) for _, event in self._waiting)
        return hold

    def _hold(self, since: dict[Stream, int]) -> Hold:
        self._number += 1
        hold = self._holds[self._number] = Hold(self._number, since)
        return hold

    # Events.

    def came(self, event: E, streams: Mapping[Stream, int]) -> Hold | None:
        """Take in an event that was heard.

        Args:
            event: the event.
            streams: that it was said in, each with the offset of the one before it there.

        Returns:
            What is to be read first, since it was not heard; None where nothing is missing.
        """
        followed = [each for each in streams if each in self.seen]
        if followed and not any(self.seen[each] < event.offset for each in followed):
            return None  # it came already, by way of another room
        missing: dict[Stream, int] = {}
        for stream in followed:
            seen = self.seen[stream]
            if seen < streams[stream] and not self._is_read(stream):
                missing[stream] = seen
            self.seen[stream] = max(seen, event.offset)
        gap = self._hold(missing) if missing else None
        self._put(event, self._number)
        return gap

    def _is_read(self, stream: Stream) -> bool:
        return any(stream in hold.since for hold in self._holds.values())

    def filled(
        self,
        hold: Hold,
        events: Iterable[tuple[E, Iterable[Stream]]],
        lasts: Mapping[Stream, int] | None = None,
    ) -> int:
        """Take in what was read for a hold, and end it; return how many of it had not come.

        All that was published before that was read must have come by now: what was read is ahead
        of what is still on its way.

        Args:
            hold: the hold; one that is no longer open counts nothing.
            events: in order, each with the streams that it was said in.
            lasts: up to where streams were read, also where not all of it is wanted.
        """
        if self._holds.pop(hold.number, None) is None:
            return 0
        count = 0
        for stream, last in (lasts or {}).items():
            if stream in self.seen:
                self.seen[stream] = max(self.seen[stream], last)
        for event, streams in events:
            for stream in streams:
                seen = self.seen.get(stream)
                if seen is not None:
                    self.seen[stream] = max(seen, event.offset)
            count += self._put(event, self._number)
        return count

    def end(self, hold: Hold) -> None:
        """End a hold for which nothing can be read."""
        self._holds.pop(hold.number, None)

    def _put(self, event: E, until: int) -> bool:
        at = bisect.bisect_left(self._offsets, event.offset)
        if at < len(self._offsets) and self._offsets[at] == event.offset:
            return False
        self._offsets.insert(at, event.offset)
        self._waiting.insert(at, (until, event))
        self.size_bytes += event.size_bytes
        return True

    def next(self) -> E | None:
        """Return the event that is told next, if it need not wait for any other."""
        if not self._waiting:
            return None
        until, event = self._waiting[0]
        if self._holds and next(iter(self._holds)) <= until:
            return None
        self._waiting.popleft()
        del self._offsets[0]
        self.size_bytes -= event.size_bytes
        if event.offset <= self.latest:
            self.late += 1
        else:
            self.latest = event.offset
        return event

    def clear(self) -> list[E]:
        """Let go of all that waits; return it."""
        waiting = [event for _, event in self._waiting]
        self._waiting.clear()
        self._offsets.clear()
        self.size_bytes = 0
        return waiting

"""The latest events of one room, bounded in number and in bytes.

Its rule: it knows the offset of the last event that is no longer here, so that nobody is told
that nothing was missed where something may have been. What a message is made of it does not know.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["ALWAYS", "PROGRAM", "Begin", "Owner", "Past", "RoomLog"]

# What things take in memory beside the bytes that they carry (CPython 3.11, rounded up).
EVENT_BYTES = 400
SKIP_BYTES = 64  # one session that an event left out
ROOM_BYTES = 1200

Owner: TypeAlias = tuple[str, str]  # address, and session or id of the client there
PROGRAM: Owner = ("", "")  # the hub's own program
M = TypeVar("M")  # a message, ready to be sent again


@dataclass(slots=True)
class Begin:
    """From when on a room is followed here, where that is not always so.

    Who joins a room that nobody here was in does so before the hub's history elsewhere has been
    asked how far it is; such a stay counts from the answer.

    Args:
        asked: the latest offset here when it was asked.
        told: the latest offset there; 0 until that is known.
    """

    asked: int = 0
    told: int = 0


ALWAYS = Begin()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Past(Generic[M]):
    """An event as the hub's history kept it.

    Args:
        offset: its place in the history.
        at: when, in seconds since the epoch.
        event: its name.
        message: what was sent, to be sent again.
        message_bytes: what that takes.
        skip: tokens of the sessions that were left out.
        read: returns what such a message carries.
    """

    offset: int
    at: float
    event: str
    message: M
    message_bytes: int
    skip: frozenset[str]
    read: Callable[[M], Any] = field(repr=False, compare=False)

    @property
    def data(self) -> Any:
        """What the event carried; a fresh copy."""
        return self.read(self.message)

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return EVENT_BYTES + self.message_bytes + SKIP_BYTES * len(self.skip)

    def __repr__(self) -> str:
        return f"<Past {self.offset}: {self.event!r} {self.data!r:.60}>"


class RoomLog(Generic[M]):
    """The events of a room; of everybody, or of one session alone, where it has no name.

    Args:
        name: the room's.
        owner: whose memory it counts as.
        limit: events that it keeps.
        limit_bytes: bytes of them.
        registry: where the log of a room is found; it takes itself out when nobody needs it.
        begin: from when on the room is followed.

    Attributes:
        inside: sessions that are in the room now.
        left: sessions that were, and may still miss what was said then.
        dropped_to: the offset of the last event that is no longer here.
        size_bytes: of the events.
        begin: from when on the room is followed.
    """

    __slots__ = (
        "_events", "_registry", "begin", "dropped_to", "inside", "left", "limit", "limit_bytes",
        "name", "owner", "size_bytes",
    )  # fmt: skip

    def __init__(
        self,
        name: str | None,
        owner: Owner,
        limit: int,
        limit_bytes: int,
        registry: dict[str, RoomLog[M]] | None = None,
        begin: Begin = ALWAYS,
    ) -> None:
        self.name = name
        self.begin = begin
        self.owner = owner
        self.limit, self.limit_bytes = limit, limit_bytes
        self.inside = self.left = 0
        self.size_bytes = self.dropped_to = 0
        self._events: collections.deque[Past[M]] | None = None  # most rooms never need one
        self._registry = registry

    def __len__(self) -> int:
        return len(self._events or ())

    def __iter__(self) -> Iterator[Past[M]]:
        return iter(self._events or ())

    @property
    def total_bytes(self) -> int:
        """What it takes, about: the events, and of a room the log itself."""
        return self.size_bytes + (ROOM_BYTES + 4 * len(self.name) if self.name is not None else 0)

    def since(self, joined: int) -> int:
        """Return the offset that a stay counts from, by the one at which it was made."""
        begin = self.begin
        return max(joined, begin.told) if joined >= begin.asked else joined

    def append(self, past: Past[M]) -> int:
        """Keep an event; return how many had to go for the sake of bytes."""
        if self._events is None:
            self._events = collections.deque()
        self._events.append(past)
        self.size_bytes += past.size_bytes
        if len(self._events) > self.limit:
            self.drop_oldest()
        dropped = 0
        while self.size_bytes > self.limit_bytes:
            self.drop_oldest()
            dropped += 1
        return dropped

    def drop_oldest(self) -> int:
        """Let go of the oldest event; return its bytes."""
        assert self._events is not None
        past = self._events.popleft()
        self.dropped_to = past.offset
        self.size_bytes -= past.size_bytes
        return past.size_bytes

    def clear(self) -> int:
        """Let go of all events; return how many those were."""
        events, self._events = self._events, None
        if events:
            self.dropped_to, self.size_bytes = events[-1].offset, 0
        self.release()
        return len(events or ())

    def after(self, offset: int, to: int | None = None) -> Iterator[Past[M]]:
        """Yield the events after one offset, up to and with another one; the latest first."""
        for past in reversed(self._events or ()):
            if past.offset <= offset:
                return
            if to is None or past.offset <= to:
                yield past

    def release(self) -> None:
        """Leave the registry where nothing is kept and nobody may ask."""
        is_needed = self.inside or self.left or self._events is not None
        if self._registry is not None and self.name is not None and not is_needed:
            self._registry.pop(self.name, None)

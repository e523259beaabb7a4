"""What was emitted, for those who come late or come back.

Every event gets an offset, one counter for the whole hub. Each room keeps its latest events, each
session the latest of its own, and everybody's are kept too. Its rule: all of it is bounded in bytes
(`limits`), and who has the most gives way first. A room's log, or at least how far it has been
forgotten, lives as long as a session may ask for it (`stays`).
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .limits import Limits, excesses
from .room_log import ALWAYS, PROGRAM, Begin, Owner, Past, RoomLog

__all__ = ["History"]

M = TypeVar("M")  # a message, ready to be sent again


class History(Generic[M]):
    """The hub's events; bounded.

    Args:
        limit: events kept of each room.
        limits: what all of it may take.
        limited: counts, by the name of a limit, what had to go.
        step: from one event's offset to the next; what is between them is for `mark`. 1 where this
            process gives the offsets.

    Attributes:
        offset: of the latest event, or the latest mark.
        begins: rooms that are not always followed here, and from when on they are.
        size_bytes: of all logs.
        everybody: the events that everybody got.
    """

    def __init__(
        self,
        limit: int,
        limits: Limits | None = None,
        limited: collections.Counter[str] | None = None,
        step: int = 1,
    ) -> None:
        self.step = step
        self.begins: dict[str, Begin] = {}
        self.limit = limit
        self.limits = limits or Limits()
        self.limited = limited if limited is not None else collections.Counter()
        self.offset = 0
        self.size_bytes = 0
        self.everybody: RoomLog[M] = self.new_log(PROGRAM)
        # Rooms that have events, the longest silent first.
        self._spoken: collections.OrderedDict[str, RoomLog[M]] = collections.OrderedDict()
        self._own: dict[RoomLog[M], None] = {}  # of sessions, that have events
        self._rooms: dict[str, RoomLog[M]] = {}  # all that somebody may still ask for

    def new_log(self, owner: Owner) -> RoomLog[M]:
        """Return a log of no room: a session's own."""
        return RoomLog(None, owner, self.limit, self.limits.history_bytes_per_room)

    def log(self, room: str) -> RoomLog[M]:
        """Return a room's log, for a session that is about to be in it."""
        log = self._rooms.get(room)
        if log is None:
            limit_bytes = self.limits.history_bytes_per_room
            begin = self.begins.get(room, ALWAYS)
            log = RoomLog(room, PROGRAM, self.limit, limit_bytes, self._rooms, begin)
            self._rooms[room] = log
        return log

    def begin(self, room: str, begin: Begin) -> None:
        """Follow a room from now on."""
        self.begins[room] = begin
        log = self._rooms.get(room)
        if log is not None:
            log.begin = begin

    def is_inside(self, room: str) -> bool:
        """Whether a session is in a room."""
        log = self._rooms.get(room)
        return log is not None and log.inside > 0

    def mark(self, after: int = 0) -> int:
        """Return an offset for what is no event; who has seen it has seen all before it.

        Args:
            after: another that it should be greater than, if the next event's is greater, too.
        """
        self.offset = max(self.offset, min(after, self.next_offset() - 1))
        if self.step == 1 or (self.offset + 1) % self.step:  # else the next is an event's
            self.offset += 1
        return self.offset

    def next_offset(self) -> int:
        """Return the least offset that the next event can have."""
        return (self.offset // self.step + 1) * self.step

    def is_ahead(self, offset: int) -> bool:
        """Whether an offset belongs to an event that has not come."""
        return offset // self.step > self.offset // self.step

    def of(self, room: str | None) -> list[Past[M]]:
        """Return the events that are kept of a room (None: of everybody), oldest first."""
        return list(self.everybody if room is None else self._spoken.get(room, ()))

    def keep(
        self,
        past: Past[M],
        rooms: Iterable[str | None],
        own: Iterable[RoomLog[M]] = (),
        owner: Owner = PROGRAM,
    ) -> None:
        """Keep an event.

        Args:
            past: the event.
            rooms: where it was said; None: to everybody.
            own: the logs of sessions that it went to, too.
            owner: who said it: what is kept of a room counts as this one's who spoke first in it.
        """
        self.offset = past.offset
        for room in rooms:
            self._append(self.everybody if room is None else self._speaking(room, owner), past)
        for log in own:
            self._own[log] = None
            self._append(log, past)
        self._bound()

    def keep_own(self, log: RoomLog[M], pasts: Iterable[Past[M]]) -> None:
        """Keep, in a session's own log, what was said elsewhere before it came here; in order."""
        both = {past.offset: past for past in (*pasts, *log)}
        if not both:
            return
        dropped_to = log.dropped_to
        self.size_bytes -= log.total_bytes
        log.clear()
        log.dropped_to = dropped_to
        log.limit = max(log.limit, len(both) + self.limit)
        self._own[log] = None
        for offset in sorted(both):
            self._append(log, both[offset])
        self._bound()

    def _bound(self) -> None:
        limits = self.limits
        if self.size_bytes > limits.history_bytes:
            allowed = limits.history_bytes - limits.history_bytes // 8
            self._make_way("history_bytes", _bytes_of, allowed)
        if len(self._spoken) > limits.history_rooms:
            self._make_way("history_rooms", _one, limits.history_rooms - limits.history_rooms // 16)

    def lose(self, room: str | None, offset: int) -> None:
        """Know nothing for certain of what was said in a room up to an offset."""
        log = self.everybody if room is None else self._rooms.get(room)
        if log is not None:
            if log:
                self.forget(log)
            log.dropped_to = max(log.dropped_to, offset)

    def forget(self, log: RoomLog[M]) -> int:
        """Let go of all events of a log; return how many those were."""
        if log.name is not None:
            self._spoken.pop(log.name)
        elif log is not self.everybody:
            self._own.pop(log, None)
        self.size_bytes -= log.total_bytes
        return log.clear()

    def _speaking(self, room: str, owner: Owner) -> RoomLog[M]:
        log = self._spoken.get(room)
        if log is None:
            log = self._spoken[room] = self.log(room)
            log.owner = owner
            self.size_bytes += log.total_bytes
        else:
            self._spoken.move_to_end(room)
        return log

    def _append(self, log: RoomLog[M], past: Past[M]) -> None:
        before = log.size_bytes
        if dropped := log.append(past):
            self.limited["history_bytes_per_room"] += dropped
        self.size_bytes += log.size_bytes - before

    def _make_way(self, limit: str, size_of: Callable[[RoomLog[Any]], int], total: int) -> None:
        """Let those who hold the most give way, until all hold no more than the total.

        Of one address: rooms that nobody may ask for go first, the longest silent before others.
        Then the clients who hold the most give way, with those of their rooms first that the fewest
        are in.
        """
        logs: Iterable[RoomLog[M]] = self._spoken.values()
        if size_of is _bytes_of:
            logs = itertools.chain([self.everybody], logs, self._own)
        by_address = _grouped(logs, 0)
        for address, over in excesses(_sums(by_address, size_of), total):
            kept: list[RoomLog[M]] = []
            for log in by_address[address]:
                if over > 0 and log.name and not log.inside and not log.left:
                    over -= size_of(log)
                    self.limited[limit] += self.forget(log)
                else:
                    kept.append(log)
            by_client = _grouped(kept, 1)
            sums = _sums(by_client, size_of)
            for client, excess in excesses(sums, sum(sums.values()) - over) if over > 0 else ():
                self._make_way_of_client(limit, size_of, by_client[client], excess)

    def _make_way_of_client(
        self,
        limit: str,
        size_of: Callable[[RoomLog[Any]], int],
        logs: list[RoomLog[M]],
        over: int,
    ) -> None:
        for log in sorted(logs, key=lambda log: log.inside):  # stable: then the longest silent
            if over <= 0:
                break
            size = size_of(log)
            if size_of is _one or size <= over:
                self.limited[limit] += self.forget(log)
                over -= size
                continue
            while over > 0 and log:
                over -= log.drop_oldest()
                self.limited[limit] += 1
            self.size_bytes -= size - size_of(log)


def _grouped(logs: Iterable[RoomLog[M]], part: int) -> dict[str, list[RoomLog[M]]]:
    """Return logs by the address (0) or by the client (1) whose memory they count as."""
    groups: dict[str, list[RoomLog[M]]] = {}
    for log in logs:
        groups.setdefault(log.owner[part], []).append(log)
    return groups


def _sums(
    groups: dict[str, list[RoomLog[M]]], size_of: Callable[[RoomLog[Any]], int]
) -> dict[str, int]:
    return {each: sum(map(size_of, logs)) for each, logs in groups.items()}


def _bytes_of(log: RoomLog[Any]) -> int:
    return log.total_bytes


def _one(_log: RoomLog[Any]) -> int:
    return 1

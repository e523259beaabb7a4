"""What was emitted, for those who come late or come back.

Every event gets an offset, one counter for the whole hub. Each room keeps its latest events, each
session the latest of its own, and everybody's are kept too. Its rule: a client that comes back gets
exactly the events of the rooms that it was in at that moment, after the last one it has seen; or it
is told that the gap is too old. So a session remembers from where to where it was in which room,
not only which rooms it is in; and a room's log, or at least how far it has been forgotten, lives as
long as a session may ask for it. All of it is bounded in bytes (`limits`): who has the most gives
way first. What a message is made of it does not know, only how many bytes it has; and it has no
clock: whoever calls says what time it is.
"""

from __future__ import annotations

import collections
import itertools
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .limits import Limits, fair_level

__all__ = ["History", "Past", "ServerSession"]

MAX_ANSWERS = 1000  # that a session keeps, in case they are asked for again
MAX_LEFT = 100  # rooms that a session has left, and may miss events of
MAX_UNTOLD = 4096  # offsets of what was dropped and not told, of a session
# What things take in memory beside the bytes that they carry (CPython 3.11, rounded up).
EVENT_BYTES = 400
SKIP_BYTES = 64  # one session that an event left out
ANSWER_BYTES = 250
ROOM_BYTES = 1200  # a log
STAY_BYTES = 500  # that a session is in a room, or was
SESSION_BYTES = 2500

Owner = tuple[str, str]  # address, and session or id of the client there; "" and "": the program
PROGRAM: Owner = ("", "")
M = TypeVar("M")  # a message, ready to be sent again


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


class _Log(Generic[M]):
    # The latest events of one room, and the offset of the last one that is no longer here.
    __slots__ = (
        "__weakref__", "dropped_to", "events", "inside", "left", "limit", "limit_bytes", "name",
        "owner", "size_bytes",
    )  # fmt: skip

    def __init__(self, name: str | None, limit: int, limit_bytes: int, owner: Owner) -> None:
        self.name = name
        self.owner = owner
        self.limit, self.limit_bytes = limit, limit_bytes
        self.inside = 0  # sessions that are in it now
        self.left = 0  # that were, and may still miss what was said then
        self.events: collections.deque[Past[M]] | None = None  # most rooms never need one
        self.size_bytes = 0  # of the events
        self.dropped_to = 0

    def append(self, past: Past[M]) -> int:
        """Keep an event; return how many had to go for the sake of bytes."""
        if self.events is None:
            self.events = collections.deque()
        self.events.append(past)
        self.size_bytes += past.size_bytes
        if len(self.events) > self.limit:
            self.drop_oldest()
        dropped = 0
        while self.size_bytes > self.limit_bytes:
            self.drop_oldest()
            dropped += 1
        return dropped

    def drop_oldest(self) -> int:
        """Let go of the oldest event; return its bytes."""
        assert self.events is not None
        past = self.events.popleft()
        self.dropped_to = past.offset
        self.size_bytes -= past.size_bytes
        return past.size_bytes

    def clear(self) -> int:
        """Let go of all events; return how many those were."""
        events, self.events = self.events, None
        if events:
            self.dropped_to, self.size_bytes = events[-1].offset, 0
        return len(events or ())

    def after(self, offset: int, to: int | None = None) -> Iterator[Past[M]]:
        for past in reversed(self.events or ()):
            if past.offset <= offset:
                return
            if to is None or past.offset <= to:
                yield past


class ServerSession(Generic[M]):
    """What of a client outlives its connection; made by `History.open`.

    Attributes:
        token: who knows it may continue the session.
        name, data, user_id: the client's.
        rooms: by name, the offset at which it joined each.
        n: the number of its last packet that was taken up.
        stayed_s: seconds that it was connected, before this connection.
    """

    def __init__(
        self, token: str, offset: int, now_s: float, everybody: _Log[M], own: _Log[M]
    ) -> None:
        self.token = token
        self.user_id = ""
        self.name: str | None = None
        self.data: dict[Any, Any] = {}
        self.rooms: dict[str, int] = {}
        self.began_offset = offset
        self.n = 0
        self.stayed_s = 0.0
        self.came_s = now_s
        self.away_since_s: float | None = None
        self.away_bytes = 0  # as counted when it went
        self._everybody = everybody
        self._logs: dict[str, _Log[M]] = {}  # of the rooms that it is in
        self._left: collections.deque[tuple[_Log[M], int, int]] = collections.deque()
        self._left_dropped_to = 0
        self.own = own
        self._untold = array("q")  # offsets that its full backlog has lost
        self._untold_before = (0, 0)  # of more than these: how many, up to which offset
        self.answers: collections.OrderedDict[int, tuple[M, int]] = collections.OrderedDict()
        self.answers_bytes = 0

    @property
    def address(self) -> str:
        """From where it came last."""
        return self.own.owner[0]

    @property
    def size_bytes(self) -> int:
        """What it takes while it is away, about: not its events and answers, nor your ``data``."""
        names = sum(map(len, self.rooms)) + sum(len(log.name or "") for log, _, _ in self._left)
        stays = STAY_BYTES * (len(self.rooms) + len(self._left))
        return SESSION_BYTES + names + stays + 8 * len(self._untold) + len(self.name or "")

    def join(self, log: _Log[M], offset: int) -> None:
        """Note that it is in a room from the events after this offset on."""
        assert log.name is not None
        if log.name not in self.rooms:
            self.rooms[log.name], self._logs[log.name] = offset, log
            log.inside += 1

    def leave(self, room: str, offset: int) -> None:
        """Note that it has left a room: this event was the last that it got there."""
        joined = self.rooms.pop(room, None)
        if joined is None:
            return
        log = self._logs.pop(room)
        log.inside -= 1
        if joined < offset:
            if len(self._left) == min(4 * log.limit, MAX_LEFT):
                self._left_dropped_to = self._left[0][2]
                self._left.popleft()[0].left -= 1
            self._left.append((log, joined, offset))
            log.left += 1

    def forget_left(self) -> None:
        """Let go of the rooms that it has left: nobody will ask for what was said there."""
        for log, _, _ in self._left:
            log.left -= 1
        self._left.clear()

    def answer(self, n: int) -> M | None:
        """Return the answer to packet n, where that is kept."""
        kept = self.answers.get(n)
        return kept[0] if kept is not None else None

    def drop_answer(self) -> int:
        """Let go of the oldest answer; return its bytes."""
        _, (_, size_bytes) = self.answers.popitem(last=False)
        self.answers_bytes -= size_bytes
        return size_bytes

    def lose(self, offsets: Iterable[int]) -> None:
        """Note the offsets of events that its backlog has dropped, and that it was not told of."""
        self._untold.extend(offsets)
        more = len(self._untold) - MAX_UNTOLD
        if more > 0:  # the earliest ones; it is told how many
            count, last = self._untold_before
            self._untold_before = count + more, max(last, *self._untold[:more])
            del self._untold[:more]

    def lost(self, offset: int) -> int:
        """Say, once, how many events a client that has seen this offset will never get.

        They made way in an earlier connection's full backlog, which broke before the client could
        be told. Those after the offset come again.
        """
        untold, self._untold = self._untold, array("q")
        (before, last), self._untold_before = self._untold_before, (0, 0)
        return sum(each <= offset for each in untold) + (before if last <= offset else 0)

    def intervals(self) -> Iterator[tuple[_Log[M], int, int | None]]:
        """Yield (log, offset of joining, offset of leaving or None) for all that it heard."""
        yield self._everybody, self.began_offset, None
        for room, joined in self.rooms.items():
            yield self._logs[room], joined, None
        yield from self._left

    def is_known_since(self, offset: int) -> bool:
        """Whether all the rooms that it was in since then are remembered."""
        return self._left_dropped_to <= offset


class History(Generic[M]):
    """The hub's events and sessions; bounded.

    Args:
        limit: events kept of each room.
        session_s: seconds that a session outlives its connection.
        limits: what all of it may take.
        limited: counts, by the name of a limit, what had to go.
    """

    def __init__(
        self,
        limit: int,
        session_s: float,
        limits: Limits | None = None,
        limited: collections.Counter[str] | None = None,
    ) -> None:
        self.limit = limit
        self.session_s = session_s
        self.limits = limits or Limits()
        self.limited = limited if limited is not None else collections.Counter()
        self.offset = 0
        self.size_bytes = 0  # of all logs
        self.answers_bytes = 0
        self.away_bytes = 0
        # Rooms that have events, the longest silent first; of everybody, always.
        self._logs: collections.OrderedDict[str | None, _Log[M]] = collections.OrderedDict()
        self._logs[None] = self._new_log(None, PROGRAM)
        # All that somebody may still ask for: a session that is in a room holds its log.
        self._rooms: weakref.WeakValueDictionary[str, _Log[M]] = weakref.WeakValueDictionary()
        self.sessions: dict[str, ServerSession[M]] = {}
        self._away: collections.OrderedDict[str, ServerSession[M]] = collections.OrderedDict()

    # Events.

    def keep(
        self,
        past: Past[M],
        rooms: list[str | None],
        sessions: list[ServerSession[M]],
        owner: Owner = PROGRAM,
    ) -> None:
        """Keep an event of these rooms (None: of everybody) and sessions.

        Args:
            past: the event.
            rooms: where it was said.
            sessions: to whom else.
            owner: who said it: what is kept of a room counts as this one's who spoke first in it.
        """
        self.offset = past.offset
        for room in rooms:
            self._append(self._speaking(room, owner), past)
        for session in sessions:
            # One that has ended would be counted for ever.
            if self.sessions.get(session.token) is session:
                self._append(session.own, past)
        if self.size_bytes > self.limits.history_bytes:
            allowed = self.limits.history_bytes
            self._make_way("history_bytes", _bytes_of, allowed - allowed // 8)
        if len(self._logs) - 1 > self.limits.history_rooms:  # everybody's is none of them
            allowed = self.limits.history_rooms
            self._make_way("history_rooms", _one, allowed - allowed // 16)

    def _new_log(self, room: str | None, owner: Owner) -> _Log[M]:
        return _Log(room, self.limit, self.limits.history_bytes_per_room, owner)

    def _log(self, room: str) -> _Log[M]:
        log = self._rooms.get(room)
        if log is None:
            log = self._rooms[room] = self._new_log(room, PROGRAM)
        return log

    def _speaking(self, room: str | None, owner: Owner) -> _Log[M]:
        log = self._logs.get(room)
        if log is None:
            assert room is not None
            log = self._logs[room] = self._log(room)
            log.owner = owner
            self.size_bytes += _overhead(log)
        elif room is not None:
            self._logs.move_to_end(room)
        return log

    def _append(self, log: _Log[M], past: Past[M]) -> None:
        before = log.size_bytes
        if dropped := log.append(past):
            self.limited["history_bytes_per_room"] += dropped
        self.size_bytes += log.size_bytes - before

    def _forget(self, log: _Log[M]) -> int:
        """Let go of all events of a log; return how many those were."""
        self.size_bytes -= log.size_bytes
        if log.name is not None and self._logs.pop(log.name, None) is not None:
            self.size_bytes -= _overhead(log)
        return log.clear()

    def _make_way(self, limit: str, size_of: Callable[[_Log[M]], int], total: int) -> None:
        """Let those who hold the most give way, until all hold no more than the total.

        Of one address: rooms that nobody may ask for go first, the longest silent before others.
        Then the clients who hold the most give way, with those of their rooms first that the fewest
        are in.
        """
        own = (each.own for each in self.sessions.values() if each.own.events)
        by_address: dict[str, list[_Log[M]]] = {}
        for log in itertools.chain(self._logs.values(), own):
            if size_of is _bytes_of or log.name is not None:
                by_address.setdefault(log.owner[0], []).append(log)
        sums = {address: sum(map(size_of, logs)) for address, logs in by_address.items()}
        level = fair_level(sums.values(), total)
        excess = sum(sums.values()) - total
        for address, logs in by_address.items():
            over = min(sums[address] - level, excess)
            excess -= max(over, 0)
            kept: list[_Log[M]] = []
            for log in logs:
                if over > 0 and log.name and not log.inside and not log.left:
                    over -= size_of(log)
                    self.limited[limit] += self._forget(log)
                else:
                    kept.append(log)
            if over > 0:
                self._make_way_of_clients(limit, size_of, kept, over)

    def _make_way_of_clients(
        self,
        limit: str,
        size_of: Callable[[_Log[M]], int],
        logs: list[_Log[M]],
        excess: int,
    ) -> None:
        by_client: dict[str, list[_Log[M]]] = {}
        for log in logs:
            by_client.setdefault(log.owner[1], []).append(log)
        sums = {client: sum(map(size_of, logs)) for client, logs in by_client.items()}
        level = fair_level(sums.values(), sum(sums.values()) - excess)
        for client, logs in by_client.items():
            over = min(sums[client] - level, excess)
            excess -= max(over, 0)
            for log in sorted(logs, key=lambda log: log.inside):  # stable: then the longest silent
                if over <= 0:
                    break
                size = size_of(log)
                if size_of is _one or size <= over:
                    self.limited[limit] += self._forget(log)
                    over -= size
                    continue
                while over > 0 and log.events:
                    over -= log.drop_oldest()
                    self.limited[limit] += 1
                self.size_bytes -= size - size_of(log)

    def of(self, room: str | None) -> list[Past[M]]:
        """Return the events that are kept of a room, oldest first."""
        log = self._logs.get(room)
        return list(log.events or ()) if log is not None else []

    def missed(self, session: ServerSession[M], offset: int) -> list[Past[M]] | None:
        """Return what a session missed after an offset, in order; None where it is not all kept."""
        if not session.is_known_since(offset) or session.own.dropped_to > offset:
            return None
        token = session.token
        found = {past.offset: past for past in session.own.after(offset) if token not in past.skip}
        for log, joined, left in session.intervals():
            since = max(offset, joined)
            if left is not None and left <= since:
                continue
            if log.dropped_to > since:
                return None
            for past in log.after(since, left):
                if token not in past.skip:
                    found[past.offset] = past
        return [found[each] for each in sorted(found)]

    # Sessions.

    def open(self, token: str, now_s: float, address: str = "") -> ServerSession[M]:
        """Return a new session of that token; ``now_s`` is what a monotonic clock shows."""
        own = self._new_log(None, (address, token))
        session = ServerSession(token, self.offset, now_s, self._logs[None], own)
        before = self.sessions.get(token)
        if before is not None:
            self.end(before)
        self.sessions[token] = session
        return session

    def continued(self, token: str, now_s: float, address: str = "") -> ServerSession[M] | None:
        """Return the session of that token, back from being away, or None."""
        self.prune(now_s)
        session = self.sessions.get(token)
        if session is not None:
            session.own.owner = (address, token)
            if self._away.pop(token, None) is not None:
                self.away_bytes -= session.away_bytes
                session.came_s = now_s
            session.away_since_s = None
        return session

    def away(self, session: ServerSession[M], now_s: float) -> None:
        """Keep a session for a while, now that its connection has ended."""
        session.away_since_s = now_s
        session.stayed_s += now_s - session.came_s
        session.away_bytes = session.size_bytes
        self.away_bytes += session.away_bytes
        self._away[session.token] = session
        self.prune(now_s)

    def end(self, session: ServerSession[M]) -> None:
        """Forget a session: its client said goodbye, or was sent away."""
        token = session.token
        if self._away.get(token) is session:  # and not a newer one of that token
            del self._away[token]
            self.away_bytes -= session.away_bytes
        if self.sessions.get(token) is session:
            del self.sessions[token]
            self._forget(session.own)
            self.answers_bytes -= session.answers_bytes
            session.answers.clear()
            session.answers_bytes = 0
            for room in tuple(session.rooms):
                session.leave(room, self.offset)
            session.forget_left()

    def prune(self, now_s: float) -> None:
        """Forget the sessions that were away for too long, and those that are too many."""
        oldest_s = now_s - self.session_s
        while self._away:
            session = next(iter(self._away.values()))
            if (session.away_since_s or 0.0) > oldest_s:
                break
            self.end(session)
        limits = self.limits
        if len(self._away) > limits.sessions:
            total = limits.sessions - limits.sessions // 64
            self._send_off("sessions", lambda session: 1, total)
        if self.away_bytes > limits.sessions_bytes:
            total = limits.sessions_bytes - limits.sessions_bytes // 64
            self._send_off("sessions_bytes", lambda session: session.away_bytes, total)

    def _send_off(self, limit: str, size_of: Callable[[ServerSession[M]], int], total: int) -> None:
        # What a flood of new sessions cannot have is that they were here for long.
        by_address: dict[str, list[ServerSession[M]]] = {}
        for session in self._away.values():
            by_address.setdefault(session.address, []).append(session)
        sums = {address: sum(map(size_of, them)) for address, them in by_address.items()}
        level = fair_level(sums.values(), total)
        excess = sum(sums.values()) - total
        for address, them in by_address.items():
            over = min(sums[address] - level, excess)
            excess -= max(over, 0)
            for session in sorted(them, key=lambda session: session.stayed_s) if over > 0 else ():
                if over <= 0:
                    break
                over -= size_of(session)
                self.limited[limit] += 1
                self.end(session)

    def join(self, session: ServerSession[M], room: str) -> None:
        """Note that a session is in a room from now on; not of one that has ended."""
        if self.sessions.get(session.token) is session:
            session.join(self._log(room), self.offset)

    def close_room(self, room: str) -> None:
        """Take sessions out of a room whose client is away, or about to be."""
        for session in self.sessions.values():
            session.leave(room, self.offset)

    # Answers.

    def keep_answer(self, session: ServerSession[M], n: int, answer: M, size_bytes: int) -> None:
        """Keep a session's answer of that size to packet n, should its client ask again."""
        if self.sessions.get(session.token) is not session:
            return  # it has ended: nobody can ask
        limits = self.limits
        size_bytes += ANSWER_BYTES
        assert n not in session.answers
        session.answers[n] = answer, size_bytes
        session.answers_bytes += size_bytes
        self.answers_bytes += size_bytes
        while len(session.answers) > MAX_ANSWERS or (
            session.answers_bytes > limits.answers_bytes_per_session
        ):
            self.limited["answers_bytes_per_session"] += 1
            self.answers_bytes -= session.drop_answer()
        if self.answers_bytes > limits.answers_bytes:
            self._make_way_for_answers(limits.answers_bytes - limits.answers_bytes // 8)

    def _make_way_for_answers(self, total: int) -> None:
        by_address: dict[str, list[ServerSession[M]]] = {}
        for session in self.sessions.values():
            if session.answers:
                by_address.setdefault(session.address, []).append(session)
        allowed = fair_level(
            [sum(each.answers_bytes for each in them) for them in by_address.values()], total
        )
        for them in by_address.values():
            level = fair_level([session.answers_bytes for session in them], allowed)
            for session in them:
                while session.answers_bytes > level:
                    self.limited["answers_bytes"] += 1
                    self.answers_bytes -= session.drop_answer()


def _overhead(log: _Log[Any]) -> int:
    return ROOM_BYTES + 4 * len(log.name or "")


def _bytes_of(log: _Log[Any]) -> int:
    return log.size_bytes + (_overhead(log) if log.name is not None else 0)


def _one(_log: _Log[Any]) -> int:
    return 1

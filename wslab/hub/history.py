"""What was emitted, for those who come late or come back.

Every event gets an offset, one counter for the whole hub. Each room keeps its latest events, each
session the latest of its own, and everybody's are kept too. Its rule: a client that comes back gets
exactly the events of the rooms that it was in at that moment, after the last one it has seen; or it
is told that the gap is too old. So a session remembers from where to where it was in which room,
not only which rooms it is in.
"""

from __future__ import annotations

import asyncio
import collections
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import codec
from .shared import Shared

if TYPE_CHECKING:
    from .client import HubClient

__all__ = ["History", "Past", "Session"]

MAX_LOGS = 1000  # rooms whose events are kept
MAX_SESSIONS = 10_000  # of clients that are away
MAX_ANSWERS = 1000  # that a session keeps, in case they are asked for again
MAX_ANSWERS_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Past:
    """An event as the hub's history kept it. ``at``: epoch seconds."""

    offset: int
    at: float
    event: str
    message: Shared
    skip: frozenset[str]  # sessions that were left out
    loads: codec.Loads | None = field(default=None, repr=False, compare=False)  # the hub's

    @property
    def data(self) -> Any:
        """What the event carried; a fresh copy."""
        packet = codec.decode(self.message.text or "")
        packet.attachments = self.message.binary
        return codec.take_binary(packet, self.loads)

    def __repr__(self) -> str:
        return f"<Past {self.offset}: {self.event!r} {self.data!r:.60}>"


class _Log:
    # The latest events of one room, and the offset of the last one that is no longer here.
    __slots__ = ("dropped_to", "events", "limit")

    def __init__(self, limit: int, dropped_to: int = 0) -> None:
        self.limit = limit
        self.events: collections.deque[Past] = collections.deque()
        self.dropped_to = dropped_to

    def append(self, past: Past) -> None:
        self.events.append(past)
        if len(self.events) > self.limit:
            self.dropped_to = self.events.popleft().offset

    def after(self, offset: int, to: int | None = None) -> Iterator[Past]:
        for past in reversed(self.events):
            if past.offset <= offset:
                return
            if to is None or past.offset <= to:
                yield past


class Session:
    """What of a client outlives its connection.

    Attributes:
        token: who knows it may continue the session.
        name, data, user_id: the client's.
        rooms: by name, the offset at which it joined each.
        n: the number of its last packet that was taken up.
    """

    def __init__(self, token: str, offset: int, limit: int) -> None:
        self.token = token
        self.user_id = ""
        self._client: weakref.ref[HubClient] | None = None
        self.name: str | None = None
        self.data: dict[Any, Any] = {}
        self.rooms: dict[str, int] = {}
        self.began_offset = offset
        self.n = 0
        self.turn = asyncio.Lock()  # one packet of it at a time, whichever connection brings it
        self.away_since_s: float | None = None
        self._left: collections.deque[tuple[str, int, int]] = collections.deque(maxlen=4 * limit)
        self._left_dropped_to = 0
        self.own = _Log(limit)
        self.untold: tuple[int, ...] = ()  # offsets that its full backlog has lost
        self.answers: collections.OrderedDict[int, Shared] = collections.OrderedDict()
        self.answers_bytes = 0

    @property
    def client(self) -> HubClient | None:
        """Its connection now, or the last one; that is not kept in memory just for this."""
        return self._client() if self._client is not None else None

    @client.setter
    def client(self, client: HubClient | None) -> None:
        self._client = weakref.ref(client) if client is not None else None

    def join(self, room: str, offset: int) -> None:
        """Note that it is in a room from the events after this offset on."""
        self.rooms.setdefault(room, offset)

    def leave(self, room: str, offset: int) -> None:
        """Note that it has left a room: this event was the last that it got there."""
        joined = self.rooms.pop(room, None)
        if joined is not None and joined < offset:
            if len(self._left) == self._left.maxlen:
                self._left_dropped_to = self._left[0][2]
            self._left.append((room, joined, offset))

    def keep_answer(self, n: int, answer: Shared) -> None:
        """Keep the answer to packet n, should the client ask again."""
        self.answers[n] = answer
        self.answers_bytes += answer.size_bytes
        while len(self.answers) > 1 and (
            len(self.answers) > MAX_ANSWERS or self.answers_bytes > MAX_ANSWERS_BYTES
        ):
            self.answers_bytes -= self.answers.popitem(last=False)[1].size_bytes

    def lost(self, offset: int) -> int:
        """Say, once, how many events a client that has seen this offset will never get.

        They made way in an earlier connection's full backlog, which broke before the client could
        be told. Those after the offset come again.
        """
        untold, self.untold = self.untold, ()
        return sum(each <= offset for each in untold)

    def intervals(self) -> Iterator[tuple[str | None, int, int | None]]:
        """Yield (room, offset of joining, offset of leaving or None) for all that it heard."""
        yield None, self.began_offset, None
        for room, joined in self.rooms.items():
            yield room, joined, None
        yield from self._left

    def is_known_since(self, offset: int) -> bool:
        """Whether all the rooms that it was in since then are remembered."""
        return self._left_dropped_to <= offset


class History:
    """The hub's events and sessions; bounded.

    Args:
        limit: events kept of each room.
        session_s: seconds that a session outlives its connection.
    """

    def __init__(self, limit: int, session_s: float) -> None:
        self.limit = limit
        self.session_s = session_s
        self.offset = 0
        self._logs: collections.OrderedDict[str | None, _Log] = collections.OrderedDict()
        self._logs[None] = _Log(limit)
        self._forgotten_to = 0  # of rooms whose log is no longer kept
        self.sessions: dict[str, Session] = {}
        self._away: collections.OrderedDict[str, Session] = collections.OrderedDict()

    def keep(
        self,
        past: Past,
        rooms: list[str | None],
        sessions: list[Session],
    ) -> None:
        """Keep an event of these rooms (None: of everybody) and sessions."""
        self.offset = past.offset
        for room in rooms:
            self._log(room).append(past)
        for session in sessions:
            session.own.append(past)

    def _log(self, room: str | None) -> _Log:
        log = self._logs.get(room)
        if log is None:
            log = self._logs[room] = _Log(self.limit, self._forgotten_to)
            if len(self._logs) > MAX_LOGS:
                oldest = next(name for name in self._logs if name is not None)
                events = self._logs.pop(oldest).events
                if events:
                    self._forgotten_to = max(self._forgotten_to, events[-1].offset)
        elif room is not None:
            self._logs.move_to_end(room)
        return log

    def of(self, room: str | None) -> list[Past]:
        """Return the events that are kept of a room, oldest first."""
        log = self._logs.get(room)
        return list(log.events) if log is not None else []

    def missed(self, session: Session, offset: int) -> list[Past] | None:
        """Return what a session missed after an offset, in order; None where it is not all kept."""
        if not session.is_known_since(offset):
            return None
        token = session.token
        found = {past.offset: past for past in session.own.after(offset) if token not in past.skip}
        if session.own.dropped_to > offset:
            return None
        for room, joined, left in session.intervals():
            since = max(offset, joined)
            if left is not None and left <= since:
                continue
            log = self._logs.get(room)
            if (log.dropped_to if log is not None else self._forgotten_to) > since:
                return None
            if log is not None:
                for past in log.after(since, left):
                    if token not in past.skip:
                        found[past.offset] = past
        return [found[each] for each in sorted(found)]

    # Sessions.

    def open(self, token: str) -> Session:
        """Return a new session of that token."""
        session = Session(token, self.offset, self.limit)
        self.sessions[token] = session
        return session

    def continued(self, token: str) -> Session | None:
        """Return the session of that token, back from being away, or None."""
        self.prune()
        session = self.sessions.get(token)
        if session is not None:
            self._away.pop(token, None)
            session.away_since_s = None
        return session

    def away(self, session: Session) -> None:
        """Keep a session for a while, now that its connection has ended."""
        session.away_since_s = time.monotonic()
        self._away[session.token] = session
        self.prune()

    def end(self, session: Session) -> None:
        """Forget a session: its client said goodbye, or was sent away."""
        for known in (self._away, self.sessions):
            if known.get(session.token) is session:  # and not a newer one of that token
                del known[session.token]

    def prune(self) -> None:
        """Forget the sessions that were away for too long."""
        oldest_s = time.monotonic() - self.session_s
        while self._away:
            session = next(iter(self._away.values()))
            if len(self._away) <= MAX_SESSIONS and (session.away_since_s or 0.0) > oldest_s:
                return
            self.end(session)

    def close_room(self, room: str) -> None:
        """Take sessions out of a room whose client is away, or about to be."""
        for session in self.sessions.values():
            session.leave(room, self.offset)

"""The hub's half of a conversation: what of a client outlives its connection, and what to do.

Pure: no loop, no clock, no client. `ServerSession.receive` takes a packet and returns what is to be
done with it; `resume` takes the offset that a client comes back with and returns what it is to be
told and sent. Its rule: each numbered packet is delivered once and in order, whichever connection
brings it; and a client that comes back gets exactly what it missed, or is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .history import History
from .kept_answers import KeptAnswers
from .life import LifeEvent, LifeState, next_state
from .packets import Packet
from .room_log import Past
from .session_state import SessionState
from .stays import Stays
from .untold import Untold

__all__ = [
    "ACKNOWLEDGE_EVERY",
    "ACKNOWLEDGE_S",
    "AlreadyReceived",
    "Deliver",
    "OutOfOrder",
    "RepeatAnswer",
    "Resumption",
    "ServerSession",
    "Step",
]

ACKNOWLEDGE_EVERY = 200  # numbered packets, and at the latest
ACKNOWLEDGE_S = 0.1  # after a numbered packet, until the client is told that it came
SESSION_BYTES = 2500  # what it takes in memory, beside what it holds (CPython 3.11, rounded up)
M = TypeVar("M")  # a message, ready to be sent again


@dataclass(frozen=True, slots=True)
class Deliver:
    """It is the next one: handle it, and acknowledge it now, or else in `ACKNOWLEDGE_S`.

    Args:
        acknowledge_now: which of these.
        unknown: how many before it have come to another process, which could not write down more
            of them than that.
    """

    acknowledge_now: bool
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class RepeatAnswer(Generic[M]):
    """It is a call that came before: send its answer again; None: that is no longer kept."""

    answer: M | None


@dataclass(frozen=True, slots=True)
class AlreadyReceived:
    """It came before, and nobody waits for an answer: there is nothing to do."""


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """One before it has not come: it is not taken up, and its sender told."""

    expected: int
    got: int

    @property
    def reason(self) -> str:
        """What to tell."""
        return f'expected "n" to be {self.expected}, the next of this session, got {self.got}'


Step: TypeAlias = Deliver | RepeatAnswer[M] | AlreadyReceived | OutOfOrder
_DELIVER: Final = Deliver(False)
_DELIVER_AND_ACKNOWLEDGE: Final = Deliver(True)
_ALREADY_RECEIVED: Final = AlreadyReceived()


@dataclass(frozen=True, slots=True)
class Resumption(Generic[M]):
    """What a client that has connected is told and sent.

    Args:
        is_resumed: whether the session is the one that the client had before.
        offset: the last event that it has seen; its events are counted from here.
        received: the number of its last packet that was taken up.
        gap: why something is missing, or None.
        missed: events that it has missed, in order.
        dropped: events that its earlier connection's full backlog has lost; told after those.
        dropped_offset: of what tells it.
    """

    is_resumed: bool
    offset: int
    received: int
    gap: str | None = None
    missed: list[Past[M]] = field(default_factory=list)
    dropped: int = 0
    dropped_offset: int | None = None


class ServerSession(Generic[M]):
    """What a hub knows of one client, over all its connections; made by `Sessions.open`.

    It has more public members than most classes here, since it is the whole of a protocol's half:
    what comes, rooms, coming back, and what the hub shows of its client; each part of its state has
    a class of its own.

    Attributes:
        token: who knows it may continue the session.
        user_id: who it is, for everybody to see.
        name, data: the client's.
        received: the number of its last packet that was taken up.
        handled: of the last one whose handler has ended, too.
        recorded: of the last one that is written down beyond this process; None where none is.
        began_offset: of the latest event when it began.
        client_id: what its client went by last.
        may_be_behind: whether its client may have been told of more packets that they came.
        fetched_to: the offset up to which its ``own`` events hold all that it may have missed,
            wherever that was said; later events are in the rooms' logs.
        own: the events that went to it alone.
        answers: to its latest calls.
        stayed_s: seconds that it was connected, before this connection.
        away_since_s: on a monotonic clock; None while it is connected.
        away_bytes: what it takes, as counted when it went away.
    """

    def __init__(self, token: str, history: History[M], now_s: float, address: str = "") -> None:
        self.token = token
        self.user_id = ""
        self.name: str | None = None
        self.data: dict[Any, Any] = {}
        self.received = self.handled = 0
        self.recorded: int | None = None
        self.client_id = ""
        self.fetched_to = 0
        self.may_be_behind = False
        self.state = LifeState.ADMITTED
        self.began_offset = history.offset
        self.own = history.new_log((address, token))
        self.answers: KeptAnswers[M] = KeptAnswers()
        self.stayed_s = 0.0
        self.away_since_s: float | None = None
        self.away_bytes = 0
        self._came_s = now_s
        self._history = history
        self._stays: Stays[M] = Stays()
        self._untold = Untold()
        self._has_begun = False
        self._offset_before: int | None = None  # that it came with, of another life of the hub

    @property
    def address(self) -> str:
        """From where it came last."""
        return self.own.owner[0]

    @property
    def is_gone(self) -> bool:
        """Whether it is forgotten: its client said goodbye, was sent away, or away for too long."""
        return self.state is LifeState.GONE

    @property
    def receipt(self) -> int:
        """The number of the last packet of which its client may be told that it came."""
        return self.received if self.recorded is None else self.recorded

    @property
    def size_bytes(self) -> int:
        """What it takes while it is away, about: not its events and answers, nor your ``data``."""
        held = self._stays.size_bytes + self._untold.size_bytes
        return SESSION_BYTES + held + len(self.name or "")

    # What comes.

    def receive(self, packet: Packet) -> Step[M]:
        """Take in a packet, and return what is to be done with it."""
        n = packet.n
        if n is None:
            return _DELIVER
        if n == self.received + 1:
            self.received = n
            return _DELIVER if n % ACKNOWLEDGE_EVERY else _DELIVER_AND_ACKNOWLEDGE
        if n > self.received:
            if self.may_be_behind:
                return self._caught_up(n)
            return OutOfOrder(self.received + 1, n)
        return _ALREADY_RECEIVED if packet.id is None else RepeatAnswer(self.answers.get(n))

    def _caught_up(self, n: int) -> Deliver:
        # A client lets go of what it was told has come, and of nothing else; calls it keeps longer.
        unknown, self.received = n - self.received - 1, n
        return Deliver(True, unknown)

    def has_handled(self, packet: Packet) -> None:
        """Note that the handler of a packet has ended, if there was one."""
        if packet.n is not None and packet.n > self.handled:
            self.handled = packet.n

    def awaits_answer(self, packet: Packet) -> bool:
        """Whether the answer to a packet is to be kept, in case it is asked for again.

        One that was not taken up has no place among the answers: it comes again with its number.
        """
        n = packet.n
        return n is not None and n == self.received and n not in self.answers and not self.is_gone

    # Rooms.

    @property
    def rooms(self) -> KeysView[str]:
        """The rooms that it is in."""
        return self._stays.rooms

    def join(self, room: str) -> None:
        """Note that it is in a room from now on; not of one that is gone."""
        if not self.is_gone:
            self._stays.join(self._history.log(room), self._history.offset)

    def leave(self, room: str, offset: int | None = None) -> bool:
        """Note that it is in a room no more; whether it was.

        Args:
            room: which one.
            offset: of the last event that it gets there; None: of the latest of all.
        """
        return self._stays.leave(room, self._history.offset if offset is None else offset)

    def inside_since(self, room: str) -> int | None:
        """Return the offset from which on it is in a room; None where it is not."""
        return self._stays.inside_since(room)

    def has_joined_elsewhere(self, room: str) -> bool:
        """Whether it is in a room, and was when it came from another process."""
        return self._stays.has_joined_elsewhere(room)

    # Coming back.

    def lose(self, offsets: Iterable[int]) -> None:
        """Note the offsets of events that its backlog has dropped, and that it was not told of."""
        self._untold.add(offsets)

    def tell_dropped(self) -> int:
        """Return the offset for what tells it, now, of all that it has lost."""
        offset = self._history.mark()
        self._untold.tell(offset)
        return offset

    def doubt(self, before: int = 0) -> None:
        """Know nothing for certain of what it has got before the next event, or an offset."""
        self._stays.forget_before(max(self._history.next_offset(), before))

    def resume(self, offset: int | None) -> Resumption[M]:
        """Return what a client is told and sent that comes with this session.

        Args:
            offset: of the last event that it has seen; None where it has seen none.
        """
        latest = self._history.offset
        if not self._has_begun:
            self._has_begun, self._offset_before = True, offset
            gap = "session unknown" if offset is not None else None
            return Resumption(False, latest, self.receipt, gap)
        if offset is None:
            offset = self.began_offset  # it never got its first welcome
        missed = None if self._history.is_ahead(offset) else self.missed(offset)
        if offset == self._offset_before and not self.received:
            # As far as one can see, it has not read that its session is a new one.
            since = latest if missed is None else offset
            return Resumption(False, since, self.receipt, "session unknown", missed or [])
        self._offset_before = None
        dropped = self._untold.resume(offset)
        if missed is None:
            latest = self._tell_gap(offset)
        dropped_offset = self.tell_dropped() if dropped else None
        if missed is None:
            return Resumption(True, latest, self.receipt, "too old", [], dropped, dropped_offset)
        return Resumption(True, offset, self.receipt, None, missed, dropped, dropped_offset)

    def _tell_gap(self, offset: int) -> int:
        """Return where a gap ends of which a client is told that has seen another offset."""
        latest = self._history.offset
        if self._stays.are_known_since(latest):
            return latest
        told = self._history.mark(offset)  # which it has only seen if it was told
        if told > offset:
            self._stays.know_since(told)
        return told

    def is_whole_since(self, offset: int | None) -> bool:
        """Whether a client that has seen an offset, or none, can be sent all that it missed."""
        since = self.began_offset if offset is None else offset
        return not self._history.is_ahead(since) and self.missed(since) is not None

    def missed(self, offset: int) -> list[Past[M]] | None:
        """Return what it missed after an offset, in order; None where that is not all kept."""
        if not self._stays.are_known_since(offset) or self.own.dropped_to > offset:
            return None
        token = self.token
        found = {past.offset: past for past in self.own.after(offset) if token not in past.skip}
        everybody = (self._history.everybody, self.began_offset, None)
        for log, joined, left in (everybody, *self._stays.intervals()):
            since = max(offset, joined, self.fetched_to)
            if left is not None and left <= since:
                continue
            if log.dropped_to > since:
                return None
            for past in log.after(since, left):
                if token not in past.skip:
                    found[past.offset] = past
        return [found[each] for each in sorted(found)]

    # Its life; called by `Sessions`.

    def went_away(self, now_s: float) -> None:
        """Note that its connection is over, and that it may come back."""
        self.state = next_state(self.state, LifeEvent.LOSE)
        self.away_since_s = now_s
        self.stayed_s += now_s - self._came_s
        self.away_bytes = self.size_bytes

    def came_back(self, now_s: float, address: str) -> None:
        """Note that another connection continues it."""
        self.own.owner = (address, self.token)
        if self.state is LifeState.AWAY:
            self.state = next_state(self.state, LifeEvent.RETURN)
            self._came_s = now_s
            self.away_since_s = None

    def ended(self) -> None:
        """Note that nobody will come back for it."""
        self.state = next_state(self.state, LifeEvent.END)
        self._stays.forget(self._history.offset)

    # As data, for another process that continues it.

    def snapshot(self, data: str = "{}", *, lost: Iterable[int] = ()) -> SessionState:
        """Return it as data; of what it has received, what was handled.

        Args:
            data: the client's, as JSON text.
            lost: offsets that its backlog has dropped, and that `lose` was not told of yet.
        """
        return SessionState(
            self.handled, self.began_offset, self._offset_before, self.stayed_s, self.user_id,
            self.client_id, self.name, self._stays.snapshot(), self._untold.snapshot(lost), data,
        )  # fmt: skip

    @classmethod
    def restored(
        cls,
        token: str,
        history: History[M],
        state: SessionState,
        data: dict[Any, Any],
        now_s: float,
        address: str = "",
        *,
        may_be_behind: bool = False,
    ) -> ServerSession[M]:
        """Return a session that another process has had; its client is away, and about to return.

        Args:
            token: its token.
            history: of this process, which follows the rooms that it is in.
            state: as it was there.
            data: the client's.
            now_s: on a monotonic clock.
            address: from where it comes.
            may_be_behind: whether its last process ended without a word.
        """
        session = cls(token, history, now_s, address)
        session.received = session.handled = state.received
        session.began_offset, session._offset_before = state.began_offset, state.offset_before
        session.user_id, session.client_id = state.user_id, state.client_id
        session.name, session.data = state.name, data
        session._stays.restore(state.stays, history.log)
        session._untold.restore(state.untold)
        session._has_begun, session.may_be_behind = True, may_be_behind
        session.went_away(now_s)
        session.stayed_s = state.stayed_s
        return session

    def fetch(self, missed: Iterable[Past[M]], since: int, to: int, *, is_whole: bool) -> None:
        """Have it hold what was said elsewhere before this process listened for it.

        Args:
            missed: events for it, after one offset and up to another, in order.
            since: the first offset.
            to: the other.
            is_whole: whether those are all.
        """
        own = self.own
        own.dropped_to = max(own.dropped_to, since if is_whole else to)
        self.fetched_to = max(self.fetched_to, to)
        if is_whole:
            self._history.keep_own(own, missed)

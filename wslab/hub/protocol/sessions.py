"""All sessions of a hub: those of clients that are here, and of those that may come back.

Its rule: what is kept for clients that are away, and of answers, is bounded in bytes (`limits`);
who has the most gives way first, and what a flood of new sessions cannot have is that they were
here for long. It has no clock: whoever calls says what time it is, on a monotonic one.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from .history import History
from .kept_answers import MAX_ANSWERS
from .limits import excesses, fair_level
from .server_session import ServerSession

__all__ = ["Sessions"]

M = TypeVar("M")  # a message, ready to be sent again


class Sessions(Generic[M]):
    """The sessions by their tokens; bounded.

    Args:
        history: of the hub, whose limits count.
        session_s: seconds that a session outlives its connection.
        ended: called with each that is forgotten.
        begun: called with each that is new here.

    Attributes:
        answers_bytes: of the answers that are kept, of all sessions.
        away_bytes: of the sessions of clients that are away.
    """

    def __init__(
        self,
        history: History[M],
        session_s: float,
        ended: Callable[[ServerSession[M]], object] = lambda _session: None,
        begun: Callable[[ServerSession[M]], object] = lambda _session: None,
    ) -> None:
        self.history = history
        self._ended, self._begun = ended, begun
        self.session_s = session_s
        self.answers_bytes = self.away_bytes = 0
        self._all: dict[str, ServerSession[M]] = {}
        self._away: collections.OrderedDict[str, ServerSession[M]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[ServerSession[M]]:
        return iter(self._all.values())

    def get(self, token: str) -> ServerSession[M] | None:
        """Return the session of that token, or None."""
        return self._all.get(token)

    @property
    def away(self) -> tuple[ServerSession[M], ...]:
        """Those whose clients are away, the longest first."""
        return tuple(self._away.values())

    # Coming and going.

    def open(self, token: str, now_s: float, address: str = "") -> ServerSession[M]:
        """Return a new session of that token."""
        before = self._all.get(token)
        if before is not None:
            self.end(before)
        session = self._all[token] = ServerSession(token, self.history, now_s, address)
        self._begun(session)
        return session

    def continued(self, token: str, now_s: float, address: str = "") -> ServerSession[M] | None:
        """Return the session of that token, back from being away, or None."""
        self.prune(now_s)
        session = self._all.get(token)
        if session is not None:
            if self._away.pop(token, None) is not None:
                self.away_bytes -= session.away_bytes
            session.came_back(now_s, address)
        return session

    def take_in(
        self, session: ServerSession[M], now_s: float, answers: Iterable[tuple[int, M, int]] = ()
    ) -> None:
        """Have a session that another process has had; its client is away, and about to return.

        Args:
            session: it; nobody has its token here.
            now_s: on a monotonic clock.
            answers: to its latest calls: the packet's number, the answer, its bytes; the oldest
                first.
        """
        assert session.token not in self._all
        self._all[session.token] = session
        self._begun(session)
        for n, answer, size_bytes in answers:
            self._keep_answer(session, n, answer, size_bytes)
        self.away_bytes += session.away_bytes
        self._away[session.token] = session
        self.prune(now_s)

    def leave(self, session: ServerSession[M], now_s: float) -> None:
        """Keep a session for a while, now that its connection has ended."""
        if session.is_gone:
            return
        session.went_away(now_s)
        self.away_bytes += session.away_bytes
        self._away[session.token] = session
        self.prune(now_s)

    def end(self, session: ServerSession[M]) -> None:
        """Forget a session: its client said goodbye, or was sent away."""
        if session.is_gone:
            return
        if self._away.pop(session.token, None) is not None:
            self.away_bytes -= session.away_bytes
        del self._all[session.token]
        self.history.forget(session.own)
        while session.answers:
            self._drop_answer(session)
        session.ended()
        self._ended(session)

    def prune(self, now_s: float) -> None:
        """Forget the sessions that were away for too long, and those that are too many."""
        oldest_s = now_s - self.session_s
        while self._away:
            session = next(iter(self._away.values()))
            if (session.away_since_s or 0.0) > oldest_s:
                break
            self.end(session)
        limits = self.history.limits
        if len(self._away) > limits.sessions:
            self._send_off("sessions", lambda session: 1, limits.sessions)
        if self.away_bytes > limits.sessions_bytes:
            self._send_off(
                "sessions_bytes", lambda session: session.away_bytes, limits.sessions_bytes
            )

    def _send_off(
        self, limit: str, size_of: Callable[[ServerSession[M]], int], allowed: int
    ) -> None:
        by_address = _grouped(self._away.values())
        sums = {address: sum(map(size_of, them)) for address, them in by_address.items()}
        for address, over in excesses(sums, allowed - allowed // 64):
            for session in sorted(by_address[address], key=lambda session: session.stayed_s):
                if over <= 0:
                    break
                over -= size_of(session)
                self.history.limited[limit] += 1
                self.end(session)

    def close_room(self, room: str) -> None:
        """Take sessions out of a room whose client is away, or about to be."""
        for session in self._all.values():
            session.leave(room)

    # Answers.

    def keep_answer(self, session: ServerSession[M], answer: M, size_bytes: int) -> None:
        """Keep the answer to a session's latest packet, should its client ask again; bounded."""
        assert not session.is_gone
        session.handled = session.received  # whoever can be answered has been heard
        self._keep_answer(session, session.received, answer, size_bytes)

    def _keep_answer(self, session: ServerSession[M], n: int, answer: M, size_bytes: int) -> None:
        answers, limits = session.answers, self.history.limits
        before = answers.size_bytes
        answers.add(n, answer, size_bytes)
        self.answers_bytes += answers.size_bytes - before
        while len(answers) > MAX_ANSWERS or answers.size_bytes > limits.answers_bytes_per_session:
            self.history.limited["answers_bytes_per_session"] += 1
            self._drop_answer(session)
        if self.answers_bytes > limits.answers_bytes:
            self._make_way_for_answers(limits.answers_bytes - limits.answers_bytes // 8)

    def _make_way_for_answers(self, total: int) -> None:
        by_address = _grouped(session for session in self if session.answers)
        allowed = fair_level(
            [sum(each.answers.size_bytes for each in them) for them in by_address.values()], total
        )
        for them in by_address.values():
            level = fair_level([session.answers.size_bytes for session in them], allowed)
            for session in them:
                while session.answers.size_bytes > level:
                    self.history.limited["answers_bytes"] += 1
                    self._drop_answer(session)

    def _drop_answer(self, session: ServerSession[M]) -> None:
        before = session.answers.size_bytes
        session.answers.drop_oldest()
        self.answers_bytes -= before - session.answers.size_bytes


def _grouped(sessions: Iterable[ServerSession[M]]) -> dict[str, list[ServerSession[M]]]:
    by_address: dict[str, list[ServerSession[M]]] = {}
    for session in sessions:
        by_address.setdefault(session.address, []).append(session)
    return by_address

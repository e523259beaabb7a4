"""The backplane of a hub that one process serves: what is published is delivered at once.

Its rule: the history is kept in this process's memory, and the time it is here is told to it.
"""

from __future__ import annotations

import collections
import secrets
import time
from collections.abc import Callable, Container, Iterable
from typing import Any

from ...errors import ClientGone
from ..dialects.dialect import Said
from ..protocol.history import History
from ..protocol.limits import Limits
from ..protocol.room_log import Past
from ..protocol.sessions import Sessions
from .backplane import (
    AnswerHere,
    Deliver,
    EmptyRoom,
    Fetched,
    Publication,
    Session,
    SessionHooks,
    TellGap,
)  # fmt: skip
from .member import Member
from .status import BackplaneStatus

__all__ = ["MemoryBackplane"]


class MemoryBackplane:
    """One process's engine, which no other shares; a `Backplane`, and so as large as that.

    Args:
        history: events that are kept of each room; 0 keeps none, and no sessions.
        session_s: seconds that a session outlives its connection.
        limits: what all of it may take.
        limited: counts, by the name of a limit, what had to go.
        read: returns the data of an event that was kept.
        step: from one event's offset to the next.
    """

    is_shared = False

    def __init__(
        self,
        history: int,
        session_s: float,
        limits: Limits,
        limited: collections.Counter[str],
        read: Callable[[Said], Any],
        step: int = 1,
    ) -> None:
        self.keeps_sessions = history > 0
        self.sessions: Sessions[Any] = Sessions(
            History(history, limits, limited, step),
            session_s,
            self._session_ended,
            self._session_begun,
        )
        self._status = BackplaneStatus(secrets.token_hex(6))
        self._mark = secrets.token_urlsafe(6) if self.keeps_sessions else ""
        self._read = read
        self.attach(_to_nobody)

    @property
    def status(self) -> BackplaneStatus:
        return self._status

    @property
    def mark(self) -> str:
        return self._mark

    # What other processes would know.

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def room_filled(self, room: str) -> None:
        pass

    def room_emptied(self, room: str) -> None:
        pass

    def attach_members(self, answer: AnswerHere, lost: Callable[[Member], None]) -> None:
        pass

    def changed(self, member: Member) -> None:
        pass

    def went(self, client_id: str) -> None:
        pass

    async def everybody(self, room: str | None) -> list[Member]:
        return []

    async def ask(self, to: str, said: Said, timeout_s: float | None) -> Said:
        raise ClientGone(f"nobody goes by {to!r:.80} at another process: there is none")

    def attach_sessions(self, hooks: SessionHooks) -> None:
        pass

    async def fetch_session(
        self,
        token: str,
        offset: int | None,
        address: str,
        user_id: str | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Fetched:
        return Fetched.KNOWN

    def record(self, session: Session, then: Callable[[], object] | None = None) -> None:
        if then is not None:
            then()

    # What this one knows.

    def attach(
        self,
        deliver: Deliver,
        tell_gap: TellGap | None = None,
        empty_room: EmptyRoom | None = None,
    ) -> None:
        self._deliver = deliver
        self._tell_gap = _tell_nobody if tell_gap is None else tell_gap
        self._empty_room = _nobody_leaves if empty_room is None else empty_room

    def publish(self, publication: Publication, local: Any) -> Any:
        said = publication.said
        if self.keeps_sessions and publication.raw is None:
            said = self._keep(publication, self.sessions.history.offset + 1)
        return self._deliver(said, publication, local)

    def _session_begun(self, session: Session) -> None:
        pass

    def _session_ended(self, session: Session) -> None:
        pass

    def _keep(self, publication: Publication, offset: int) -> Said:
        """Keep an event, and return it with its place."""
        event, data, attachments, _, is_several = publication.said
        said = Said(event, data, attachments, offset, is_several)
        skip, read = publication.skip, self._read
        past = Past(offset, time.time(), event, said, said.size_bytes, skip, read)
        own = [session.own for session in publication.sessions if not session.is_gone]
        self.sessions.history.keep(past, publication.rooms, own, publication.owner)
        return said

    def close_room(self, room: str, local: Any = None, id: str | None = None) -> None:
        self._empty_room(room, None, local)
        self.sessions.close_room(room)  # whose clients are away

    def latest_offset(self) -> int | None:
        return self.sessions.history.offset if self.keeps_sessions else None

    def history(self, room: str | None) -> list[Past[Any]] | None:
        return self.sessions.history.of(room) if self.keeps_sessions else None

    def session(self, token: str) -> Session | None:
        self.sessions.prune(time.monotonic())
        return self.sessions.get(token)

    def open_session(self, token: str, address: str) -> Session:
        return self.sessions.open(token, time.monotonic(), address)

    def continue_session(self, token: str, address: str) -> Session | None:
        return self.sessions.continued(token, time.monotonic(), address)

    def leave_session(self, session: Session) -> None:
        self.sessions.leave(session, time.monotonic())

    def end_session(self, session: Session) -> None:
        self.sessions.end(session)

    def keep_answer(
        self, session: Session, answer: Any, size_bytes: int, then: Callable[[], object]
    ) -> None:
        self.sessions.keep_answer(session, answer, size_bytes)
        self.record(session, then)


def _to_nobody(said: Said, publication: Publication, local: Any) -> None:
    pass


def _nobody_leaves(room: str, leaving: Container[Session] | None, local: Any) -> None:
    pass


def _tell_nobody(rooms: Iterable[str | None] | None, sessions: Iterable[Session] = ()) -> None:
    pass

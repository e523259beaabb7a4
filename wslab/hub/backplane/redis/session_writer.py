"""Writes down in Redis what a node knows of its sessions, before their clients are told.

Its rule: one write of a session is on its way at a time, and the next takes all that came
meanwhile; what waits for a write is called when it is done, or at once while Redis is not there.
A session that another node has is written no more, and whoever made it is told; the other node is
told, too, where the client knows of more than was written down (`unwritten`). What is not written
again lives on in Redis for the time that its client may come back, and a little more.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ....errors import BackplaneDown
from ...protocol.life import LifeState
from ...protocol.session_state import is_same, portable
from ..backplane import Session
from .answers import Answer, packed
from .commands import Word
from .keys import token_hash
from .link import RedisLink
from .renewals import Renewals
from .script import Script
from .unwritten import Unwritten
from .written import Then, Written

__all__ = ["SessionWriter"]

MAX_LEFT_BEHIND = 100  # names of what is said once that it is left behind
_WRITE, _END = Script("session_write"), Script("session_end")
_FENCED, _DONE, _WHOLE, _BEHIND = 0, 1, 2, 3  # what they answer


class _Whole(NamedTuple):
    # What one write says of a session.
    handled: int  # packets
    state: str  # all else
    gone: list[int]  # answers that are kept no more
    answers: list[tuple[int, Answer]]  # that are new


class SessionWriter:
    """One node's; on the hub's loop.

    Args:
        link: to Redis.
        session_s: seconds that a session outlives its connection.
        most_bytes: of a client's ``data`` that is written down.
        fenced: called with a session that another node has.
        behind: called with one whose client was told more than this node knows.
        left_behind: called, once for each name, with what of ``data`` cannot be written down.
        failed: called with an error of Redis's.
        dropped: returns the offsets that a session's connection has dropped, and not told of.

    Attributes:
        by_name: what it writes, by what stands for a session's token.
        unwritten: what other nodes have, and should know more of.
    """

    def __init__(
        self,
        link: RedisLink,
        session_s: float,
        most_bytes: Callable[[], int],
        *,
        fenced: Callable[[Session], object],
        behind: Callable[[Session], object],
        left_behind: Callable[[str], object],
        failed: Callable[[BaseException], object],
        dropped: Callable[[Session], Iterable[int]] = lambda _session: (),
    ) -> None:
        self._link = link
        self._session_s = session_s
        self._most_bytes = most_bytes
        self._fenced, self._behind = fenced, behind
        self._left_behind, self._failed = left_behind, failed
        self._dropped = dropped
        self._renewals = Renewals(link, session_s, self._renewed)
        self._said: set[str] = set()
        self.by_name: dict[str, Written] = {}
        self._again: dict[Written, None] = {}  # what could not be written
        self._is_gone = True  # Redis has been away for so long that nobody waits for it
        self.unwritten = Unwritten(link, failed)
        self._channel = tuple(link.keys.channel("\0", "sessions").split("\0"))

    def of(self, session: Session) -> Written | None:
        """Return what is written of a session of this node."""
        written = self.by_name.get(token_hash(session.token))
        return written if written is not None and written.session is session else None

    # What is asked of it.

    def begin(self, session: Session, claim: str, how: str = "open") -> Written:
        """Write a session down from now on.

        Args:
            session: one of this node.
            claim: nobody else's.
            how: "open" for a new one; "part" for one that Redis has, just as it is now.
        """
        name = token_hash(session.token)
        written = self.by_name[name] = Written(session, name, claim, how)
        session.recorded = session.handled
        if how == "part":
            written.answers.extend(n for n, _, _ in session.answers.items())
            self._renewals.seen(written)
        return written

    def record(self, session: Session, then: Then | None = None) -> None:
        """Write a session down; call a function once that is done, or Redis is known to be away."""
        written = self.of(session)
        if written is None:
            if then is not None and not session.is_gone:
                then()
            return
        written.is_dirty = True
        if then is not None:
            written.waiting.append(then)
        if not self._is_there:
            self._put_off(written)
            return
        if not written.is_writing:
            _ = self._begin_write(written)

    def let_go(self, session: Session) -> Written | None:
        """Write no more of a session than `hand_over` does; whoever waits is not called."""
        written = self.of(session)
        if written is not None:
            del self.by_name[written.name]
            self._renewals.forget(written)
            self._again.pop(written, None)
            written.waiting.clear()
        return written

    def lose(self, session: Session) -> None:
        """Write nothing more of a session: another node has it, or will."""
        written = self.let_go(session)
        if written is not None and written.is_ahead:
            self.unwritten.note(written.name)

    def end(self, session: Session) -> None:
        """Forget a session in Redis, too: nobody will come back for it."""
        written = self.of(session)
        self.lose(session)
        if written is not None and self._is_there:
            _ = self._link.post(_END, [self._link.keys.session(written.name)], [written.claim])

    def tell_behind(self, written: Written) -> None:
        """Have a client learn that another node has told it more than is known here."""
        self._behind(written.session)
        self.record(written.session)

    async def hand_over(self, written: Written) -> bool:
        """Write the last of a session that `let_go` has returned; whether it was this node's.

        Raises:
            BackplaneDown: Redis is not there.
        """
        keys = [self._link.keys.session(written.name)]
        args = self._words(written, self._whole(written), owner="")
        is_written = False
        try:
            is_written = bool(await self._link.run(_WRITE, keys, args) != _FENCED)
        finally:
            if written.is_ahead and not is_written:
                self.unwritten.note(written.name)
        return is_written

    # Writing.

    @property
    def _is_there(self) -> bool:
        return self._link.status == "up"

    def _begin_write(self, written: Written) -> asyncio.Future[Any]:
        written.is_writing, written.is_dirty = True, False
        waiting, written.waiting = written.waiting, []
        whole = self._whole(written)
        args = self._words(written, whole, owner=self._link.node_id)
        done = self._link.post(_WRITE, [self._link.keys.session(written.name)], args)
        done.add_done_callback(functools.partial(self._has_written, written, waiting, whole))
        return done

    def _whole(self, written: Written) -> _Whole:
        session = written.session
        data, left_behind = portable(session.data, self._most_bytes())
        for name in left_behind:
            self._leave_behind(name)
        state = session.snapshot(data, lost=self._dropped(session)).to_json()
        first, last = session.answers.first, written.answers[-1] if written.answers else 0
        gone = list(itertools.takewhile(lambda n: first is None or n < first, written.answers))
        return _Whole(session.handled, state, gone, session.answers.after(last))

    def gone(self) -> None:
        """Have nobody wait any longer: Redis has been away for a while."""
        self._is_gone = True
        for written in tuple(self._again):
            self._tell_unwritten(written)

    def _put_off(self, written: Written) -> None:
        """Write a session when Redis is back; who waits for that waits if it may be back soon."""
        if self._is_gone:
            self._tell_unwritten(written)
        else:
            self._again[written] = None

    def _tell_unwritten(self, written: Written) -> None:
        """Have a session's client told what is not written yet: once Redis is back, it will be."""
        self._again[written], written.is_dirty = None, False
        session = written.session
        session.recorded = session.handled
        if not written.is_ahead:
            whole = self._whole(written)
            written.is_ahead = whole.handled != written.handled or not (
                written.state and is_same(whole.state, written.state)
            )
        waiting, written.waiting = written.waiting, []
        for then in waiting:
            then()

    def _words(self, written: Written, whole: _Whole, *, owner: str) -> list[Word]:
        handled, state, gone, answers = whole
        is_known = state == written.state and written.how == "part"
        how = written.how
        if how == "open" and written.session.state is LifeState.AWAY:
            how = "late"  # its client may be elsewhere by now, where this took it from it
        args: list[Word] = [
            written.claim, owner, self._live_ms(written.session), how,
            "" if is_known else state, len(gone), *(f"a:{n}" for n in gone), *self._channel,
            written.name, written.session.user_id, handled,
        ]  # fmt: skip
        for n, answer in answers:
            args += f"a:{n}", packed(answer)
        return args

    def _live_ms(self, session: Session) -> int:
        is_away = session.state is LifeState.AWAY
        return max(1, int(1000 * self._session_s)) if is_away else self._renewals.live_ms

    def _leave_behind(self, name: str) -> None:
        if name not in self._said and len(self._said) < MAX_LEFT_BEHIND:
            self._said.add(name)
            self._left_behind(name)

    def _has_written(
        self,
        written: Written,
        waiting: list[Then],
        whole: _Whole,
        done: asyncio.Future[Any],
    ) -> None:
        written.is_writing = False
        session = written.session
        exc = None if done.cancelled() else done.exception()
        if self.of(session) is not written:
            return  # it has gone elsewhere meanwhile
        outcome = None if done.cancelled() or exc is not None else done.result()
        if outcome == _FENCED:
            self.lose(session)
            self._fenced(session)
            return
        if outcome == _DONE:
            written.how, written.state, written.handled = "part", whole.state, whole.handled
            written.is_ahead = False
            for _ in whole.gone:
                written.answers.popleft()
            written.answers.extend(n for n, _ in whole.answers)
            session.recorded = whole.handled
            self._renewals.seen(written)
        elif outcome == _WHOLE:
            written.must_be_whole()
            written.is_dirty = True
            written.waiting[:0] = waiting
            waiting = []
        else:
            written.waiting[:0] = waiting
            if exc is None or isinstance(exc, BackplaneDown):
                self._put_off(written)
            else:
                self._failed(exc)
                self._tell_unwritten(written)
            return
        for then in waiting:
            then()
        if (written.is_dirty or written.waiting) and not written.is_writing:
            _ = self._begin_write(written)

    # While it is there.

    def forget_all(self) -> None:
        """Note that Redis has lost its data: what is written next of a session is all of it."""
        for written in self.by_name.values():
            if not written.is_writing:  # else it learns it from the answer
                written.must_be_whole()

    def write_all(self) -> None:
        """Write all sessions down, also of clients that are away."""
        for written in tuple(self.by_name.values()):
            self.record(written.session)

    async def is_up(self) -> None:
        """Write what could not be written; awaited each time that Redis is there again."""
        self._is_gone = False
        await asyncio.gather(*self._write_again(), return_exceptions=True)
        self.unwritten.tell()  # of which those may be that another node was found to have
        self._renewals.renew(tuple(self.by_name.values()))  # Redis may have lost them

    def _write_again(self) -> list[asyncio.Future[Any]]:
        again, self._again = self._again, {}
        return [self._begin_write(written) for written in again if not written.is_writing]

    async def renew(self) -> None:
        """Have the sessions live on whose clients are connected; awaited again and again."""
        _ = self._write_again()
        self.unwritten.tell()
        self._renewals.renew_due()

    def _renewed(self, written: Written, outcome: int) -> None:
        if self.of(written.session) is not written:
            return
        if outcome == _FENCED:
            self.lose(written.session)
            self._fenced(written.session)
        elif outcome == _WHOLE and not written.is_writing:  # else that write learns it, too
            written.must_be_whole()
            self.record(written.session)
        elif outcome == _BEHIND:
            self.tell_behind(written)

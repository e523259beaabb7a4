"""A node's part in the sessions of the whole hub: which it has, takes over, and hands over.

Its rule: one node has a session at a time. Who wants one asks the node that has it, which lets its
handler come to an end and writes the last of it down; a node that does not answer, or is not there,
is passed over, and what it writes later is refused. A token that nobody knows leaves no trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from redis.exceptions import ResponseError

from ....errors import BackplaneDown
from ...protocol.limits import Limits
from ...protocol.room_log import Past
from ...protocol.server_session import ServerSession
from ...protocol.session_state import SessionState
from ...protocol.sessions import Sessions
from ..backplane import Fetched, Session, SessionHooks
from .answers import unpacked
from .background import Background
from .commands import Word
from .keys import token_hash
from .link import RedisLink
from .script import Script
from .session_writer import SessionWriter
from .written import Written

__all__ = ["RedisSessions", "Rooms"]

_CLAIM, _READ = Script("session_claim"), Script("session_read")
UP_S: Final = 1.0  # for Redis to be there again, before a client gets a session of its own
READ_S: Final = 5.0  # for what was missed to be read, and for it to be heard that it was
PATIENCE_S: Final = 2.5  # after a break of Redis's, for the other nodes to be back as well
AGAIN_S: Final = 0.1  # between two questions to one that is not back yet
MOST_OWNERS: Final = 10  # one after the other, while its client goes from node to node
MORE_S: Final = 2.0  # for another node to hand over, beyond what a handler there may take
_ON: Final = 2**62  # beyond all offsets
_Span: TypeAlias = tuple[str | None, int, int]  # a room, after which offset, up to which


class Rooms(NamedTuple):
    """What a node's sessions need of what it hears.

    Args:
        follow: has these rooms heard here from now on, for a while also where nobody is in them.
        settle: returns once all has been told here that was heard, up to an offset.
        past_of: makes what is kept of a message, as Redis has it; None where a session of that
            name (in Redis) is left out.
        reach: has this node know of that life of Redis's data (an epoch), and its clients of what
            was lost; returns the offset before which nothing is in it.
        doubt: has a session's client learn that something may be missing.
    """

    follow: Callable[[Iterable[str]], Awaitable[None]]
    settle: Callable[[int], Awaitable[None]]
    past_of: Callable[[bytes, str], Past[Any] | None]
    reach: Callable[[str], Awaitable[int]]
    doubt: Callable[[Session], object]


class RedisSessions:
    """One node's; on the hub's loop.

    Args:
        link: to Redis.
        sessions: those that are here.
        rooms: what is heard.
        limits: returns the hub's.
        failed: called with what goes wrong in the background.

    Attributes:
        hooks: what is asked of the hub.
        writer: writes them down.
        taken: how many this node has taken over from others.
        listening: done once it hears the other nodes.
    """

    def __init__(
        self,
        link: RedisLink,
        sessions: Sessions[Any],
        rooms: Rooms,
        limits: Callable[[], Limits],
        failed: Callable[[BaseException], object],
    ) -> None:
        self._link, self._sessions, self._rooms = link, sessions, rooms
        self._limits, self._failed = limits, failed
        self.hooks: SessionHooks | None = None
        self.writer = SessionWriter(
            link,
            sessions.session_s,
            lambda: limits().data_bytes,
            fenced=self._lose,
            behind=rooms.doubt,
            left_behind=lambda name: failed(_left_behind(name)),
            failed=failed,
            dropped=self._dropped,
        )
        self.taken = 0
        self._claims = itertools.count(1)
        self._channel = link.keys.channel(link.node_id, "sessions")
        self._elsewhere: weakref.WeakSet[Session] = weakref.WeakSet()
        self._fetching: dict[str, asyncio.Lock] = {}
        self._heard: dict[str, asyncio.Future[bytes]] = {}  # what is waited for, by its first words
        self._background = Background(failed)
        self._up_s: float | None = None  # when the link came up; -inf the first time
        link.up_listeners += [self._is_up, self.writer.is_up]
        link.beat_listeners.append(self.writer.renew)
        self.listening = link.listen(self._channel, self._hear)

    # What the hub asks.

    def opened(self, session: Session) -> None:
        """Note that a session is new, and this node's."""
        _ = self.writer.begin(session, self._new_claim())

    def ended(self, session: Session) -> None:
        """Note that a session is forgotten; what `Sessions` calls."""
        self.writer.end(session)

    async def fetch(
        self,
        token: str,
        offset: int | None,
        address: str,
        user_id: str | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Fetched:
        """Have a session here that another node has, or has had.

        Nothing is raised. Where Redis is not there, nobody can tell whether the session has been
        elsewhere since it was here, and has other rooms and packets now.

        Args:
            token: whose session.
            offset: of the last event that its client has seen; None where it has seen none.
            address: from where it comes.
            user_id: whose it has to be; None for anybody's.
            is_wanted: whether its client still waits for it; it may be at another node by now,
                and would lose its connection there. None: it does.
        """
        name = token_hash(token)
        lock = self._fetching.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                wanted = is_wanted or _always
                return await self._fetch(name, token, offset, address, user_id or "", wanted)
        except BackplaneDown:
            return Fetched.UNSURE
        except (ResponseError, TimeoutError, ValueError) as exc:
            self._failed(exc)
            return Fetched.KNOWN
        finally:
            if not lock.locked():
                self._fetching.pop(name, None)

    async def close(self) -> None:
        """Hand over all that is here, for whichever node their clients come to next."""
        await self._background.close()
        self._link.unlisten(self._channel)
        with contextlib.suppress(BackplaneDown, ResponseError, TimeoutError):
            async with asyncio.timeout(READ_S):
                gone = [self.writer.let_go(each) for each in tuple(self._sessions)]
                last = [self.writer.hand_over(each) for each in gone if each is not None]
                await asyncio.gather(*last)

    async def _is_up(self) -> None:
        self._up_s = -math.inf if self._up_s is None else time.monotonic()

    @property
    def _is_patient(self) -> bool:
        return self._up_s is not None and time.monotonic() - self._up_s < PATIENCE_S

    # Taking over.

    def _new_claim(self) -> str:
        return f"{self._link.node_id}:{next(self._claims)}"

    async def _fetch(
        self,
        name: str,
        token: str,
        offset: int | None,
        address: str,
        user_id: str,
        is_wanted: Callable[[], bool],
    ) -> Fetched:
        await self._link.wait_up(UP_S)
        claim, passed_over = self._new_claim(), b""
        for _ in range(MOST_OWNERS):  # another node has it, which gives it away or is passed over
            if not is_wanted():
                self._heard.pop(f"released {name}", None)
                return Fetched.MOVED_ON
            released = self._expect(f"released {name}")
            while True:
                here = self.writer.by_name.get(name)
                if here is not None:
                    here.comes(claim)
                answer = await self._ask(name, claim, here, user_id, passed_over)
                if here is not None:
                    here.came(is_noted=answer[0] == b"mine")
                if answer[0] != b"unheard":
                    break
                await asyncio.sleep(AGAIN_S)
            if answer[0] != b"asked":
                break
            if not await self._is_in_time(released):
                passed_over = answer[1]
        self._heard.pop(f"released {name}", None)
        if answer[0] == b"mine" and answer[1] and here is not None:
            self.writer.tell_behind(here)
        if answer[0] == b"anothers":
            return Fetched.ANOTHERS
        if answer[0] != b"taken":
            return Fetched.KNOWN  # it is here, or nobody knows it
        before = self._sessions.get(token)
        if before is not None:
            self._lose(before)  # it went elsewhere, and comes back from there
        _, owner, words, epoch = answer
        # First, or its client would be sent away as one of those that were here when it was lost.
        base = await self._rooms.reach(epoch.decode())
        fields = dict(zip(words[::2], words[1::2], strict=True))
        is_behind = owner not in (b"", self._link.node_id.encode())
        session, state = _restored(self._sessions, token, fields, address, is_behind)
        _ = self.writer.begin(session, claim, "part")
        self.taken += 1
        is_doubtful = self.writer.unwritten.take(name) or b"behind" in fields
        await self._catch_up(session, state, name, offset, base)
        if is_doubtful:
            session.doubt()
        return Fetched.MOVED_ON if session in self._elsewhere else Fetched.KNOWN

    async def _ask(
        self, name: str, claim: str, here: Written | None, user_id: str, passed_over: bytes
    ) -> Any:
        before, after = self._link.keys.channel("\0", "sessions").split("\0")
        live_ms = max(1, int(1000 * self._sessions.session_s))
        return await self._link.run(
            _CLAIM,
            [self._link.keys.session(name), self._link.keys.epoch],
            [self._link.node_id, claim, here.claim if here is not None else "", passed_over,
             live_ms, before, after, name, user_id,
             int(self._is_patient)],
        )  # fmt: skip

    async def _catch_up(
        self, session: Session, state: SessionState, name: str, offset: int | None, base: int
    ) -> None:
        """Have it hold what its client has missed; from then on this node hears it itself.

        Args:
            base: the offset before which nothing is in Redis.
        """
        since = state.began_offset if offset is None else offset
        history, link = self._sessions.history, self._link
        found: dict[int, Past[Any]] = {}
        spans, is_known = _to_read(state, since)
        is_whole = is_known and since >= base
        to = since
        try:
            async with asyncio.timeout(READ_S):
                await self._rooms.follow(session.rooms)
                keys = [link.keys.own(name)]
                args: list[Word] = [since, "+"]
                for room, after, until in spans:
                    keys.append(link.keys.room(room))
                    args += [after, "+" if until == _ON else until]
                mark = f"read {name}:{next(self._claims)} "
                heard = self._expect(mark)
                most = history.limits.history_bytes_per_room
                counter, fits, logs = await link.run(
                    _READ, [link.keys.counter, *keys], [self._channel, mark, most, *args]
                )
                to = int(counter)
                await heard  # and with it all that was published before
                await self._rooms.settle(to)
            is_whole = is_whole and fits == 1
            for at, (trimmed, closed, *messages) in enumerate(logs):
                is_whole = is_whole and int(trimmed) <= int(args[2 * at])
                for message in messages:
                    past = self._rooms.past_of(message, name)
                    if past is not None:
                        found[past.offset] = past
                if at:
                    _leave_closed(session, state, spans[at - 1], int(closed))
        except (BackplaneDown, ResponseError, TimeoutError):
            is_whole = False  # which its client is told, as a gap
            to = max(to, history.offset)
        history.offset = max(history.offset, to)
        if not session.is_gone:
            session.fetch([found[at] for at in sorted(found)], since, to, is_whole=is_whole)

    # What is heard of others.

    def _hear(self, payload: bytes) -> None:
        word, _, rest = payload.decode().partition(" ")
        name, _, told = rest.partition(" ")
        expected = self._heard.pop(f"{word} {name}", None)
        if expected is not None and not expected.done():
            expected.set_result(told.encode())
        elif word == "release":
            self._background.start(self._hand_over(name, *told.split(" ")))
        elif word == "fenced":
            written = self.writer.by_name.get(name)
            if written is not None and written.claim == told:
                self._lose(written.session)
        elif word == "behind":  # its client was told more, where that could not be written down
            written = self.writer.by_name.get(name)
            if written is not None:
                self.writer.tell_behind(written)
            else:  # it has gone on meanwhile, or comes this very moment
                self.writer.unwritten.note(name)

    def _expect(self, what: str) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._heard[what.strip()] = future
        return future

    async def _is_in_time(self, released: asyncio.Future[bytes]) -> bool:
        """Wait until another node has handed a session over; whether it has, within the bound."""
        try:
            async with asyncio.timeout(self._limits().grace_s + MORE_S):
                await released
        except TimeoutError:
            return False
        return True

    # Handing over.

    async def _hand_over(self, name: str, asker: str, visit: str) -> None:
        written = self.writer.by_name.get(name)
        with contextlib.suppress(BackplaneDown, ResponseError):
            # Its client may have come here again since it was asked for: this may be heard late.
            if written is not None and visit in written.visits:
                session = written.session
                if self.hooks is not None:
                    await self.hooks.make_way(session)
                has_come_back = visit not in written.visits  # while its handler came to an end
                if not has_come_back and self.writer.let_go(session) is written:
                    session.handled = session.received
                    self._elsewhere.add(session)
                    try:
                        await self.writer.hand_over(written)
                    finally:
                        self._sessions.end(session)
            channel = self._link.keys.channel(asker, "sessions")
            await self._link.command("PUBLISH", channel, f"released {name}")

    def _lose(self, session: Session) -> None:
        """Part with a session that another node has taken."""
        self.writer.lose(session)
        self._elsewhere.add(session)
        if not session.is_gone:
            if self.hooks is not None:
                self.hooks.fence(session)
            self._sessions.end(session)

    def _dropped(self, session: Session) -> Iterable[int]:
        return self.hooks.dropped(session) if self.hooks is not None else ()


def _always() -> bool:
    return True


def _left_behind(name: str) -> ValueError:
    return ValueError(
        f"expected client.data of JSON, got {name!r}: it is not there when its client comes back "
        "to another node (no JSON, no text as its name, or too large: Limits(data_bytes=...))"
    )


def _to_read(state: SessionState, since: int) -> tuple[list[_Span], bool]:
    """Return where a session may have missed something, and whether that is known.

    Where it is not, its rooms are asked for nothing but whether they were closed.
    """
    spans = state.spans(since, _ON)
    if spans is None:
        return [(room, _ON, _ON) for room in state.stays.here], False
    return spans, True


def _leave_closed(session: Session, state: SessionState, span: _Span, closed: int) -> None:
    """Take a session out of a room that was closed, last at this offset, after it had joined."""
    room, _, until = span
    if room is not None and until == _ON and closed > state.stays.here[room]:
        session.leave(room, closed)


def _restored(
    sessions: Sessions[Any], token: str, fields: dict[bytes, bytes], address: str, is_behind: bool
) -> tuple[Session, SessionState]:
    """Return a session as Redis has it, among those that are here, and what it was."""
    state = SessionState.from_json(fields[b"state"], int(fields[b"received"]))
    now_s = time.monotonic()
    session: Session = ServerSession.restored(
        token, sessions.history, state, json.loads(state.data), now_s, address,
        may_be_behind=is_behind,
    )  # fmt: skip
    answers = []
    for n in sorted(int(word[2:]) for word in fields if word.startswith(b"a:")):
        answer = unpacked(fields[b"a:%d" % n])
        answers.append((n, answer, len(answer[0]) + sum(map(len, answer[1]))))
    sessions.take_in(session, now_s, answers)
    return session, state

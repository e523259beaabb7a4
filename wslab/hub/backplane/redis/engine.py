"""The backplane of a hub that many processes serve, over Redis.

Its rule: what is said goes to Redis first, which gives it its place, and is delivered here when it
comes back; so all processes deliver in one order, and what one has not heard it reads from Redis's
streams. Sessions and history are kept here as in one process (`memory`). While Redis is away, the
clients here go on being served, and the others get it afterwards.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal

from redis.exceptions import RedisError

from ....errors import BackplaneDown, ClientGone
from ...dialects.dialect import Said
from ...protocol.limits import Limits
from ..backplane import AnswerHere, Fetched, Local, Publication, Session, SessionHooks
from ..member import Member
from ..memory import MemoryBackplane
from ..status import BackplaneStatus, without_password
from .arrivals import Arrivals
from .background import Background
from .closings import Closings
from .commands import Word
from .keys import Keys, token_hash
from .link import RedisLink
from .message import Message, closing
from .presence import Presence
from .publisher import Item, Publisher
from .questions import NodeQuestions
from .rooms import Now, Rooms
from .script import Script
from .sessions import RedisSessions
from .sessions import Rooms as Heard

__all__ = ["RedisBackplane"]

EMIT, BEGIN = Script("emit"), Script("begin")
STEP = 1000  # from one event's offset to the next; what tells of a loss has one in between
JUMP = 1_000_000 * STEP  # what a new epoch is ahead of what any node may have seen
START_S = 5.0  # to wait for Redis at the start
CLOSE_S = 2.5  # to hand over what the other nodes go on with
LEAST_KEPT = 100  # events of a room that Redis keeps, for nodes that have not heard them
LEAST_ID_S = 600.0


class RedisBackplane(MemoryBackplane):
    """One node's engine; a `Backplane`, and so as large as that.

    Args:
        url: of Redis.
        hub: the name of the hub, which all of its processes have in common.
        when_down: what to do with what is said while Redis is away.
        history, session_s, limits, limited, read: as for one process.
        failed: called with what goes wrong in the background.

    Raises:
        ValueError: no URL of a Redis.
    """

    is_shared = True

    def __init__(
        self,
        url: str,
        hub: str,
        when_down: Literal["queue", "refuse"],
        history: int,
        session_s: float,
        limits: Callable[[], Limits],
        limited: collections.Counter[str],
        read: Callable[[Said], Any],
        failed: Callable[[BaseException], object],
        **timing: float,
    ) -> None:
        super().__init__(history, session_s, limits(), limited, read, STEP)
        self._url, self._hub, self._failed, self._timing = url, hub, failed, timing
        self._limits = limits
        self._kept = max(history, LEAST_KEPT)
        self._kept_s = int(max(session_s, LEAST_ID_S)) + 60
        self._numbers = itertools.count(1)
        self._waiting_rooms: set[str] = set()  # filled before the start
        self._epoch = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background = Background(failed)
        self._began: asyncio.Future[None] | None = None
        self._going: asyncio.TimerHandle | None = None  # until Redis is taken for gone
        self._hooks: SessionHooks | None = None
        self._answer: AnswerHere | None = None
        self._lost_member: Callable[[Member], None] = lambda _member: None
        self.link = RedisLink(url, Keys(hub), failed, **timing)
        self._status = BackplaneStatus(self.link.node_id, without_password(url), "connecting")
        self.publisher = Publisher(
            self._post,
            tell_here=self._tell_here,
            comes_back=self._comes_back,
            has_new_epoch=self._renew_soon,
            broken=lambda why: self.link.fail(why),
            failed=self._failed,
            hashed=_hashed,
            limits=limits,
            status=self._status,
            refuses=when_down == "refuse",
        )
        self.closings = Closings(
            self.sessions if self.keeps_sessions else None,
            lambda room, leaving, local: self._empty_room(room, leaving, local),
            self.record,
        )
        self.arrivals = Arrivals(
            self.sessions,
            self.keeps_sessions,
            self.publisher,
            self.closings,
            keep=self._keep,
            deliver=lambda said, publication, local: self._deliver(said, publication, local),
            tell_gap=lambda rooms, sessions=(): self._tell_gap(rooms, sessions),
            read=self._read,
            run=lambda coroutine: self._background.start(coroutine),
            failed=failed,
            status=self._status,
        )
        self._refuses = when_down == "refuse"
        self._build()

    def _build(self) -> None:
        """Make the parts that live as long as a link."""
        link = self.link
        self._looked_s: float | None = None  # when it was heard last how far Redis is
        self.rooms = Rooms(link, self.sessions.history, self.arrivals, self._status)
        self.arrivals.rooms = self.rooms
        self.presence = Presence(link, lambda member: self._lost_member(member))
        self.questions = NodeQuestions(link, self._answer_here, self._failed)
        link.up_listeners += [self.presence.up, self._up]
        link.beat_listeners += [self._beat, self.presence.beat, self.questions.beat]
        link.down_listeners += [self._down, self.presence.down, self.questions.down]
        self.redis_sessions: RedisSessions | None = None

    @property
    def status(self) -> BackplaneStatus:
        status, link, publisher = self._status, self.link, self.publisher
        status.status, status.why, status.reconnects = link.status, link.why, link.reconnects
        is_up = link.status == "up"
        status.queued = 0 if is_up else len(publisher)
        status.queued_bytes = 0 if is_up else publisher.size_bytes
        return status

    @property
    def mark(self) -> str:
        # The same after Redis has lost its data, since offsets only grow: a client may name a place
        # that one node gave it, and come to another, which has heard of the loss already.
        return self._epoch.partition("-")[0] if self.keeps_sessions else ""

    # Its life.

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._began is None:
            if self._loop is not None:  # of a loop that was closed under it, or closed itself
                self.link = RedisLink(self._url, Keys(self._hub), self._failed, **self._timing)
                self._status.node_id = self.link.node_id
                self._going = None
                self._build()
                self._background = Background(self._failed)
            self._loop = loop
            if self.keeps_sessions:
                come = self.arrivals
                heard = Heard(come.follow, come.settle, come.past_of, self._reach, come.doubt)
                self.redis_sessions = RedisSessions(
                    self.link, self.sessions, heard, self._limits, self._failed
                )
                self.redis_sessions.hooks = self._hooks
            self.link.start()
            self._background.start(self.questions.start())
            self._began = loop.create_future()
            own = self.link.keys.channel(self.link.node_id, "own")
            _ = self.link.listen(own, lambda payload: self.rooms.heard(payload))
            read = self.link.keys.channel(self.link.node_id, "read")
            _ = self.link.listen(read, lambda payload: self.rooms.was_read(payload))
            _ = self.rooms.follow(None)
            for room in self._waiting_rooms:
                self.rooms.fill(room)
            self._waiting_rooms.clear()
            for key in tuple(self.arrivals.by_key):
                self.rooms.follow_own(self.link.keys.own(key), self.sessions.history.offset)
            self._background.start(self._begin(self._began))
        await asyncio.shield(self._began)

    async def _begin(self, began: asyncio.Future[None]) -> None:
        try:
            await self.link.wait_up(START_S)
        except BackplaneDown as exc:
            if self._refuses:
                began.set_exception(exc)
                began.exception()
                return
        began.set_result(None)

    async def close(self) -> None:
        if self._began is None or self._loop is not asyncio.get_running_loop():
            return
        if not self._began.done():
            self._began.cancel()
        self._began = None
        if self.link.status == "up":
            with contextlib.suppress(BackplaneDown, RedisError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    if self.redis_sessions is not None:
                        await self.redis_sessions.close()
                    await self.presence.leave()
        await self.questions.close()
        await self.link.close()
        self.rooms.close()
        await self._background.close()

    # Redis's comings and goings.

    async def _up(self) -> None:
        await self.rooms.read_all(await self._look())
        self._stay()
        self.publisher.up()

    async def _beat(self) -> None:
        await self._look()

    async def _look(self) -> Now:
        """Say how far this node has seen, and return how far Redis is; maybe it has lost all."""
        keys = self.link.keys
        mark = self._epoch.partition("-")[0] or secrets.token_hex(6)
        word = f"{mark}-{secrets.token_hex(4)}"
        answer = await self.link.run(
            BEGIN, [keys.epoch, keys.counter], [word, self.rooms.latest, JUMP]
        )
        epoch, counter = answer[0].decode(), int(answer[1])
        self.rooms.counter = max(self.rooms.counter, counter)
        before, self._epoch = self._epoch, epoch
        looked_s, self._looked_s = self._looked_s, time.monotonic()
        # What was said in a room that has been silent since is not kept any more, nor that it was.
        is_long_ago = looked_s is not None and self._looked_s - looked_s > 0.9 * self._kept_s
        if (before and before != epoch) or is_long_ago:
            if self.redis_sessions is not None and before != epoch:
                self.redis_sessions.writer.forget_all()
            self.arrivals.lost(None)
            if self.redis_sessions is not None:
                self.redis_sessions.writer.write_all()
        return Now(counter, int(answer[2]), asyncio.get_running_loop().time())

    async def _reach(self, epoch: str) -> int:
        if epoch != self._epoch:
            await self._look()
        return int(self._epoch.rpartition(":")[2] or 0)

    def _renew_soon(self) -> None:
        self._background.start(self._renew())

    async def _renew(self) -> None:
        try:
            await self._look()
        except BackplaneDown as exc:
            self.link.fail(str(exc))
        else:
            self.publisher.up()

    def _down(self) -> None:
        self.rooms.feed.hold_all()  # what is heard first behind a break is not told before the rest
        if self._refuses:
            self.publisher.down()
        if self._began is None:  # it is being closed
            self._gone()
        elif self._going is None:  # back at once, it has missed nothing: all goes in order
            later = asyncio.get_running_loop().call_later
            self._going = later(self.link.deadline_s / 2, self._gone)

    def _gone(self) -> None:
        self._stay()
        self.publisher.down()
        if self.redis_sessions is not None:
            self.redis_sessions.writer.gone()

    def _stay(self) -> None:
        if self._going is not None:
            self._going.cancel()
            self._going = None

    # Who is here, and elsewhere.

    def attach_members(self, answer: AnswerHere, lost: Callable[[Member], None]) -> None:
        self._answer, self._lost_member = answer, lost

    async def _answer_here(self, client_id: str, said: Said, timeout_s: float | None) -> Said:
        if self._answer is None:
            raise ClientGone(f"{client_id} has left its process")
        return await self._answer(client_id, said, timeout_s)

    def changed(self, member: Member) -> None:
        self.presence.changed(member)

    def went(self, client_id: str) -> None:
        self.presence.went(client_id)

    async def everybody(self, room: str | None) -> list[Member]:
        return await self.presence.everybody(room)

    async def ask(self, to: str, said: Said, timeout_s: float | None) -> Said:
        return await self.questions.ask(to, said, timeout_s)

    def room_filled(self, room: str) -> None:
        if self._is_running:
            self.rooms.fill(room)
        else:
            self._waiting_rooms.add(room)

    def room_emptied(self, room: str) -> None:
        if self._is_running:
            self.rooms.empty(room)
        else:
            self._waiting_rooms.discard(room)

    @property
    def _is_running(self) -> bool:
        return self._began is not None and self._loop is not None and self._loop.is_running()

    # Who may come back.

    def attach_sessions(self, hooks: SessionHooks) -> None:
        self._hooks = hooks
        if self.redis_sessions is not None:
            self.redis_sessions.hooks = hooks

    async def fetch_session(
        self,
        token: str,
        offset: int | None,
        address: str,
        user_id: str | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Fetched:
        if self.redis_sessions is None:
            return Fetched.KNOWN
        return await self.redis_sessions.fetch(token, offset, address, user_id, is_wanted)

    def record(self, session: Session, then: Callable[[], object] | None = None) -> None:
        if self.redis_sessions is not None:
            self.redis_sessions.writer.record(session, then)
        elif then is not None:
            then()

    def open_session(self, token: str, address: str) -> Session:
        session = super().open_session(token, address)
        if self.redis_sessions is not None:
            self.redis_sessions.opened(session)
        return session

    def leave_session(self, session: Session) -> None:
        super().leave_session(session)
        if not session.is_gone:
            self.record(session)

    def _session_begun(self, session: Session) -> None:
        key = token_hash(session.token)
        self.arrivals.by_key[key] = session
        if self._is_running:
            self.rooms.follow_own(self.link.keys.own(key), self.rooms.latest)

    def _session_ended(self, session: Session) -> None:
        key = token_hash(session.token)
        if self.arrivals.by_key.get(key) is session:
            del self.arrivals.by_key[key]
            self.rooms.unfollow_own(self.link.keys.own(key))
        if self.redis_sessions is not None:
            self.redis_sessions.ended(session)

    # What is said here.

    def publish(self, publication: Publication, local: Any) -> Any:
        rooms = tuple(dict.fromkeys(publication.rooms))
        own = tuple(token_hash(each.token) for each in publication.sessions if not each.is_gone)
        if not rooms and not own:  # for clients that can't be elsewhere
            self._deliver_alone(publication, local)
            return None
        id = publication.id or f"{self.link.node_id}:{next(self._numbers)}"
        skip = frozenset(map(token_hash, publication.skip))
        message = Message(
            id, rooms, tuple(dict.fromkeys(own)), skip, publication.owner, publication.said,
            publication.raw, publication.key,
        )  # fmt: skip
        self.publisher.put(message, publication, local)
        return None

    def _deliver_alone(self, publication: Publication, local: Local) -> None:
        """Deliver to clients that nobody else knows: behind what was said before."""

        def deliver() -> None:
            self._deliver(publication.said, publication, local)
            local.settle()

        last = self.publisher.last
        if last is None:
            deliver()
        else:
            last.then(deliver)

    def close_room(self, room: str, local: Any = None, id: str | None = None) -> None:
        message = closing(id or f"{self.link.node_id}:{next(self._numbers)}", room)
        publication = Publication(message.said, [room], [], frozenset(), message.owner)
        self.publisher.put(message, publication, local)

    def _post(self, message: Message, text: bytes) -> asyncio.Future[Any]:
        keys, limits = self.link.keys, self._limits()
        names = [keys.epoch, keys.counter, keys.message(message.id), *map(keys.room, message.rooms)]
        for key in message.own:
            names += keys.own(key), keys.session(key)
        before, _, behind = keys.channel("\0", "own").partition("\0")
        args: list[Word] = [
            self._epoch, self._kept_s, self._kept, limits.history_bytes_per_room, self._kept_s,
            STEP, len(message.rooms), before, behind, self.link.node_id, text,
            *(["c"] if message.closes else []),
        ]  # fmt: skip
        return self.link.post(EMIT, names, args)

    def _tell_here(self, item: Item) -> None:
        if item.message.closes:
            self.closings.tell(item)
            return
        said = item.publication.said._replace(offset=None)
        self._deliver(said, item.publication, item.local)
        for token in item.local.told_tokens() if item.local is not None else ():
            session = self.sessions.get(token)
            if session is not None:  # which may have missed it, should this process end
                self.record(session)

    def _comes_back(self, message: Message) -> bool:
        own = any(key in self.arrivals.by_key for key in message.own)
        return own or any(room in self.rooms for room in message.rooms)


def _hashed(local: Local) -> frozenset[str]:
    return frozenset(map(token_hash, local.told_tokens()))

"""Nodes that have sessions, for tests: over a real Redis, without a hub.

What is said goes into the streams as a backplane's emit puts it there, in a short form of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from tests.hub.backplane.redis.rig import linked
from wslab.hub import Limits
from wslab.hub.backplane.backplane import SessionHooks
from wslab.hub.backplane.redis.keys import token_hash
from wslab.hub.backplane.redis.link import RedisLink
from wslab.hub.backplane.redis.sessions import RedisSessions, Rooms
from wslab.hub.protocol.history import History
from wslab.hub.protocol.room_log import Past
from wslab.hub.protocol.sessions import Sessions

TOKEN, NAME = "a" * 16, token_hash("a" * 16)


async def eventually(look: Callable[[], Awaitable[object]]) -> None:
    """Wait until Redis shows what is looked for."""
    async with asyncio.timeout(10):
        while True:
            if await look():
                return
            await asyncio.sleep(0.02)


class Node:
    """One node: its link, its sessions, and what they have asked of their hub."""

    def __init__(self, link: RedisLink, session_s: float, limits: Limits) -> None:
        self.link = link
        self.base = 0
        self.failures: list[BaseException] = []
        self.fenced: list[Any] = []
        self.doubted: list[Any] = []
        self.made_way: list[Any] = []
        self.may_go = asyncio.Event()  # a handler at work has ended
        self.may_go.set()
        history: History[Any] = History(20, limits)
        self.local: Sessions[Any] = Sessions(history, session_s, self._ended)
        rooms = Rooms(self.follow, self.settle, self.past_of, self.reach, self.doubted.append)
        self.sessions = RedisSessions(link, self.local, rooms, lambda: limits, self.failures.append)
        self.sessions.hooks = SessionHooks(self.make_way, self.fenced.append, lambda _session: ())

    @property
    def writer(self) -> Any:
        return self.sessions.writer

    def _ended(self, session: Any) -> None:
        self.sessions.ended(session)

    async def make_way(self, session: Any) -> None:
        self.made_way.append(session)
        if session.away_since_s is None:
            self.local.leave(session, 0.0)
        await self.may_go.wait()

    async def follow(self, rooms: Iterable[str]) -> None:
        await asyncio.gather(
            *(self.link.listen(self.link.keys.room(room), lambda _: None) for room in rooms)
        )

    async def settle(self, offset: int) -> None:
        pass

    async def reach(self, epoch: str) -> int:
        return self.base

    def past_of(self, message: bytes, name: str) -> Past[Any] | None:
        offset, _, text = message.decode().partition(" ")
        if text == f"not for {name}":
            return None
        return Past(int(offset), 0.0, "e", text, len(text), frozenset(), str)

    def open(self, token: str = TOKEN) -> Any:
        session = self.local.open(token, 0.0, "1.2.3.4")
        session.resume(None)
        session.user_id = "ada"
        self.sessions.opened(session)
        self.writer.record(session)
        return session

    async def written(self, session: Any) -> None:
        """Wait until all of it is written down."""
        done = asyncio.get_running_loop().create_future()
        self.writer.record(session, lambda: done.set_result(None))
        async with asyncio.timeout(5):
            await done

    async def say(self, text: str, *rooms: str | None, own: str = "") -> int:
        """Put an event into streams."""
        offset = int(await self.link.command("INCR", self.link.keys.counter))
        streams = [self.link.keys.room(room) for room in rooms]
        for stream in [*streams, *([self.link.keys.own(own)] if own else [])]:
            await self.link.command("XADD", stream, f"{offset}-0", "m", f"{offset} {text}")
        return offset

    async def has_stored(self, field: bytes = b"state") -> bool:
        """Return whether Redis has such a field of the session."""
        return field in await self.stored()

    async def session_keys(self) -> list[bytes]:
        """Return the keys of all sessions that Redis has of the hub."""
        keys: list[bytes] = await self.link.command("KEYS", self.link.keys.session("*"))
        return keys

    async def stored(self, name: str = NAME) -> dict[bytes, bytes]:
        """Return what Redis has of a session."""
        found = await self.link.command("HGETALL", self.link.keys.session(name))
        return dict(zip(found[::2], found[1::2], strict=True))


@contextlib.asynccontextmanager
async def node(
    url: str,
    name: str,
    *,
    session_s: float = 60.0,
    limits: Limits | None = None,
    **options: Any,
) -> AsyncIterator[Node]:
    """Give a node of the hub of that name; at the end it just ends."""
    async with linked(url, name, **options) as link:
        one = Node(link, session_s, limits or Limits(grace_s=1.0, data_bytes=1000))
        await asyncio.wait_for(one.sessions.listening, 5)
        yield one
        await one.sessions._background.close()

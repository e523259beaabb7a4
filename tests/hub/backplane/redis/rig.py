"""What the tests of the Redis backplane share: names, links, and a Redis of a test's own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from tests.redis_server import RedisServer, need
from wslab.hub import Hub
from wslab.hub.backplane.redis.keys import Keys
from wslab.hub.backplane.redis.link import RedisLink

BEAT_S, DEADLINE_S = 0.05, 1.5  # a link notices soon, in tests; also on a busy machine


def fresh_name() -> str:
    """Return a hub's name that no other test has."""
    return f"hub-{secrets.token_hex(4)}"


@contextlib.asynccontextmanager
async def linked(url: str, name: str = "", **options: Any) -> AsyncIterator[RedisLink]:
    """Give a link that is up."""
    options = {"beat_s": BEAT_S, "deadline_s": DEADLINE_S} | options
    link = RedisLink(url, Keys(name or fresh_name()), **options)
    link.start()
    try:
        await link.wait_up(10.0)
        yield link
    finally:
        await link.close()


@contextlib.contextmanager
def redis_of_its_own(folder: Path, **options: str) -> Iterator[RedisServer]:
    """Give a Redis that a test may stop and restart."""
    need()
    with RedisServer(folder, **options) as server:
        yield server


def fast(hub: Hub, **timing: float) -> Hub:
    """Have a hub notice soon that its Redis is gone; before its start."""
    timing = {"beat_s": BEAT_S, "deadline_s": DEADLINE_S} | timing
    backplane: Any = hub._context.backplane
    backplane._timing = timing
    backplane.link._beat_s, backplane.link.deadline_s = timing["beat_s"], timing["deadline_s"]
    return hub


@contextlib.asynccontextmanager
async def nodes(url: str, count: int = 2, **options: Any) -> AsyncIterator[list[Hub]]:
    """Give hubs of one name over one Redis, as so many processes would have them; started."""
    name = options.pop("name", "") or fresh_name()
    hubs = [fast(Hub(name, backplane=url, **options)) for _ in range(count)]
    for hub in hubs:
        prepare(hub)
    try:
        for hub in hubs:
            await hub.start()
        yield hubs
    finally:
        for hub in hubs:
            await hub.close()


def prepare(hub: Hub) -> None:
    """Give a hub handlers by which its clients join and leave rooms, and emit."""

    @hub.on("join")
    async def join(client: Any, room: str) -> None:
        client.join(room)

    @hub.on("leave")
    async def leave(client: Any, room: str) -> None:
        client.leave(room)

    @hub.on("say")
    async def say(client: Any, said: dict[str, Any]) -> int:
        delivery = await hub.emit(said["event"], said.get("data"), to=said.get("to"))
        return int(delivery.reached)

"""What the tests of the Redis backplane share: names, links, and a Redis of a test's own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from tests.redis_server import RedisServer, need
from wslab.hub.backplane.redis.keys import Keys
from wslab.hub.backplane.redis.link import RedisLink

BEAT_S, DEADLINE_S = 0.05, 0.5  # a link notices soon, in tests


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

"""When it is told that an identity has ended: once, and never early."""

from __future__ import annotations

import asyncio
import time

import pytest

from wslab.identity import expiry
from wslab.identity.expiry import Expiry


@pytest.fixture
def clock(monkeypatch):
    """A wall clock that stands still until it is set."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(expiry.time, "time", lambda: Clock.now)
    return Clock


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


def test_it_tells_at_its_moment():
    async def main():
        ended = asyncio.Event()
        watch = Expiry(ended.set)
        assert watch.at is None
        watch.at = at = time.time() + 0.05
        assert watch.at == at
        async with asyncio.timeout(5):
            await ended.wait()
        assert time.time() >= at

    asyncio.run(main())


def test_what_is_past_is_told_soon_and_once(clock):
    async def main():
        told = []
        watch = Expiry(lambda: told.append(1))
        watch.at = clock.now - 1
        assert told == []  # not while it is set
        await turns()
        assert told == [1]
        watch.cancel()
        await turns()
        assert told == [1]

    asyncio.run(main())


def test_it_can_be_moved_and_taken_back(clock):
    async def main():
        told = []
        watch = Expiry(lambda: told.append(1))
        for later in (clock.now + 60, None):
            watch.at = clock.now - 1
            watch.at = later
            await turns()
            assert told == []
        watch.at = clock.now - 1
        watch.cancel()
        await turns()
        assert told == []

    asyncio.run(main())


def test_a_clock_that_was_set_back_does_not_end_it_early(clock):
    async def main():
        told = []
        watch = Expiry(lambda: told.append(1))
        watch.at = clock.now
        clock.now -= 100
        await turns()
        assert told == []
        assert watch.at == 1000.0
        watch.cancel()

    asyncio.run(main())

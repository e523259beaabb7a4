"""Tasks that run beside whatever runs: kept, told of where they fail, and ended."""

from __future__ import annotations

import asyncio

from tests.hub.rig import aio, until
from wslab.hub.backplane.redis.background import Background


@aio
async def test_what_fails_is_told_and_what_runs_is_ended() -> None:
    failures: list[BaseException] = []
    background = Background(failures.append)
    ended: list[str] = []

    async def fail() -> None:
        raise ValueError("no such colour")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def say() -> None:
        ended.append("saying")

    for each in (fail, wait, say):
        background.start(each())
    await until(lambda: failures and ended)
    await background.close()
    assert [str(each) for each in failures] == ["no such colour"]
    assert ended == ["saying", "waiting"]
    await background.close()

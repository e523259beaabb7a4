"""Whatever clients do, in whatever order: nothing of ours fails, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hub.engineio.rig import engine, soon
from tests.hub.rig import until
from wslab.hub.engineio.life import EngineState

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]

BODIES = ["4a", "3", "1", "4a\x1e4b", "bAAE=", "9", "", "4" * 50, "\x1e", "2probe", "5", "6", "0"]
FRAMES = ["2probe", "5", "4a", "3", "9", "1", b"\x00", "", "2", "bAAE="]


@pytest.mark.parametrize("seed", range(30))
async def test_it_ends_well(seed):
    random = Random(seed)
    async with engine(ping_interval_s=0.02, ping_timeout_s=0.05, upgrade_timeout_s=0.05) as rig:
        sids: list[str] = []
        tasks: list[asyncio.Task[object]] = []
        statuses: list[int] = []

        async def asks(request, *args):
            statuses.append((await request(*args)).status)

        async def talks(sid):
            with contextlib.suppress(ConnectionClosed):
                async with rig.socket(sid) as socket:
                    for _ in range(random.randrange(6)):
                        await socket.send(random.choice(FRAMES))
                        await asyncio.sleep(0.001 * random.randrange(3))
                    if random.random() < 0.3:
                        socket.transport.abort()

        for _ in range(60):
            act, sid = random.randrange(7), random.choice([*sids[-3:], "x"])
            if act == 0 or not sids:
                sids.append(await rig.open())
            elif act in (1, 2):
                tasks.append(asyncio.ensure_future(asks(rig.get, sid)))
            elif act in (3, 4):
                tasks.append(asyncio.ensure_future(asks(rig.post, sid, random.choice(BODIES))))
            elif act == 5:
                tasks.append(asyncio.ensure_future(talks(random.choice([sid, ""]))))
            else:
                random.choice(tasks).cancel() if tasks else None
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
        # Without anybody who answers its pings, each session ends; and with it what it holds.
        await until(lambda: not rig.server.sessions)
        done = await soon(asyncio.gather(*tasks, return_exceptions=True))
        failed = [
            each for each in done
            if each is not None and not isinstance(each, asyncio.CancelledError)
        ]  # fmt: skip
        assert failed == []
        assert set(statuses) <= {200, 400}
        assert rig.failed == []
        assert all(session.state is EngineState.CLOSED for session in rig.seen)
        assert not rig.server._places._addresses
        assert not rig.server._unpolled
        assert not rig.server._polling

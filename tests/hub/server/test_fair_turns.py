"""Turns of which the addresses have one after another."""

from __future__ import annotations

import asyncio
import contextlib

from tests.hub.rig import aio
from wslab.hub.server.fair_turns import FairTurns


class Many:
    """People of several addresses, who note whose turn it is, and stay as long as they are told."""

    def __init__(self, most):
        self.turns, self.most = FairTurns(), most
        self.order = []
        self.tasks = []
        self._may_go = asyncio.Semaphore(0)

    def come(self, address, count=1):
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self._one(address)))

    async def _one(self, address):
        async with self.turns.turn(address, self.most):
            self.order.append(address)
            await self._may_go.acquire()

    async def let_go(self, count):
        for _ in range(count):
            self._may_go.release()
            for _ in range(4):
                await asyncio.sleep(0)

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


@aio
async def test_who_waits_behind_a_thousand_of_one_address_waits_behind_one():
    many = Many(2)
    many.come("6.6.6.6", 1000)
    await asyncio.sleep(0)
    many.come("1.1.1.1", 2)
    many.come("2.2.2.2")
    await asyncio.sleep(0)
    assert many.order == ["6.6.6.6"] * 2
    await many.let_go(6)
    assert many.order[2:] == ["6.6.6.6", "1.1.1.1", "2.2.2.2", "6.6.6.6", "1.1.1.1", "6.6.6.6"]
    assert many.turns.running == 2
    await many.end()
    assert many.turns.running == 0
    assert not many.turns.waiting


@aio
async def test_who_gives_up_loses_no_turn():
    many = Many(1)
    many.come("a")
    many.come("b", 2)
    many.come("c")
    await asyncio.sleep(0)
    many.tasks[1].cancel()  # while it waits
    await asyncio.sleep(0)
    many._may_go.release()
    await asyncio.sleep(0)  # "a" goes, and hands its turn on
    await asyncio.sleep(0)
    many.tasks[2].cancel()  # which has come, or is about to
    for _ in range(4):
        await asyncio.sleep(0)
    assert many.order[-1] == "c"
    await many.let_go(1)
    await asyncio.wait(many.tasks)
    assert many.turns.running == 0
    assert not many.turns.waiting


@aio
async def test_what_fails_in_its_turn_hands_it_on():
    turns = FairTurns()
    for _ in range(3):
        with contextlib.suppress(LookupError):
            async with turns.turn("a", 1):
                raise LookupError
    assert turns.running == 0

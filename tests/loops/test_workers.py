"""The pool of threads: one each for what blocks, and nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
import time
import weakref

import pytest

from tests.loops.rig import SOON_S
from wslab.errors import PortalClosed
from wslab.loops.portal import Portal
from wslab.loops.workers import MAX_WORKERS, WorkerPool


def test_a_pool_gives_each_piece_of_work_a_thread_of_its_own(portal: Portal) -> None:
    doors = [threading.Event() for _ in range(MAX_WORKERS)]
    reached: queue.SimpleQueue[int] = queue.SimpleQueue()

    def block(number: int) -> int:
        reached.put(number)
        doors[number].wait(30)
        return number

    async def all_of_them() -> list[int]:
        return await asyncio.gather(
            *(asyncio.to_thread(block, number) for number in range(len(doors))),
            *(asyncio.to_thread(int, "7") for _ in range(3)),  # behind them
        )

    future = portal.submit(all_of_them)
    try:
        assert {reached.get(timeout=30) for _ in doors} == {*range(len(doors))}  # all at once
        doors[0].set()
        assert portal.call(asyncio.to_thread, abs, -1, timeout=30) == 1  # by the one that is free
    finally:
        for door in doors:
            door.set()
    assert future.result(30) == [*range(len(doors)), 7, 7, 7]


def test_what_a_pool_ran_is_let_go(portal: Portal) -> None:
    class Big:
        pass

    big = Big()
    reference = weakref.ref(big)

    def fail(given: Big) -> None:
        raise ValueError("no")

    gc.disable()
    try:
        with pytest.raises(ValueError, match="no") as failed:
            portal.call(asyncio.to_thread, fail, big)
        del big, failed
        ends_s = time.monotonic() + SOON_S
        while reference() is not None:
            assert time.monotonic() < ends_s
            time.sleep(0.001)
    finally:
        gc.enable()


def test_a_pool_that_was_shut_cancels_what_has_not_begun() -> None:
    pool = WorkerPool()
    door = threading.Event()
    begun = threading.Barrier(MAX_WORKERS + 1)

    def block() -> bool:
        begun.wait(30)
        return door.wait(30)

    futures = [pool.submit(block) for _ in range(MAX_WORKERS)]
    late = pool.submit(abs, -1)
    begun.wait(30)
    pool.shutdown()
    assert late.cancelled()
    with pytest.raises(PortalClosed):
        pool.submit(abs, -1)
    door.set()
    assert [future.result(30) for future in futures] == [True] * MAX_WORKERS

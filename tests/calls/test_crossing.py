"""A call that goes to another thread's loop: its result, and how it is given up.

How a thread waits for one is tested with the portals.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading

import pytest

from tests.peers import until
from wslab.calls.calling import running_loop
from wslab.calls.crossing import Crossing


def submitted(loop, function, *args):
    crossing = Crossing(loop)
    crossing.send(function, args)
    return crossing


async def asynchronous(data):
    return data


@pytest.fixture
def loop():
    """An event loop that runs on a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_it_runs_on_the_other_loop(loop):
    async def where():
        return running_loop()

    assert running_loop() is None
    assert submitted(loop, where).result(10) is loop
    assert submitted(loop, asynchronous, 3).result(10) == 3

    async def fails():
        raise LookupError("x")

    with pytest.raises(LookupError):
        submitted(loop, fails).result(10)

    async def gives_up():
        raise asyncio.CancelledError

    with pytest.raises(concurrent.futures.CancelledError):
        submitted(loop, gives_up).result(10)


def test_to_cancel_the_future_cancels_the_work(loop):
    began, ended = threading.Event(), threading.Event()

    async def waits():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = submitted(loop, waits)
    assert began.wait(10)
    assert future.cancel()
    assert ended.wait(10)
    # Before the loop comes to it, too.
    holds, called_at_all = threading.Event(), []
    loop.call_soon_threadsafe(holds.wait, 10)

    async def never():
        called_at_all.append(True)

    assert submitted(loop, never).cancel()
    holds.set()
    assert submitted(loop, asynchronous, 1).result(10) == 1
    assert called_at_all == []


def test_a_loop_that_does_not_run_leaves_no_coroutine_behind():
    loop = asyncio.new_event_loop()
    future = submitted(loop, asynchronous, 1)
    assert not future.done()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        submitted(loop, asynchronous, 1)
    del future
    gc.collect()  # a coroutine that was never awaited would warn


def test_a_call_that_is_given_up_on_another_loop_is_given_up_on_the_first(loop):
    ended = []

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.wrap_future(submitted(loop, waits))

    asyncio.run(main())
    until(lambda: ended)

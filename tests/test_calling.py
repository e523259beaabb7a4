"""Calling functions that somebody else wrote: what they are, what they raise, and on which loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import sys
import threading
import warnings

import pytest

from tests.peers import until
from wslab.calling import (
    called,
    check_takes,
    function_name,
    is_async,
    must_pass,
    running_loop,
    submitted,
    tell_replaced,
)


def plain(data):
    return data


async def asynchronous(data):
    return data


def yields(data):
    yield data


async def yields_async(data):
    yield data


class Plain:
    def __call__(self, data):
        return data


class Asynchronous:
    async def __call__(self, data):
        return data


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, False),
        (asynchronous, True),
        (functools.partial(asynchronous), True),
        (functools.partial(functools.partial(plain)), False),
        (Plain(), False),
        (Asynchronous(), True),
        (Asynchronous().__call__, True),
        (functools.partial(Asynchronous()), True),
        (lambda data: asynchronous(data), False),
        (print, False),
    ],
)
def test_whether_it_is_async(function, expected):
    assert is_async(function) is expected
    check_takes(function, 1, "a function")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (5, "expected a function of mine, got int 5"),
        (yields, "that yields: return the answer"),
        (yields_async, "that yields: return the answer"),
        (lambda: 1, r"got .*<lambda>\(\)"),
        (lambda a, b: 1, r"got .*<lambda>\(a, b\)"),
        (Plain, r"got Plain\(\)"),
    ],
)
def test_what_does_not_fit_is_refused(function, told):
    with pytest.raises(TypeError, match=told):
        check_takes(function, 1, "a function of mine")


def test_two_exceptions_that_a_future_cannot_hold():
    for kind in (StopIteration, GeneratorExit):
        function = functools.partial(next, iter(())) if kind is StopIteration else _leave
        with pytest.raises(RuntimeError, match=f"raised {kind.__name__}") as raised:
            called(function)
        assert isinstance(raised.value.__cause__, kind)
    with pytest.raises(SystemExit):
        called(sys.exit, 3)
    assert called(plain, 3) == 3


def _leave():
    raise GeneratorExit


def test_what_must_pass():
    interrupt, cancelled = KeyboardInterrupt(), asyncio.CancelledError()
    assert must_pass(interrupt, is_async=True)
    assert not must_pass(interrupt, is_async=False)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert not pool.submit(must_pass, interrupt, is_async=True).result()
    for exc in (SystemExit(), GeneratorExit(), StopIteration(), ValueError()):
        assert not must_pass(exc, is_async=True)

    async def main():
        assert not must_pass(cancelled, is_async=True)
        task = asyncio.current_task()
        task.cancel()
        assert must_pass(cancelled, is_async=True)
        task.uncancel()
        with contextlib.suppress(asyncio.CancelledError):  # until Python 3.13 it still comes
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_replaced_handler_is_told_by_name():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tell_replaced("x", None, plain, stacklevel=1)
        tell_replaced("x", plain, plain, stacklevel=1)
        assert told == []
        tell_replaced("x", plain, asynchronous, stacklevel=1)
    assert "'x' had the handler plain, and asynchronous takes its place" in str(told[0].message)
    assert function_name(Plain()) == "Plain"


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

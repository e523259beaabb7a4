"""Calling functions that somebody else wrote: what they are, what they raise, and on which loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import sys
import warnings

import pytest

from wslab.calls.calling import (
    called,
    check_takes,
    function_name,
    is_async,
    must_pass,
    running_loop,
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


def test_the_loop_that_runs_here():
    async def where():
        return running_loop() is asyncio.get_running_loop()

    assert running_loop() is None
    assert asyncio.run(where())

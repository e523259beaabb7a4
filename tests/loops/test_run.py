"""run(): what it takes, what it refuses, and that no coroutine is left."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from tests.loops.rig import SOON_S, Work
from wslab.errors import LoopBlocked, WrongThread
from wslab.loops import portals
from wslab.loops.run import run
from wslab.loops.shutdown import shutdown


async def add(a: int, b: int = 0) -> int:
    await asyncio.sleep(0)
    return a + b


def test_run_takes_a_coroutine_function_a_coroutine_and_a_plain_function() -> None:
    assert run(add, 1, 2) == 3
    assert run(add(1, 2)) == 3
    assert run(threading.get_ident) == portals.lab().thread_id


def test_run_with_a_timeout_cancels_and_names_the_function() -> None:
    work = Work()
    with pytest.raises(TimeoutError, match=r"Work did not end within 0.05 s"):
        run(work, timeout=0.05)
    assert work.cleaned_up.is_set()
    with pytest.raises(TimeoutError, match=r"sleep did not end within 0.05 s"):
        run(asyncio.sleep(60), timeout=0.05)


def test_run_closes_a_coroutine_that_never_starts() -> None:
    let_go = threading.Event()
    portals.lab().submit(let_go.wait, SOON_S)
    coroutine = add(1)
    with pytest.raises(LoopBlocked):
        run(coroutine, timeout=0.05)
    assert coroutine.cr_frame is None  # closed: no warning that it was never awaited
    let_go.set()


def test_run_leaves_a_coroutine_that_has_not_ended_to_its_own_thread() -> None:
    may_end, ended_on = threading.Event(), []

    async def stubborn() -> None:
        try:
            while not may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.02)
        finally:
            ended_on.append(threading.get_ident())

    with pytest.raises(TimeoutError):
        run(stubborn(), timeout=0.02)
    assert ended_on == []
    may_end.set()
    shutdown()
    assert len(ended_on) == 1
    assert ended_on[0] != threading.get_ident()


async def generate() -> Any:
    yield 1


class Awaitable:
    def __await__(self) -> Any:
        yield


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (3, "got int; write run"),
        (None, "got NoneType"),
        (generate, "asynchronous generator"),
        (generate(), "asynchronous generator"),
        (Awaitable(), "made in the loop that runs it"),
    ],
)
def test_run_says_what_it_expected(wrong: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        run(wrong)


def test_run_refuses_a_coroutine_with_arguments_and_closes_it() -> None:
    coroutine = add(1)
    with pytest.raises(TypeError, match="pass the arguments where you call it"):
        run(coroutine, 2)
    assert coroutine.cr_frame is None


def test_run_on_the_labs_loop_is_refused_and_leaves_no_warning() -> None:
    async def run_again() -> None:
        run(add(1))

    with pytest.raises(WrongThread, match="add"):
        run(run_again)


@pytest.mark.asyncio
async def test_run_works_beside_a_running_loop() -> None:
    assert run(add, 1, 2) == 3

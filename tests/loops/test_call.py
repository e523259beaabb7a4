"""What crosses into the loop's thread and back, however it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
import time
import weakref

import pytest

from tests.loops.rig import SOON_S, Work, interrupted_when, posix
from wslab.errors import LoopBlocked, WrongThread
from wslab.loops.portal import Portal


def test_a_plain_function_runs_on_the_loops_thread(portal: Portal) -> None:
    assert portal.call(threading.get_ident) == portal.thread_id
    assert portal.thread_id != threading.get_ident()


def test_a_coroutine_function_is_awaited_in_the_loop(portal: Portal) -> None:
    async def add(a: int, b: int) -> tuple[int, asyncio.AbstractEventLoop]:
        await asyncio.sleep(0)
        return a + b, asyncio.get_running_loop()

    assert portal.call(add, 1, 2) == (3, portal.loop)


def test_any_awaitable_that_comes_back_is_awaited(portal: Portal) -> None:
    def future() -> asyncio.Future[str]:
        made = asyncio.get_running_loop().create_future()
        made.set_result("of the future")
        return made

    assert portal.call(future) == "of the future"
    assert portal.call(lambda: asyncio.create_task(asyncio.sleep(0, "of the task"))) == (
        "of the task"
    )


def test_the_callers_context_crosses_too(portal: Portal) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("of the caller")
    assert portal.call(variable.get) == "of the caller"


@pytest.mark.parametrize(
    "exception", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]
)
def test_an_exception_comes_back_itself_and_the_loop_lives(
    portal: Portal, exception: BaseException
) -> None:
    async def fail() -> None:
        raise exception

    with pytest.raises(type(exception)) as caught:
        portal.call(fail)
    assert caught.value is exception
    assert portal.call(lambda: "alive", timeout=SOON_S) == "alive"


def test_work_that_cancels_itself_is_cancelled(portal: Portal) -> None:
    async def cancel_myself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(SOON_S)

    with pytest.raises(concurrent.futures.CancelledError):
        portal.call(cancel_myself)


def test_to_thread_leads_off_the_loop_and_back(portal: Portal) -> None:
    async def from_a_thread() -> str:
        return await asyncio.to_thread(portal.call, lambda: "called")

    assert portal.call(from_a_thread, timeout=SOON_S) == "called"


def test_calls_from_many_threads_do_not_mix(portal: Portal) -> None:
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: portal.call(double, n), range(500)))
    assert results == [2 * n for n in range(500)]


# Timeouts.


def test_a_timeout_cancels_and_the_cleanup_has_run(portal: Portal) -> None:
    work = Work(cleanup_s=0.05)
    with pytest.raises(TimeoutError, match=r"Work did not end within 0.05 s") as caught:
        portal.call(work, timeout=0.05)
    assert not isinstance(caught.value, LoopBlocked)
    assert work.cleaned_up.is_set()


def test_work_that_refuses_to_end_does_not_hold_the_caller(portal: Portal) -> None:
    may_end = threading.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        portal.call(stubborn, timeout=0.05)
    assert time.monotonic() - began < 3
    may_end.set()


def test_its_own_timeout_error_is_passed_on(portal: Portal) -> None:
    mine = TimeoutError("my own")

    async def time_out() -> None:
        raise mine

    for timeout in (None, SOON_S):
        with pytest.raises(TimeoutError) as caught:
            portal.call(time_out, timeout=timeout)
        assert caught.value is mine


def test_a_held_loop_is_named_with_the_line(portal: Portal) -> None:
    let_go = threading.Event()

    def hold_the_loop() -> None:
        let_go.wait(SOON_S)  # this line is the culprit

    portal.submit(hold_the_loop)
    ran: list[int] = []
    with pytest.raises(LoopBlocked) as caught:
        portal.call(ran.append, 1, timeout=0.05)
    message = str(caught.value)
    line = hold_the_loop.__code__.co_firstlineno + 1
    assert f"hold_the_loop() at test_call.py:{line}" in message
    assert "this line is the culprit" in message
    assert isinstance(caught.value, TimeoutError)
    assert portal.answers(0.01) is False
    let_go.set()
    assert portal.call(lambda: "free", timeout=SOON_S) == "free"
    assert ran == []  # the call that was given up does not run afterwards
    assert portal.answers() is True


# Futures.


def test_cancelling_the_future_cancels_the_work(portal: Portal) -> None:
    work = Work()
    future = portal.submit(work)
    assert work.started.wait(SOON_S)
    assert future.cancel()
    assert work.cleaned_up.wait(SOON_S)
    done, _ = concurrent.futures.wait([future], timeout=SOON_S)
    assert done == {future}  # also for the standard library's own way of waiting
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)


def test_a_future_cancelled_before_its_turn_never_runs(portal: Portal) -> None:
    let_go = threading.Event()
    portal.submit(let_go.wait, SOON_S)
    ran: list[int] = []
    future = portal.submit(ran.append, 1)
    future.cancel()
    let_go.set()
    portal.call(gc.isenabled)
    assert ran == []
    assert concurrent.futures.wait([future], timeout=SOON_S).done == {future}


def test_a_wait_on_the_loops_own_thread_raises_at_once(portal: Portal) -> None:
    async def wait_for_myself() -> None:
        portal.submit(asyncio.sleep, 0).result(SOON_S)

    began_s = time.monotonic()
    with pytest.raises(WrongThread, match=r"asyncio\.wrap_future"):
        portal.call(wait_for_myself, timeout=SOON_S)
    assert time.monotonic() - began_s < SOON_S

    async def look() -> list[str]:
        future = portal.submit(asyncio.sleep, 0, "there")
        with pytest.raises(TimeoutError):
            future.result(0)  # no wait, and so no harm
        return [await asyncio.wrap_future(future), future.result()]

    assert portal.call(look, timeout=SOON_S) == ["there", "there"]


def test_a_result_leaves_no_garbage_cycle(portal: Portal) -> None:
    """An exception's traceback holds frames, and those must not hold the future that holds it."""

    class Own(Exception):
        pass

    def fail() -> None:
        raise Own

    gc.collect()
    gc.disable()
    try:
        exception: list[weakref.ref[Own]] = []
        try:
            portal.call(fail)
        except Own as exc:
            exception.append(weakref.ref(exc))
        assert portal.call(lambda: True)  # the loop lets go of its last handle
        assert exception[0]() is None
    finally:
        gc.enable()


# Interrupts.


@posix
def test_an_interrupt_cancels_the_work_and_leaves_the_portal_usable(portal: Portal) -> None:
    work = Work(cleanup_s=0.05)
    with pytest.raises(KeyboardInterrupt), interrupted_when(work.started):
        portal.call(work)
    assert work.cleaned_up.is_set()
    assert portal.call(lambda: "usable", timeout=SOON_S) == "usable"


@posix
def test_an_interrupt_gets_through_while_the_loop_is_held(portal: Portal) -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        let_go.wait(SOON_S)

    portal.submit(hold)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupted_when(held):
        portal.call(print)
    assert time.monotonic() - began < 3
    let_go.set()

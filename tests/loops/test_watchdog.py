"""Who held the loop: `timed` changes nothing that it times; the pulse sees the rest, once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
import threading
import time
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from wslab.loops import watchdog
from wslab.loops.portal import Portal
from wslab.loops.watchdog import BLOCKED_S, PULSE_S, Blockage, Watchdog, describe_frame, timed

HELD_S = BLOCKED_S + 0.1
hold_the_loop = time.sleep  # what an async function must not do, and these do on purpose
Reports = list[tuple[float, float]]


def run(make: Callable[[], Any]) -> tuple[Any, Reports]:
    """Await what ``make()`` returns under `timed`; return its result and the reports."""
    reports: Reports = []

    async def main() -> Any:
        return await timed(make(), lambda began, took: reports.append((began, took)))

    return asyncio.run(main()), reports


# timed() is transparent.


def test_values_go_in_and_out() -> None:
    async def work() -> list[str]:
        return [await asyncio.sleep(0, "first"), await asyncio.sleep(0, "second")]

    assert run(work) == (["first", "second"], [])


def test_a_result_of_none_and_one_without_any_await() -> None:
    async def at_once() -> str:
        return "at once"

    assert run(at_once) == ("at once", [])
    assert run(lambda: asyncio.sleep(0)) == (None, [])


class Falsy(Exception):
    """An exception that is false where one asks carelessly."""

    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("kind", [ValueError, Falsy, asyncio.CancelledError])
def test_an_exception_from_inside_comes_out_itself(kind: type[BaseException]) -> None:
    mine = kind("mine")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise mine

    with pytest.raises(kind) as caught:
        run(fail)
    assert caught.value is mine
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fail"


@pytest.mark.parametrize("kind", [ValueError, Falsy])
def test_an_exception_of_what_is_awaited_can_be_caught_inside(kind: type[Exception]) -> None:
    async def work() -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, kind("mine"))
        try:
            await future
        except kind:
            return await asyncio.sleep(0, "caught")
        return "nothing came"

    assert run(work)[0] == "caught"


def test_a_cancellation_gets_in_and_may_be_cleaned_up_after() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            steps.append("cleaned up")
            raise

    async def main() -> None:
        task = asyncio.ensure_future(timed(work(), lambda *_: None))
        await asyncio.sleep(0)
        task.cancel("because")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert steps == ["cleaned up"]


def test_timeouts_and_task_groups_work_inside() -> None:
    async def work() -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0, "in the group"))
        assert asyncio.current_task() is not None
        return task.result()

    assert run(work) == ("in the group", [])


def test_asynchronous_generators_and_comprehensions_work_inside() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for n in range(100):
                await asyncio.sleep(0)
                yield n
        finally:
            closed.append(True)

    async def work() -> list[int]:
        async with contextlib.aclosing(numbers()) as some:
            first = [n async for n in some if n < 3]
        async with contextlib.aclosing(numbers()) as some:
            async for _ in some:
                break
        return first

    assert run(work)[0] == [0, 1, 2]
    assert closed == [True, True]


def steps_of(awaitable: Awaitable[Any]) -> Iterator[Any]:
    return awaitable.__await__()  # type: ignore[return-value]


class Suspend:
    """Awaited, it hands ``value`` to whoever runs the coroutine, and returns what that sends."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Any:
        return (yield self.value)


def test_send_throw_and_close_by_hand_as_the_coroutine_itself_would() -> None:
    """The same moves, against the bare coroutine and against the timed one."""

    def make(log: list[object]) -> Any:
        async def work() -> str:
            try:
                log.append(await Suspend(1))
                try:
                    await Suspend(2)
                except ValueError as exc:
                    log.append(repr(exc))
                log.append(await Suspend(3))
                return "end"
            finally:
                log.append("finally")

        return work()

    def moves(runner: Any, log: list[object]) -> list[object]:
        seen = [runner.send(None), runner.send("sent"), runner.throw(ValueError("thrown"))]
        try:
            runner.send("last")
        except StopIteration as stop:
            seen.append(stop.value)
        return [*seen, *log]

    bare: list[object] = []
    ours: list[object] = []
    expected = moves(make(bare), bare)
    assert expected == [1, 2, 3, "end", "sent", "ValueError('thrown')", "last", "finally"]
    assert moves(steps_of(timed(make(ours), lambda *_: None)), ours) == expected

    ours.clear()
    runner: Any = steps_of(timed(make(ours), lambda *_: None))
    runner.send(None)
    runner.close()
    assert ours == ["finally"]


def test_a_coroutine_that_ignores_being_closed_is_told_off_as_ever() -> None:
    async def ignoring() -> None:
        try:
            await Suspend(1)
        except GeneratorExit:
            await Suspend(2)

    runner: Any = steps_of(timed(ignoring(), lambda *_: None))
    runner.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        runner.close()


def test_an_exception_that_came_through_leaves_no_garbage_cycle() -> None:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> weakref.ref[BaseException]:
        task = asyncio.ensure_future(timed(work(), lambda *_: None))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as exc:
            return weakref.ref(exc)
        raise AssertionError("it ended without being cancelled")

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main())() is None
    finally:
        gc.enable()


def test_what_the_coroutine_was_handed_is_not_kept() -> None:
    class Message:
        pass

    async def work() -> None:
        handed = await Suspend(None)
        assert isinstance(handed, Message)
        del handed
        await Suspend(None)

    runner: Any = steps_of(timed(work(), lambda *_: None))
    runner.send(None)
    message = Message()
    kept = weakref.ref(message)
    runner.send(message)
    del message
    assert kept() is None
    runner.close()


# timed() reports.


def test_a_step_that_holds_the_loop_is_reported_with_when_and_how_long() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        hold_the_loop(HELD_S)
        await asyncio.sleep(HELD_S)  # waiting holds nothing
        hold_the_loop(HELD_S)

    before = time.monotonic()
    _, reports = run(work)
    assert len(reports) == 2
    for began, took in reports:
        assert before <= began < before + 4 * HELD_S + 1
        assert HELD_S <= took < HELD_S + 0.2
    assert reports[0][0] + reports[0][1] <= reports[1][0]


def test_a_last_step_that_raises_is_reported_too() -> None:
    reports: Reports = []

    async def work() -> None:
        hold_the_loop(HELD_S)
        raise ValueError

    async def main() -> None:
        await timed(work(), lambda *report: reports.append(report))

    with pytest.raises(ValueError):  # noqa: PT011
        asyncio.run(main())
    assert len(reports) == 1


def test_short_steps_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(n * BLOCKED_S for n in range(1_000))  # each step takes exactly the limit
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: next(clock))
    reports: Reports = []

    async def work() -> None:
        for _ in range(5):
            await Suspend(None)

    runner: Any = steps_of(timed(work(), lambda *report: reports.append(report)))
    for _ in range(5):
        runner.send(None)
    with pytest.raises(StopIteration):
        runner.send(None)
    assert reports == []


# The pulse.


class Clock:
    """Time under the test's control, and a loop that only keeps its one timer."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.timers: list[Timer] = []

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, func: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(self.now_s + delay_s, func, args)
        self.timers.append(timer)
        return timer

    def pass_s(self, seconds: float, *, held: bool = False) -> None:
        """Let time pass; while the loop is held no timer fires before the end."""
        end_s = self.now_s + seconds
        if held:
            self.now_s = end_s
        while self.timers and min(timer.when_s for timer in self.timers) <= end_s:
            timer = min(self.timers, key=lambda timer: timer.when_s)
            self.timers.remove(timer)
            if not timer.is_cancelled:
                self.now_s = max(self.now_s, timer.when_s)
                timer.func(*timer.args)
        self.now_s = end_s


class Timer:
    def __init__(self, when_s: float, func: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when_s, self.func, self.args = when_s, func, args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog.time, "monotonic", clock.monotonic)
    return clock


def watched(clock: Clock) -> Watchdog:
    watch = Watchdog()
    watch.watch(clock)  # type: ignore[arg-type]
    return watch


def test_a_loop_that_is_free_is_not_reported(clock: Clock) -> None:
    watch = watched(clock)
    clock.pass_s(60)
    assert list(watch.blockages) == []


def test_a_blockage_nobody_named_is_reported_once(clock: Clock) -> None:
    watch = watched(clock)
    clock.pass_s(10)
    began_s = clock.now_s
    clock.pass_s(3, held=True)
    clock.pass_s(10)
    [blockage] = watch.blockages
    assert 3 - PULSE_S <= blockage.duration_s <= 3
    assert began_s <= blockage.began_s <= began_s + PULSE_S
    assert "something" in blockage.culprit


def test_a_blockage_that_its_handler_named_is_not_reported_again(clock: Clock) -> None:
    watch = watched(clock)
    clock.pass_s(10.1)
    began_s = clock.now_s
    clock.now_s += 3
    watch.report(began_s, 3, "the handler")
    clock.pass_s(10)
    assert [blockage.culprit for blockage in watch.blockages] == ["the handler"]


def test_several_named_ones_in_a_row_are_not_reported_again(clock: Clock) -> None:
    watch = watched(clock)
    clock.pass_s(10.1)
    for name in ("first", "second"):
        began_s = clock.now_s
        clock.now_s += 2
        watch.report(began_s, 2, name)
    clock.pass_s(10)
    assert [blockage.culprit for blockage in watch.blockages] == ["first", "second"]


def test_a_named_one_does_not_hide_an_unnamed_one_beside_it(clock: Clock) -> None:
    watch = watched(clock)
    clock.pass_s(10.1)
    began_s = clock.now_s
    clock.now_s += 1
    watch.report(began_s, 1, "the handler")
    clock.pass_s(5, held=True)
    clock.pass_s(10)
    [named, unnamed] = watch.blockages
    assert named.culprit == "the handler"
    assert 5 - PULSE_S <= unnamed.duration_s <= 5


def test_an_old_named_one_does_not_hide_a_new_unnamed_one(clock: Clock) -> None:
    watch = watched(clock)
    watch.report(clock.now_s, 3, "the handler")
    clock.now_s += 3
    clock.pass_s(10)
    clock.pass_s(3, held=True)
    assert len(watch.blockages) == 2


def test_the_pulse_costs_nothing_while_nobody_watches(clock: Clock) -> None:
    watch = Watchdog()
    assert clock.timers == []
    for _ in range(3):
        watch.watch(clock)  # type: ignore[arg-type]
    assert len(clock.timers) == 1  # one pulse, however many watch
    watch.unwatch()
    watch.unwatch()
    clock.pass_s(1)
    assert [timer.is_cancelled for timer in clock.timers] == [False]
    watch.unwatch()
    clock.pass_s(60)
    assert clock.timers == []


def test_watching_again_does_not_count_the_time_between(clock: Clock) -> None:
    watch = watched(clock)
    watch.unwatch()
    clock.pass_s(60, held=True)
    watch.watch(clock)  # type: ignore[arg-type]
    clock.pass_s(10)
    assert list(watch.blockages) == []
    watch.unwatch()


def test_the_record_is_bounded() -> None:
    watch = Watchdog()
    for n in range(1_000):
        watch.report(float(n), 1.0, "the handler")
    assert len(watch.blockages) == 50
    assert watch.blockages[-1] == Blockage(999.0, 1.0, "the handler")


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "stock"])
def test_a_real_loop_that_is_held_is_noticed(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if fast:
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    portal = Portal()
    portal.call(portal.watchdog.watch, portal.loop)
    portal.call(time.sleep, 2 * PULSE_S + BLOCKED_S)
    deadline = time.monotonic() + 5
    while not portal.watchdog.blockages and time.monotonic() < deadline:
        portal.call(asyncio.sleep, 0.01)
    assert len(portal.watchdog.blockages) == 1
    assert portal.watchdog.blockages[0].culprit == "something on the lab's loop"
    portal.call(portal.watchdog.unwatch)
    portal.close()


def test_a_handler_that_holds_the_loop_is_named_once() -> None:
    import wslab

    async def sleepy(websocket: Any) -> None:
        async for message in websocket:
            hold_the_loop(2 * PULSE_S + BLOCKED_S)
            await websocket.send(message)

    with wslab.serve(sleepy, name="bed") as server, wslab.connect(server) as client:
        before = len(server.blockages)  # the loop is the whole process's
        client.send("wake up")
        assert client.recv(timeout=5) == "wake up"
        time.sleep(2 * PULSE_S)  # so that the pulse has had its chance to say it twice
        new = server.blockages[before:]
    assert [blockage.culprit for blockage in new] == ["the handler sleepy() of server 'bed'"]


# describe_frame.


def test_the_innermost_line_that_is_not_pythons_own_is_named() -> None:
    def here() -> str | None:
        return describe_frame(inspect.currentframe())

    line = here.__code__.co_firstlineno + 1
    assert here() == (
        f"here() at test_watchdog.py:{line} `return describe_frame(inspect.currentframe())`"
    )


def test_pythons_own_machinery_is_passed_over() -> None:
    event, started = threading.Event(), threading.Event()

    def waits_in_threading() -> None:
        started.set()
        event.wait(5)

    thread = threading.Thread(target=waits_in_threading)
    thread.start()
    assert started.wait(5)
    deadline, described = time.monotonic() + 5, None
    while time.monotonic() < deadline and "event.wait(5)" not in (described or ""):
        described = describe_frame(sys._current_frames()[thread.ident or 0])
    event.set()
    thread.join()
    assert described is not None
    assert described.startswith("waits_in_threading() at test_watchdog.py:")


def test_a_loop_that_only_waits_has_no_line_to_name() -> None:
    portal = Portal()
    portal.call(print, "")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if describe_frame(sys._current_frames()[portal.thread_id or 0]) is None:
            break
    assert describe_frame(sys._current_frames()[portal.thread_id or 0]) is None
    portal.close()
    assert describe_frame(None) is None

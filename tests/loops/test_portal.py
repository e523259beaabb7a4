"""The portal: what crosses into the loop's thread and back, however it ends, and what stays."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import json
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as sync_connect

from tests.leaks import Snapshot, wait_for_nothing
from wslab.errors import LoopBlocked, PortalClosed, WrongThread
from wslab.loops import portal as portals
from wslab.loops.portal import Portal, run, shutdown

PROJECT = Path(__file__).resolve().parents[2]
SOON_S = 5.0  # a bound for what happens at once; nothing here sleeps that long
BLOCK_S = 0.8  # longer than the portal asks a loop whether it answers
posix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")


@pytest.fixture(params=["stock", "uvloop"])
def portal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A portal of its own, on each of the two loops."""
    if request.param == "stock":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    else:
        pytest.importorskip("uvloop")
    portal = Portal("under test")
    yield portal
    portal.close()


class Work:
    """A coroutine that tells when it starts, waits to be let go or cancelled, and cleans up."""

    def __init__(self, cleanup_s: float = 0.0) -> None:
        self.started = threading.Event()
        self.cleaned_up = threading.Event()
        self.may_end = asyncio.Event()
        self._cleanup_s = cleanup_s

    async def __call__(self) -> str:
        try:
            self.started.set()
            await self.may_end.wait()
            return "ended"
        finally:
            await asyncio.sleep(self._cleanup_s)
            self.cleaned_up.set()


@contextlib.contextmanager
def interrupted_when(event: threading.Event) -> Iterator[None]:
    """Send SIGINT to the main thread as soon as ``event`` is set."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        assert event.wait(SOON_S)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# A callable crosses.


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


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["task", "callback"])
def test_a_task_or_callback_of_somebodys_does_not_end_the_loop(
    portal: Portal, kind: type[BaseException], where: str
) -> None:
    reports: list[dict[str, Any]] = []

    def fail() -> None:
        raise kind("let loose")

    async def fail_in_task() -> None:
        fail()

    def let_loose() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        if where == "task":
            return loop.create_task(fail_in_task()) and None
        return loop.call_soon(fail) and None

    portal.call(let_loose)
    assert portal.call(asyncio.sleep, 0, "alive", timeout=SOON_S) == "alive"
    assert [type(report["exception"]) for report in reports][:1] == [kind]
    gc.collect()  # a task nobody asked says so itself: into the same list, not to stderr


def test_work_that_cancels_itself_is_cancelled(portal: Portal) -> None:
    async def cancel_myself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(SOON_S)

    with pytest.raises(concurrent.futures.CancelledError):
        portal.call(cancel_myself)


def test_a_call_on_its_own_thread_raises_at_once(portal: Portal) -> None:
    async def call_again() -> None:
        portal.call(print)

    with pytest.raises(WrongThread, match=r"asyncio\.to_thread"):
        portal.call(call_again, timeout=SOON_S)
    with pytest.raises(WrongThread, match=r"enter\(\)"):
        portal.call(lambda: portal.enter(Manager).__enter__(), timeout=SOON_S)
    with pytest.raises(WrongThread, match=r"close\(\)"):
        portal.call(portal.close, timeout=SOON_S)
    assert portal.call(portal.answers) is True


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


def test_starting_at_once_from_many_threads_starts_one_loop() -> None:
    portal = Portal()
    together = threading.Barrier(8)

    def loop() -> asyncio.AbstractEventLoop:
        together.wait()
        return portal.loop

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loops = list(pool.map(lambda _: loop(), range(8)))
    assert len(set(map(id, loops))) == 1
    assert sum(thread.name == "wslab" for thread in threading.enumerate() if thread) <= 2
    portal.close()


def test_a_loop_that_cannot_be_made_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> asyncio.AbstractEventLoop:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(portals, "_loop_factory", lambda: none_left)
    portal = Portal()
    began = time.monotonic()
    with pytest.raises(OSError, match="Too many open files"):
        portal.call(print)
    assert time.monotonic() - began < SOON_S
    portal.close()


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
    assert f"hold_the_loop() at test_portal.py:{line}" in message
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


@posix
def test_an_interrupt_in_the_body_reaches_aexit(portal: Portal) -> None:
    manager = Manager()
    entered = threading.Event()

    def body() -> None:
        with portal.enter(lambda: manager):
            entered.set()
            threading.Event().wait(SOON_S)

    with pytest.raises(KeyboardInterrupt), interrupted_when(entered):
        body()
    assert manager.seen is KeyboardInterrupt


@posix
def test_an_interrupt_while_entering_cancels(portal: Portal) -> None:
    work = Work(cleanup_s=0.05)

    class Slow(Manager):
        async def __aenter__(self) -> Manager:
            await work()
            return self

    with (
        pytest.raises(KeyboardInterrupt),
        interrupted_when(work.started),
        portal.enter(Slow),
    ):
        pytest.fail("entered")
    assert work.cleaned_up.is_set()


@posix
def test_an_interrupt_while_leaving_cancels(portal: Portal) -> None:
    work = Work(cleanup_s=0.05)

    class Slow(Manager):
        async def __aexit__(self, *_: object) -> bool:
            await work()
            return False

    with pytest.raises(KeyboardInterrupt), interrupted_when(work.started), portal.enter(Slow):
        pass
    assert work.cleaned_up.is_set()


# enter().


class Manager:
    """An asynchronous context manager that remembers who entered it and how it was left."""

    def __init__(self, swallows: bool = False) -> None:
        self.swallows = swallows
        self.entered_by: object = None
        self.exited_by: object = None
        self.seen: object = "not left"

    async def __aenter__(self) -> Manager:
        await asyncio.sleep(0)
        self.entered_by = asyncio.current_task()
        return self

    async def __aexit__(self, kind: object, exc: object, tb: object) -> bool:
        self.seen = kind
        self.exited_by = asyncio.current_task()
        await asyncio.sleep(0)
        return self.swallows


def test_one_task_enters_and_exits(portal: Portal) -> None:
    with portal.enter(Manager) as manager:
        assert manager.entered_by is not None
        assert manager.seen == "not left"
    assert manager.exited_by is manager.entered_by
    assert manager.seen is None


def test_a_task_group_can_be_entered(portal: Portal) -> None:
    results = []
    with portal.enter(asyncio.TaskGroup) as group:
        for n in range(3):
            portal.call(
                lambda n=n: group.create_task(asyncio.sleep(0.01, results.append(n))) and None
            )
    assert results == [0, 1, 2]


def test_the_bodys_exception_reaches_aexit_and_comes_out(portal: Portal) -> None:
    manager = Manager()
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, portal.enter(lambda: manager):
        raise mine
    assert caught.value is mine
    assert manager.seen is ValueError


def test_aexit_may_swallow_the_bodys_exception(portal: Portal) -> None:
    with portal.enter(lambda: Manager(swallows=True)) as manager:
        raise ValueError("swallowed")
    assert manager.seen is ValueError


def test_aexit_may_raise_something_else(portal: Portal) -> None:
    class Translating(Manager):
        async def __aexit__(self, kind: object, exc: object, tb: object) -> bool:
            raise LookupError("translated") from exc  # type: ignore[misc]

    with pytest.raises(LookupError, match="translated") as caught, portal.enter(Translating):
        raise ValueError("mine")
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_generator_based_manager_sees_the_exception(portal: Portal) -> None:
    seen: list[BaseException] = []

    @contextlib.asynccontextmanager
    async def manager() -> Any:
        try:
            yield "value"
        except ValueError as exc:
            seen.append(exc)
            raise

    values: list[str] = []

    def body() -> None:
        with portal.enter(manager) as value:
            values.append(value)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        body()
    assert values == ["value"]
    assert len(seen) == 1


@pytest.mark.parametrize("what", ["factory", "aenter", "no manager"])
def test_what_fails_to_enter_raises_and_does_not_hang(portal: Portal, what: str) -> None:
    class Failing(Manager):
        async def __aenter__(self) -> Manager:
            raise LookupError("not today")

    def failing_factory() -> Manager:
        raise LookupError("not today")

    factory: Callable[[], Any] = {
        "factory": failing_factory,
        "aenter": Failing,
        "no manager": object,
    }[what]
    expected = AttributeError if what == "no manager" else LookupError
    with pytest.raises(expected), portal.enter(factory):
        pytest.fail("entered")


def test_closing_the_portal_in_the_body_runs_aexit_and_says_so() -> None:
    portal = Portal()
    manager = Manager()
    with pytest.raises(PortalClosed), portal.enter(lambda: manager):
        portal.close()
    assert manager.seen is asyncio.CancelledError


# The end.


def test_close_is_idempotent_and_leaves_nothing(portal: Portal) -> None:
    before = Snapshot.take()
    descriptors = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    portal.call(asyncio.to_thread, gc.isenabled)
    thread = portal._thread
    assert thread is not None
    assert thread.daemon
    portal.close()
    portal.close()
    assert not thread.is_alive()
    assert portal.is_running is False
    assert portal.thread_id is None
    assert wait_for_nothing(before) == []
    if descriptors:
        assert sorted(os.listdir("/proc/self/fd")) == descriptors
    with pytest.raises(PortalClosed, match="start a new one"):
        portal.call(print)


def test_close_before_the_start_starts_nothing() -> None:
    threads = threading.active_count()
    portal = Portal()
    portal.close()
    assert threading.active_count() == threads
    with pytest.raises(PortalClosed):
        portal.submit(print)


def test_pending_work_is_cleaned_up_and_told_that_the_portal_closed(portal: Portal) -> None:
    work = Work(cleanup_s=0.05)
    pending = portal.submit(work)
    assert work.started.wait(SOON_S)
    portal.close()
    assert work.cleaned_up.is_set()
    with pytest.raises(PortalClosed, match="has been closed"):
        pending.result(0)


def test_work_that_waits_for_its_turn_is_told_too(portal: Portal) -> None:
    held, let_go = threading.Event(), threading.Event()
    portal.submit(lambda: held.set() or let_go.wait(SOON_S))
    assert held.wait(SOON_S)
    ran: list[int] = []
    pending = [portal.submit(ran.append, n) for n in range(3)]
    with pytest.raises(LoopBlocked, match=r"did not end within 0.01 s.*is held by"):
        portal.close(timeout=0.01)
    let_go.set()
    for future in pending:
        with pytest.raises(PortalClosed):
            future.result(SOON_S)
    assert ran == []
    portal.close()


def test_a_thread_that_waits_is_woken_by_close(portal: Portal) -> None:
    work = Work()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            portal.call(work)
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=wait)
    thread.start()
    assert work.started.wait(SOON_S)
    portal.close()
    thread.join(SOON_S)
    assert [type(exc) for exc in raised] == [PortalClosed]


def test_stubborn_tasks_do_not_hold_up_the_end(portal: Portal, capfd: Any) -> None:
    async def swallow() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def leave_behind() -> None:
        leave_behind.task = asyncio.create_task(swallow())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    portal.call(leave_behind)
    portal.close(timeout=SOON_S)
    del leave_behind.task  # type: ignore[attr-defined]
    gc.collect()
    assert capfd.readouterr().err == ""


def test_a_worker_thread_that_blocks_does_not_hold_up_the_end(portal: Portal) -> None:
    let_go = threading.Event()
    future = portal.submit(asyncio.to_thread, let_go.wait, SOON_S)
    began = time.monotonic()
    portal.close()
    assert time.monotonic() - began < 2.0
    with pytest.raises(PortalClosed):
        future.result(0)
    let_go.set()


def test_a_number_that_a_new_thread_inherits_is_not_taken_for_the_loops(portal: Portal) -> None:
    portal.call(gc.isenabled)
    number = portal.thread_id
    portal.close()
    found = False
    for _ in range(200):  # the system gives numbers of ended threads to new ones
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ident, raised = pool.submit(
                lambda: (threading.get_ident(), _raised(lambda: portal.call(print)))
            ).result()
        assert isinstance(raised, PortalClosed)
        if ident == number:
            found = True
            break
    if not found:
        pytest.skip("no thread got the old number here")


def _raised(func: Callable[[], Any]) -> BaseException | None:
    try:
        func()
    except Exception as exc:
        return exc
    return None


def test_the_lab_is_fresh_after_shutdown() -> None:
    first = portals.lab()
    assert first.call(lambda: "first") == "first"
    assert portals.lab() is first
    shutdown()
    shutdown()
    assert not first.is_running
    second = portals.lab()
    assert second is not first
    assert second.call(lambda: "second") == "second"


def test_shutdown_on_the_labs_own_loop_is_refused() -> None:
    with pytest.raises(WrongThread, match=r"shutdown\(\)"):
        portals.lab().call(shutdown)
    assert portals.lab().call(lambda: "alive") == "alive"


def test_shutdown_names_who_holds_the_loop_and_works_once_it_lets_go() -> None:
    import wslab

    held, let_go = threading.Event(), threading.Event()

    async def blocking(websocket: Any) -> None:
        await websocket.recv()
        held.set()
        let_go.wait(20)

    server = wslab.serve(blocking)
    client = wslab.connect(server)
    client.send("block")
    assert held.wait(SOON_S)
    began = time.monotonic()
    with pytest.raises(LoopBlocked, match=r"blocking\(\) at test_portal.py.*let_go.wait\(20\)"):
        shutdown(timeout=0.2)
    assert time.monotonic() - began < 2.0
    let_go.set()
    shutdown()
    assert not server.is_serving
    assert client.close_code is not None


# uvloop.


def test_uvloop_is_taken_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")
    portal = Portal()
    assert isinstance(portal.loop, uvloop.Loop)
    portal.close()


def test_the_stock_loop_is_taken_where_uvloop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    portal = Portal()
    assert isinstance(portal.loop, asyncio.SelectorEventLoop)
    portal.close()


# run().


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


# Other processes: a fork, and the interpreter's exit.


def script(
    source: str, *options: str, uvloop: bool = True, timeout: float = 30
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a script; return what came of it, and the seconds from its last line to its end."""
    head = "" if uvloop else "import sys; sys.modules['uvloop'] = None\n"
    tail = "\nimport time as _time; print('LAST', _time.time(), flush=True)\n"
    done = subprocess.run(
        [sys.executable, *options, "-c", head + textwrap.dedent(source) + tail],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    ended = time.time()
    marks = [float(line.split()[1]) for line in done.stdout.splitlines() if line[:5] == "LAST "]
    return done, ended - marks[-1] if marks else float("inf")


def ends_within(bound_s: float, source: str, *options: str, uvloop: bool) -> None:
    """Run a script that must say nothing and end in time; a busy machine may spoil two of three."""
    took_s = []
    while len(took_s) < 3 and not any(seconds < bound_s for seconds in took_s):
        done, seconds = script(source, *options, uvloop=uvloop)
        was_quiet(done)
        took_s.append(seconds)
    assert min(took_s) < bound_s


def was_quiet(done: subprocess.CompletedProcess[str]) -> None:
    assert not done.stderr, done.stderr
    assert done.returncode == 0


loops = pytest.mark.parametrize("uvloop", [True, False], ids=["uvloop", "stock"])
options = pytest.mark.parametrize("options", [(), ("-W", "error")], ids=["", "error"])

ENDLESS = """
    import asyncio, threading, time, wslab
    async def endless(websocket):
        await websocket.send("hello")
        await asyncio.sleep(3600)
    async def swallowing(websocket):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)
    servers = [wslab.serve(endless), wslab.serve(echo)]
    clients = [wslab.connect(server) for server in servers for _ in range(3)]
    clients[0].recv(timeout=5)
"""


@options
@loops
def test_an_exit_closes_all_within_a_second_and_prints_nothing(
    options: tuple[str, ...], uvloop: bool
) -> None:
    ends_within(1.0, ENDLESS, *options, uvloop=uvloop)


@options
@loops
def test_an_exit_does_not_wait_for_a_handler_that_blocks(
    options: tuple[str, ...], uvloop: bool
) -> None:
    source = """
        import threading, time, wslab
        held = threading.Event()
        async def blocking(websocket):
            await websocket.recv()
            held.set()
            time.sleep(60)
        server = wslab.serve(blocking)
        client = wslab.connect(server)
        client.send("block")
        assert held.wait(5)
    """
    ends_within(
        1.5, source, *options, uvloop=uvloop
    )  # 0.7 s of grace, and the interpreter's own end


@loops
def test_an_exit_does_not_wait_for_a_thread_that_a_handler_waits_for(uvloop: bool) -> None:
    source = """
        import asyncio, threading, time, wslab
        begun = threading.Event()
        def work():
            begun.set()
            time.sleep(60)
        async def handler(websocket):
            await asyncio.to_thread(work)
        server = wslab.serve(handler)
        client = wslab.connect(server)
        assert begun.wait(5)
    """
    ends_within(1.5, source, uvloop=uvloop)


@loops
def test_an_exit_with_handlers_that_swallow_cancellation_is_bounded(uvloop: bool) -> None:
    source = ENDLESS + "\n    third = wslab.connect(wslab.serve(swallowing))"
    ends_within(1.5, source, uvloop=uvloop)


@loops
def test_an_exit_by_an_exception_closes_too(uvloop: bool) -> None:
    done, _ = script(ENDLESS + "\n    raise SystemExit(7)", uvloop=uvloop)
    assert (done.returncode, done.stderr) == (7, "")


@loops
def test_a_loop_that_cannot_be_ended_is_parked_until_the_exit(uvloop: bool) -> None:
    """One that runs on while the interpreter takes its modules apart crashes now and then."""
    source = """
        from wslab.loops.portal import Portal
        portal = Portal()
        portal.park()  # not started: nothing to do
        portal.call(len, "")
        portal.park()
        assert not portal.answers()
        assert "sleep(" in portal.held_by() or "does not answer" in portal.held_by()
    """
    done, _ = script(source, uvloop=uvloop)
    was_quiet(done)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@options
@loops
def test_a_fork_gets_a_fresh_portal_and_the_parents_goes_on(
    options: tuple[str, ...], uvloop: bool
) -> None:
    source = """
        import os, select, socket, sys, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # fork with threads
        import wslab
        from wslab import errors
        from wslab.loops import portal
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        server = wslab.serve(echo)
        client = wslab.connect(server)
        client.send("before"); assert client.recv(timeout=5) == "before"
        parents = portal.lab()
        done_r, done_w = os.pipe(); go_r, go_w = os.pipe(); after_r, after_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go_w); os.close(done_r)
            try:
                parents.call(print)
            except errors.PortalClosed as exc:
                assert "fork" in str(exc), exc
            else:
                raise AssertionError("the parent's portal worked in the child")
            assert portal.lab() is not parents
            with wslab.serve(echo) as own, wslab.connect(own) as to_own:
                to_own.send("child"); assert to_own.recv(timeout=5) == "child"
            with wslab.connect(server.url) as to_parent:
                to_parent.send("up"); assert to_parent.recv(timeout=5) == "up"
            os.write(done_w, b"1"); os.close(done_w)
            os.read(go_r, 1)  # lives on until the parent has stopped its server
            sys.exit(0)
        os.close(go_r); os.close(done_w)
        assert os.read(done_r, 1) == b"1"
        client.send("after"); assert client.recv(timeout=5) == "after"
        port = server.port
        server.stop()
        assert client.close_code == 1001, client.close_code
        again = socket.socket()
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port)); again.listen(); again.close()
        os.close(go_w)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    ends_within(1.0, source, *options, uvloop=uvloop)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@loops
def test_a_forked_child_ends_with_its_own_status_and_its_handles_refuse(uvloop: bool) -> None:
    source = """
        import os, sys, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # fork with threads
        import wslab
        from wslab import errors
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        with wslab.serve(echo) as server, wslab.connect(server) as alice:
            alice.send("one"); assert alice.recv(timeout=5) == "one"
            alice.send("kept")
            pid = os.fork()
            if pid == 0:
                asked = {
                    "send()": lambda: alice.send("x"), "recv()": lambda: alice.recv(timeout=60),
                    "ping()": alice.ping, "close()": alice.close,
                    "emit()": lambda: alice.emit("x"), "call()": lambda: alice.call("x"),
                    "server.stop()": server.stop, "server.restart()": server.restart,
                    "server.start_serving()": server.start_serving,
                }
                for what, ask in asked.items():
                    try:
                        ask()
                    except errors.PortalClosed as exc:
                        assert str(exc).startswith(what + ": "), exc
                        assert "call serve() or connect() again here" in str(exc), exc
                    else:
                        raise AssertionError(what)
                assert not server.is_serving and server.connections == ()
                assert "of the parent process" in repr(server) + repr(alice)
                wslab.shutdown()
                sys.exit(3)  # and so leaves both blocks
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            assert alice.recv(timeout=5) == "kept"  # and the parent's go on
            assert server.is_serving
            pid = os.fork()
            if pid == 0:  # with something of its own
                with wslab.serve(echo) as own, wslab.connect(own) as bob:
                    bob.send("two"); assert bob.recv(timeout=5) == "two"
                    sys.exit(4)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
            alice.send("three"); assert alice.recv(timeout=5) == "three"
    """
    done, _ = script(source, uvloop=uvloop)
    was_quiet(done)


LAST_SECOND = """
    import asyncio, sys, threading, time
    import wslab
    hub = wslab.Hub()
    @hub.on("plain")
    def plain(client, data):
        return data
    @hub.on("thread")
    async def thread(client, data):
        return await asyncio.to_thread(lambda: data)
    @hub.on("threads")
    async def threads(client, data):
        return (await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.001) for _ in range(4)),
                                     asyncio.to_thread(lambda: data)))[-1]
    server = wslab.serve(hub)
    print(server.port, flush=True)
    sys.stdin.readline()
    if sys.argv[1] == "goes on":  # until the client has had 200 more answers
        threading.Thread(target=sys.stdin.readline).start()
"""


@loops
@pytest.mark.parametrize("other_thread", ["goes on", "is not there"])
@pytest.mark.parametrize("is_late", [False, True])  # whether a thread is wanted first in the end
def test_to_the_last_second_clients_get_answers_and_then_1001(
    uvloop: bool, other_thread: str, is_late: bool
) -> None:
    # Python closes its own pools of threads as soon as the main thread has ended, and from 3.12 on
    # starts no further thread; another one may go on for long, and so does a server.
    events = ("plain", "thread", "threads")
    head = "" if uvloop else "import sys; sys.modules['uvloop'] = None\n"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(LAST_SECOND), other_thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        url = f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        said, count = set(), 0
        with sync_connect(url, proxy=None) as websocket:
            with pytest.raises(ConnectionClosed) as ended:
                while True:
                    count += 1
                    event = events[0 if is_late and count < 60 else count % 3]
                    websocket.send(json.dumps({"event": event, "data": count, "id": count}))
                    while (told := json.loads(websocket.recv(timeout=20))).get("answer") != count:
                        pass
                    said.add(str(told.get("error", "")))
                    if count in (30, 230):
                        process.stdin.write("\n")
                        process.stdin.flush()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001
        assert said == {""}
        assert count > (230 if other_thread == "goes on" else 30)
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_pool_gives_each_piece_of_work_a_thread_of_its_own(portal: Portal) -> None:
    doors = [threading.Event() for _ in range(portals.MAX_WORKERS)]
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
    pool = portals._Workers()
    door = threading.Event()
    begun = threading.Barrier(portals.MAX_WORKERS + 1)

    def block() -> bool:
        begun.wait(30)
        return door.wait(30)

    futures = [pool.submit(block) for _ in range(portals.MAX_WORKERS)]
    late = pool.submit(abs, -1)
    begun.wait(30)
    pool.shutdown()
    assert late.cancelled()
    with pytest.raises(PortalClosed):
        pool.submit(abs, -1)
    door.set()
    assert [future.result(30) for future in futures] == [True] * portals.MAX_WORKERS


def test_importing_starts_no_thread_and_loads_neither_uvloop_nor_nesting() -> None:
    done, _ = script("""
        import sys, threading
        import wslab
        assert threading.active_count() == 1
        loaded = {"uvloop", "nest_asyncio2", "IPython", "anywidget"} & set(sys.modules)
        assert not loaded, loaded
    """)
    was_quiet(done)

"""The portal: its thread and its loop, their beginning and their end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.leaks import Snapshot, wait_for_nothing
from tests.loops.rig import SOON_S, Work
from tests.loops.scripts import loops, script, was_quiet
from wslab.errors import LoopBlocked, PortalClosed, WrongThread
from wslab.loops import portal as portal_module
from wslab.loops.portal import Portal


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


def test_a_call_on_its_own_thread_raises_at_once(portal: Portal) -> None:
    async def call_again() -> None:
        portal.call(print)

    with pytest.raises(WrongThread, match=r"asyncio\.to_thread"):
        portal.call(call_again, timeout=SOON_S)
    with pytest.raises(WrongThread, match=r"close\(\)"):
        portal.call(portal.close, timeout=SOON_S)
    assert portal.call(portal.answers) is True


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

    monkeypatch.setattr(portal_module, "loop_factory", lambda: none_left)
    portal = Portal()
    began = time.monotonic()
    with pytest.raises(OSError, match="Too many open files"):
        portal.call(print)
    assert time.monotonic() - began < SOON_S
    portal.close()


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

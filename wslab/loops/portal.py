"""Portal: an event loop on a daemon thread, started on first use.

The only file that owns a loop. Its rule: a call on the portal's own thread raises instead of
waiting for itself, and the loop lives until it is closed, whatever runs on it raises. What is
served or connected is not known here: that closes before.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

from ..calls.calling import function_name
from ..calls.crossing import Crossing
from ..calls.waiting import is_set_within, join, result_of
from ..errors import LoopBlocked, PortalClosed, WrongThread
from .call import SETTLE_S, call
from .fork import ForkGuard
from .watchdog import ANSWER_S, Watchdog, describe_frame, runs_within
from .workers import WorkerPool

__all__ = ["OWN_TASK", "Portal", "loop_factory", "stands_for_lab_here"]

OWN_TASK = "portal"
"""The name of the task that a portal's loop runs until it is closed; all others are others'."""

_here = threading.local()  # of a portal's own thread


class Portal:
    """An event loop on a daemon thread, started on first use.

    Calls from other threads cross with :meth:`call` and :meth:`submit`. Where uvloop is installed
    it is taken.

    Args:
        name: for its repr.
        stands_for_lab: wslab.run() refuses on its thread, as on the lab's own: it runs handlers.
    """

    label = "the lab's loop"

    def __init__(self, name: str = "wslab", *, stands_for_lab: bool = False) -> None:
        self.name = name
        self.fork = ForkGuard(self.label)
        self.watchdog = Watchdog(f"something on {self.label}")
        self._stands_for_lab = stands_for_lab
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._thread_id: int | None = None
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_closed = False
        self._pending: set[Crossing] = set()

    # The thread and its loop.

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; asking for it starts it.

        Raises:
            PortalClosed: after close(), or in a process forked from the one that started it.
        """
        if self._loop is None or self._is_closed or self.fork.is_child:
            self._start()
        assert self._loop is not None
        return self._loop

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started and not been closed."""
        return self._thread is not None and not self._is_closed and not self.fork.is_child

    @property
    def is_closed(self) -> bool:
        """Whether close() has been called: it runs nothing more."""
        return self._is_closed

    @property
    def thread_id(self) -> int | None:
        """``threading.get_ident()`` of the loop's thread, or None where it does not live."""
        # A thread that has ended, or is not in a forked child, leaves its number to another one.
        return None if self.fork.is_child else self._thread_id

    def _start(self) -> None:
        self.fork.refuse()
        with self._lock:
            if self._is_closed:
                raise self._closed_error()
            if self._thread is None:
                thread = threading.Thread(target=self._main, name=self.name, daemon=True)
                thread.start()
                self._thread = thread
        result_of(self._started, 10)

    def _closed_error(self) -> PortalClosed:
        return PortalClosed(
            f"{self.label} has been closed; call serve(), connect() or run() again: they start a "
            "new one"
        )

    def _main(self) -> None:
        self._thread_id = threading.get_ident()
        _here.stands_for_lab = self._stands_for_lab
        try:
            loop = loop_factory()()
        except BaseException as exc:
            self._is_closed = True
            self._thread_id = None
            self._started.set_exception(exc)
            return
        workers = WorkerPool()
        try:
            loop.set_default_executor(workers)
            _drive(loop, self._until_stopped())
            _drive(loop, self._wind_up())
        finally:
            loop.close()
            # Threads that block (in to_thread) cannot be ended; they are daemons, and forgotten.
            workers.shutdown()
            for future in tuple(self._pending):
                future.end_with(self._closed_error())
            self._thread_id = None

    async def _until_stopped(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started.set_result(None)
        await self._stop.wait()

    async def _wind_up(self) -> None:
        for _ in range(3):  # a task may swallow a cancellation, or start another task
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=SETTLE_S)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await asyncio.get_running_loop().shutdown_asyncgens()

    def close(self, timeout: float | None = 5.0) -> None:
        """Cancel what still runs and end the thread; idempotent.

        Whoever waits for a result gets PortalClosed. Servers and clients are not known here: close
        them before, as :func:`shutdown` does.

        Args:
            timeout: seconds to wait for the thread to end; None waits until it has.

        Raises:
            LoopBlocked: the loop is held, so that the thread cannot end in time. It ends as soon
                as it is let go.
        """
        self.refuse_own_thread("close()")
        if self.fork.is_child:
            return
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is None:
            return
        with contextlib.suppress(Exception):  # it never came to life
            result_of(self._started, timeout)
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        if not join(thread, timeout):
            raise LoopBlocked(f"{self.label} did not end within {timeout:g} s: {self.held_by()}")

    def park(self) -> None:
        """Hold the loop for good, where the interpreter is about to end and the thread still runs.

        A loop that went on while its modules are taken apart would crash (uvloop does, now and
        then); one that sleeps in C does not.
        """
        if self._loop is None or self._thread_id is None or self.fork.is_child:
            return
        parked = threading.Event()

        def sleep() -> None:
            parked.set()
            time.sleep(3600)

        with contextlib.suppress(RuntimeError):  # it ends by itself just now
            self._loop.call_soon_threadsafe(sleep)
            is_set_within(parked, 0.1)  # what holds it already may as well go on holding it

    # Crossing over.

    def submit(self, func: Callable[..., Any], *args: Any) -> Crossing:
        """Call ``func(*args)`` in the loop and await what it returns, if that can be awaited.

        Args:
            func: a function or coroutine function; it runs on the loop's thread.
            args: what to call it with.

        Returns:
            A future of the result. Cancelling it cancels the work.

        Raises:
            PortalClosed: see :attr:`loop`.
        """
        future = self._crossing()
        future.send(func, args)
        return future

    def _crossing(self) -> Crossing:
        future = Crossing(self.loop, self._ended)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def _ended(self) -> PortalClosed | None:
        return self._closed_error() if self._is_closed else None

    def call(self, func: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """Call ``func(*args)`` in the loop and wait for its result.

        Args:
            func: a function or coroutine function; it runs on the loop's thread.
            args: what to call it with.
            timeout: seconds to wait; None waits until it ends. An interrupt always gets through.

        Raises:
            WrongThread: called on the loop's own thread, where it would wait for itself.
            LoopBlocked: the timeout passed because something else holds the loop.
            TimeoutError: the timeout passed; the work has been cancelled, and has cleaned up
                unless that takes it longer than a second.
            PortalClosed: the loop was closed before the work ended.
            concurrent.futures.CancelledError: the work cancelled itself.
        """
        self.refuse_own_thread(f"a call of {function_name(func)} that waits")
        return call(self._crossing(), self, func, args, timeout)

    # Who holds the loop.

    def answers(self, within_s: float = ANSWER_S) -> bool:
        """Whether the loop runs a callback within ``within_s`` seconds."""
        if threading.get_ident() == self.thread_id:
            return True
        return self._loop is not None and self.is_running and runs_within(self._loop, within_s)

    def held_by(self) -> str:
        """Say in words what the loop's thread is executing at this moment."""
        where = describe_frame(sys._current_frames().get(self.thread_id or 0))
        if where is None:
            return f"{self.label} " + ("does not answer" if self.is_running else "is not running")
        return (
            f"{self.label} is held by {where}; it goes on when that lets go. In a handler use "
            "`await asyncio.sleep(...)` or `await asyncio.to_thread(...)` instead of a call that "
            "blocks"
        )

    def refuse_own_thread(self, what: str) -> None:
        """Refuse a call that waits, where it was made on the loop's own thread.

        Raises:
            WrongThread: it was; it says how to write it there.
        """
        if threading.get_ident() == self.thread_id:
            raise WrongThread(
                f"{what} was made on {self.label}'s own thread, where it would wait for itself. In "
                "async code await websockets' own calls (`await websockets.connect(server.url)`), "
                "or move the call off the loop: `await asyncio.to_thread(...)`"
            )

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "running" if self._thread else "not started"
        return f"<Portal {self.name!r}, {state}>"


def _drive(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> None:
    """Run the loop until ``main`` ends, whatever a task or a callback on it raises."""
    task = loop.create_task(main, name=OWN_TASK)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as exc:
            # It ends the task that raised it; on the main thread it would end the loop as well,
            # here that would be the end of everybody's servers.
            loop.call_exception_handler(
                {"message": f"{type(exc).__name__} in a task or callback", "exception": exc}
            )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a portal's loop: uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


def stands_for_lab_here() -> bool:
    """Whether this is the thread of a portal that stands for the lab's."""
    return getattr(_here, "stands_for_lab", False)

"""Event loops: the lab's own on a daemon thread, and the notebook's.

The only file that owns a thread, a loop or nest_asyncio2. Its rule: everything crosses as a
*callable*, which is called inside the loop that runs it, because what websockets builds belongs
to the loop in which it was built. A call on the portal's own thread raises instead of waiting
for itself; a timeout or an interrupt cancels the work; nothing waits without a bound but by the
caller's own word. What is served or connected is not known here.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import gc
import importlib.metadata
import inspect
import os
import queue
import re
import socket
import stat
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast, overload

from ..errors import LoopBlocked, NestingRefused, PortalClosed, WrongThread
from ..notebook import cells
from ..waiting import deadline_after, finite, is_set_within, join, left_until, result_of
from .watchdog import StallWatch, describe_frame

__all__ = [
    "KernelPortal",
    "NestedLoops",
    "Portal",
    "allow_nested_loops",
    "kernel",
    "lab",
    "loop_here_serves",
    "refuse_loops_thread",
    "run",
    "shutdown",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_ANSWER_S = 0.25  # how long a loop that is free may take to say so
_EXIT_S = 0.7  # for everything to close when the interpreter ends
_SETTLE_S = 1.0  # how long cancelled work may take to clean up before we stop waiting for it
_NEST_FLOOR = (1, 7, 4)  # older ones lose the cells queued behind one that nests (ipykernel 7)


class _AsyncContext(Protocol[T_co]):
    """What ``enter`` takes: the part of an asynchronous context manager that it uses."""

    async def __aenter__(self) -> T_co: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> bool | None: ...


class _Forkable:
    """A fork copies handles, but neither threads nor loops: those stay with the parent."""

    label: str

    def __init__(self) -> None:
        super().__init__()
        self.is_foreign = False  # whether this process was forked from the one that owns it
        self._pid = os.getpid()
        _portals.add(self)

    def refuse_after_fork(self, what: str = "") -> None:
        """Refuse in a forked child what only the parent can do.

        Args:
            what: the call that is refused.

        Raises:
            PortalClosed: this is such a child; it says what to do.
        """
        if self.is_foreign:
            raise PortalClosed(
                f"{what + ': ' if what else ''}{self.label} belongs to the parent process (pid "
                f"{self._pid}) and threads do not survive a fork; what you start in this process "
                f"(pid {os.getpid()}) gets its own: call serve() or connect() again here"
            )


_portals: weakref.WeakSet[_Forkable] = weakref.WeakSet()


class Portal(_Forkable, StallWatch):
    """An event loop on a daemon thread, started on first use.

    Calls from other threads cross with :meth:`call` and :meth:`submit`. Where uvloop is installed
    it is taken.

    Args:
        name: for its repr.
        stands_for_lab: wslab.run() refuses on its thread, as on the lab's own: it runs handlers.
    """

    label = "the lab's loop"

    def __init__(self, name: str = "wslab", *, stands_for_lab: bool = False) -> None:
        super().__init__()
        self.name = name
        self._stands_for_lab = stands_for_lab
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._thread_id: int | None = None
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._closed = False
        self._pending: set[_Crossing] = set()

    # The thread and its loop.

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; asking for it starts it.

        Raises:
            PortalClosed: after close(), or in a process forked from the one that started it.
        """
        if self._loop is None or self._closed or self.is_foreign:
            self._start()
        assert self._loop is not None
        return self._loop

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started and not been closed."""
        return self._thread is not None and not self._closed and not self.is_foreign

    @property
    def thread_id(self) -> int | None:
        """``threading.get_ident()`` of the loop's thread, or None where it does not live."""
        return self._thread_id  # a thread that has ended leaves its number to another one

    def _start(self) -> None:
        self.refuse_after_fork()
        with self._lock:
            if self._closed:
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
        _here.refuses_run = self._stands_for_lab
        try:
            loop = _loop_factory()()
        except BaseException as exc:
            self._closed = True
            self._thread_id = None
            self._started.set_exception(exc)
            return
        workers = _Workers()
        try:
            loop.set_default_executor(workers)
            _drive(loop, self._live())
            _drive(loop, self._wind_up())
        finally:
            loop.close()
            # Threads that block (in to_thread) cannot be ended; they are daemons, and forgotten.
            workers.shutdown()
            for future in tuple(self._pending):
                future.end_with(self._closed_error())
            self._thread_id = None

    async def _live(self) -> None:
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
            await asyncio.wait(tasks, timeout=_SETTLE_S)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
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
        self._refuse_own_thread("close()")
        if self.is_foreign:
            return
        with self._lock:
            self._closed = True
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
        if self._loop is None or self._thread_id is None or self.is_foreign:
            return
        parked = threading.Event()

        def sleep() -> None:
            parked.set()
            time.sleep(3600)

        with contextlib.suppress(RuntimeError):  # it ends by itself just now
            self._loop.call_soon_threadsafe(sleep)
            is_set_within(parked, 0.1)  # what holds it already may as well go on holding it

    # Crossing over.

    def submit(self, func: Callable[..., Any], *args: Any) -> _Crossing:
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
        self._send(future, func, args)
        return future

    def _crossing(self) -> _Crossing:
        return _Crossing(self.loop, self._ended)

    def _send(self, future: _Crossing, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        try:
            self.loop.call_soon_threadsafe(future.start, func, args)
        except RuntimeError:
            future.cancel()
            raise self._closed_error() from None

    def _ended(self) -> PortalClosed | None:
        return self._closed_error() if self._closed else None

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
        self._refuse_own_thread(f"a call of {_name(func)} that waits")
        return _call(self, func, args, timeout)

    @contextlib.contextmanager
    def enter(self, factory: Callable[[], _AsyncContext[T]]) -> Iterator[T]:
        """Enter the asynchronous context manager that ``factory()`` makes, for a ``with`` block.

        One task in the loop enters and exits it, as libraries with task groups and timeouts
        demand. An exception in the body reaches ``__aexit__``, which may swallow it. Where the
        task is cancelled (an interrupt, the portal's end), ``__aexit__`` is told so.

        Args:
            factory: called in the loop; returns the context manager.

        Raises:
            WrongThread: called on the loop's own thread.
            PortalClosed: the loop was closed before the end of the block.
        """
        self._refuse_own_thread("enter()")
        entered: concurrent.futures.Future[T] = concurrent.futures.Future()
        loop = self.loop
        left: asyncio.Future[BaseException | None] = loop.create_future()

        async def hold() -> bool:
            manager = factory()
            value = await manager.__aenter__()
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits now
                entered.set_result(value)
            try:
                seen = await left
            except asyncio.CancelledError as exc:
                if await manager.__aexit__(type(exc), exc, exc.__traceback__):
                    return True
                raise
            if seen is None:
                await manager.__aexit__(None, None, None)
                return False
            return bool(await manager.__aexit__(type(seen), seen, seen.__traceback__))

        def not_entered(task: concurrent.futures.Future[Any]) -> None:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                if task.cancelled():
                    entered.cancel()
                elif not entered.done():
                    entered.set_exception(task.exception())

        def set_left(exc: BaseException | None) -> None:
            if not left.done():
                left.set_result(exc)

        def leave(exc: BaseException | None) -> bool:
            with _cancelled_by_interrupt(task):
                with contextlib.suppress(RuntimeError):  # the loop has ended; the task says so
                    loop.call_soon_threadsafe(set_left, exc)
                return bool(result_of(task, None))

        task = self._crossing()
        task.add_done_callback(not_entered)
        with _cancelled_by_interrupt(task):
            self._send(task, hold, ())
            value = result_of(entered, None)
        try:
            yield value
        except BaseException as exc:
            if not leave(exc):
                raise
        else:
            leave(None)

    # Who holds the loop.

    def answers(self, within_s: float = _ANSWER_S) -> bool:
        """Whether the loop runs a callback within ``within_s`` seconds."""
        if threading.get_ident() == self.thread_id:
            return True
        answered = threading.Event()
        if self._loop is None or not self.is_running:
            return False
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(answered.set)
            return is_set_within(answered, within_s)
        return False

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

    def _refuse_own_thread(self, what: str) -> None:
        if threading.get_ident() == self.thread_id:
            raise WrongThread(
                f"{what} was made on {self.label}'s own thread, where it would wait for itself. In "
                "async code await websockets' own calls (`await websockets.connect(server.url)`), "
                "or move the call off the loop: `await asyncio.to_thread(...)`"
            )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._thread else "not started"
        return f"<Portal {self.name!r}, {state}>"


class _Crossing(concurrent.futures.Future[Any]):
    """A future on this side of the portal, and the task on the other side that fills it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ended: Callable[[], PortalClosed | None]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._ended = ended  # says whether the portal is closed, and how to tell
        self._task: asyncio.Task[None] | None = None
        # Done when the task has ended, its cleanup included.
        self.gone: concurrent.futures.Future[None] = concurrent.futures.Future()

    # On the loop.

    def start(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        ended = self._ended()
        if ended is not None:
            self.end_with(ended)
        elif self.cancelled():
            self._be_gone()
        else:
            self._task = self._loop.create_task(self._fill(func, args))

    async def _fill(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            if self.cancelled():  # after start(), while something else held the loop
                self._be_gone()
                return
            result = func(*args)
            if inspect.isawaitable(result):
                result = await result
        except asyncio.CancelledError:
            self.end_with(self._ended())
            raise
        except BaseException as exc:
            # SystemExit and KeyboardInterrupt too: let loose here they would end the loop for all.
            self.end_with(exc)
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # cancelled meanwhile
                self.set_result(result)
            self._be_gone()
        finally:
            del self  # an exception's traceback holds this frame: no cycle, so no garbage

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def end_with(self, exc: BaseException | None) -> None:
        """End with that exception, or as cancelled; unless it has ended already."""
        if exc is None:
            super().cancel()
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self.set_exception(exc)
        self._be_gone()

    def _be_gone(self) -> None:
        self._task = None
        if not self.gone.done():
            if self.cancelled():  # so that concurrent.futures.wait() takes it for done
                self.set_running_or_notify_cancel()
            self.gone.set_result(None)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until the task has ended; whether it has."""
        with contextlib.suppress(TimeoutError):
            result_of(self.gone, timeout)
        return self.gone.done()

    # Anywhere.

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        try:
            self._loop.call_soon_threadsafe(self._cancel_task)
        except RuntimeError:  # the loop has ended, and the task with it
            self._be_gone()
        return True


@contextlib.contextmanager
def _cancelled_by_interrupt(future: _Crossing) -> Iterator[None]:
    """Cancel the work, and wait for its cleanup, when the block is left by an exception."""
    try:
        yield
    except BaseException:
        if future.cancel():
            future.wait_gone(_SETTLE_S)
        raise
    finally:
        del future


def _call(
    runner: Portal | KernelPortal,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    timeout: float | None,
) -> Any:
    """Have ``func(*args)`` run and wait; where the time is up or an interrupt comes, cancel it."""
    future = runner._crossing()
    try:
        # Sent in here: an interrupt strikes between any two lines, and work begins with the first.
        runner._send(future, func, args)
        return result_of(future, timeout)
    except TimeoutError:
        # Its own TimeoutError is passed on, and so is what it did in the last instant.
        if future.done() or not future.cancel():
            return future.result()
        if not future.wait_gone(_ANSWER_S) and not runner.answers():
            raise LoopBlocked(
                f"{_name(func)} did not run within {timeout:g} s, because {runner.held_by()}"
            ) from None
        future.wait_gone(_SETTLE_S)
        raise TimeoutError(f"{_name(func)} did not end within {timeout:g} s") from None
    except BaseException:
        if future.cancel():
            future.wait_gone(_SETTLE_S)
        raise
    finally:
        del future


def _drive(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> None:
    """Run the loop until ``main`` ends, whatever a task or a callback on it raises."""
    task = loop.create_task(main)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as exc:
            # It ends the task that raised it; on the main thread it would end the loop as well,
            # here that would be the end of everybody's servers.
            loop.call_exception_handler(
                {"message": f"{type(exc).__name__} in a task or callback", "exception": exc}
            )


# More than the default on a small machine: handlers that wait must not starve one another.
MAX_WORKERS = 32


class _Workers(concurrent.futures.ThreadPoolExecutor):
    """The pool behind ``asyncio.to_thread``: its threads are daemons, and it works to the last.

    Python's own refuses all work from the moment in which the main thread has ended, while other
    threads may run for hours, and a server answers. asyncio takes no other class than that.
    """

    def __init__(self) -> None:
        super().__init__(MAX_WORKERS)
        self._guard = threading.Lock()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._started = 0
        self._idle = 0  # threads for which no work has been put in
        self._behind = 0  # work that waits for whichever thread is free first
        self._is_shut = False

    def submit(
        self, fn: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[T]:
        """Have ``fn`` called on a thread of the pool."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        work = (future, fn, args, kwargs)
        with self._guard:
            if self._is_shut:
                raise PortalClosed("the event loop of this pool of threads has been closed")
            # Each thread that is free is meant for one piece of work: one that only seems to be
            # free, and blocks, would keep the next for itself.
            if self._idle:
                self._idle -= 1
            elif not self._start_thread() and self._started:
                self._behind += 1
            if self._started:
                self._work.put(work)
                return future
        _do(work, lambda: None)  # no thread will ever come for it; the loop has to wait
        return future

    def _start_thread(self) -> bool:
        """Whether there is one more. From 3.12 on none starts once the main thread has ended."""
        if self._started == MAX_WORKERS:
            return False
        name = f"asyncio_{self._started}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:
            return False
        self._started += 1
        return True

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            _do(work, self._is_free)
            del work  # it holds what it was called with

    def _is_free(self) -> None:
        with self._guard:
            if self._behind:
                self._behind -= 1
            else:
                self._idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what has not begun, and let each thread end after its work; never waits."""
        with self._guard:
            self._is_shut = True
            while not self._work.empty():
                work = self._work.get()
                if work is not None:
                    work[0].cancel()
            for _ in range(self._started):
                self._work.put(None)


_Work = tuple[concurrent.futures.Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def _do(work: _Work, is_done: Callable[[], None]) -> None:
    """Do the work; ``is_done`` is called before its result is known, so before the next comes."""
    future, func, args, kwargs = work
    if not future.set_running_or_notify_cancel():
        is_done()
        return
    try:
        result = func(*args, **kwargs)
    except BaseException as exc:
        is_done()
        future.set_exception(exc)
        del future, work, func, args, kwargs  # its traceback holds this frame: no cycle
    else:
        is_done()
        future.set_result(result)


class KernelPortal(_Forkable, StallWatch):
    """The notebook's own event loop, nested with nest_asyncio2 so that a cell can wait on it.

    What runs here gets no turn while a cell runs that does not await. That is what lesson 04
    shows; everything else uses the lab's loop.
    """

    label = "the kernel's loop"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        # Whoever asks first may be a widget's callback on another thread.
        self.thread_id = threading.main_thread().ident or 0

    @property
    def is_running(self) -> bool:
        """Whether the kernel's loop runs (it no longer does while the interpreter exits)."""
        return self.loop.is_running()

    def submit(self, func: Callable[..., Any], *args: Any) -> _Crossing:
        """See :meth:`Portal.submit`; the future's ``result()`` nests on the loop's own thread."""
        future = self._crossing()
        self._send(future, func, args)
        return future

    def _crossing(self) -> _Crossing:
        return _NestedCrossing(self)

    def _send(self, future: _Crossing, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self.loop.call_soon_threadsafe(future.start, func, args)
        except RuntimeError:
            future.cancel()
            raise PortalClosed("the kernel's loop has ended") from None

    def call(self, func: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """See :meth:`Portal.call`; on the loop's own thread it nests instead of refusing."""
        return _call(self, func, args, timeout)

    def run_nested(self, wait: Coroutine[Any, Any, T]) -> T:
        """Run the loop until ``wait`` ends, on its own thread inside whatever runs there."""
        task = self.loop.create_task(wait)
        try:
            return self.loop.run_until_complete(task)
        finally:
            task.cancel()  # where an interrupt came in between

    def answers(self, within_s: float = _ANSWER_S) -> bool:
        """Whether the loop could run a callback now: not while this very cell holds it."""
        if threading.get_ident() == self.thread_id:
            return True
        answered = threading.Event()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(answered.set)
            return is_set_within(answered, within_s)
        return False

    def held_by(self) -> str:
        """Say in words what the loop's thread is executing at this moment."""
        where = describe_frame(sys._current_frames().get(self.thread_id))
        return (
            f"the kernel's loop is held by {where or 'a running cell'}: it gets no turn while a "
            "cell runs that does not await"
        )

    def _unnamed_culprit(self) -> str:
        return "a cell that ran without awaiting (the server shares the kernel's loop)"

    def __repr__(self) -> str:
        return "<KernelPortal>"


class _NestedCrossing(_Crossing):
    """A crossing to the kernel's loop: whoever waits for it on that loop's thread runs the loop."""

    def __init__(self, runner: KernelPortal) -> None:
        super().__init__(runner.loop, lambda: None)
        self._runner = runner

    def result(self, timeout: float | None = None) -> Any:
        return super().result(self._nest_until(self, timeout))

    def wait_gone(self, timeout: float) -> bool:
        return super().wait_gone(self._nest_until(self.gone, timeout) or 0)

    def _nest_until(
        self, future: concurrent.futures.Future[Any], timeout: float | None
    ) -> float | None:
        """Run the loop until ``future`` is done, where it is ours; how long to wait after that."""
        if future.done() or threading.get_ident() != self._runner.thread_id:
            return timeout

        async def until_done() -> None:
            loop, done = asyncio.get_running_loop(), asyncio.Event()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(finite(timeout)):
                    await done.wait()

        self._runner.run_nested(until_done())
        return 0


# The process's portals. A fork gets fresh ones: threads do not survive it.

_guard = threading.RLock()
_lab: Portal | None = None
_here = threading.local()  # of a portal's own thread
_kernel: KernelPortal | None = None
_exit_hooked = False


def lab() -> Portal:
    """Return the process's one background loop, fresh where the last one has been closed."""
    global _lab, _exit_hooked
    with _guard:
        if _lab is None or _lab._closed:
            _lab = Portal("wslab")
        if not _exit_hooked:
            atexit.register(_at_exit)
            _exit_hooked = True
        return _lab


def kernel() -> KernelPortal:
    """Return the portal to the notebook's own loop, applying nest_asyncio2 on first use.

    Raises:
        NestingRefused: there is no notebook loop here, or it cannot be nested.
    """
    global _kernel, _exit_hooked
    with _guard:
        loop = _kernel_loop()
        if loop is None:
            raise NestingRefused(
                'loop="kernel" needs the loop of a running notebook kernel, and this is not one. '
                "Leave it out: the lab's own loop works in scripts, tests and notebooks alike"
            )
        if _kernel is None or _kernel.loop is not loop:
            _nest(loop)
            _kernel = KernelPortal(loop)
        if not _exit_hooked:
            atexit.register(_at_exit)
            _exit_hooked = True
        return _kernel


@overload
def run(
    func: Callable[..., Awaitable[T]] | Coroutine[Any, Any, T],
    *args: Any,
    timeout: float | None = None,
) -> T: ...
@overload
def run(func: Callable[..., T], *args: Any, timeout: float | None = None) -> T: ...
def run(
    func: Callable[..., Any] | Coroutine[Any, Any, T], *args: Any, timeout: float | None = None
) -> Any:
    """Run async code from a plain cell, on the lab's loop, and return its result.

    Args:
        func: a coroutine function (``wslab.run(main, 3)``), a coroutine that nobody has awaited
            yet (``wslab.run(main(3))``), or a plain function that has to be called in the loop
            (``wslab.run(websockets.broadcast, clients, "hi")``).
        args: what to call it with.
        timeout: seconds; None waits until it ends. An interrupt cancels the work.

    Raises:
        TimeoutError: the timeout passed; the work has been cancelled.
        LoopBlocked: the timeout passed because something else holds the loop.
        WrongThread: called from code that already runs on the lab's loop: await it there.
        TypeError: ``func`` is neither of these.
    """
    if getattr(_here, "refuses_run", False):
        if inspect.iscoroutine(func):
            func.close()
        raise WrongThread(
            f"run({_name(func)}) was called by a handler, on its own loop's thread, which would "
            "wait for itself. In async code write `await` instead of wslab.run"
        )
    if inspect.iscoroutine(func):
        if args:
            func.close()
            raise TypeError(
                "expected run(func, *args) or run(coroutine), got a coroutine and arguments; pass "
                "the arguments where you call it: run(func(1, 2))"
            )
        coroutine = func

        def start() -> Awaitable[T]:
            return coroutine

        start.__qualname__ = coroutine.__qualname__
        try:
            return lab().call(start, timeout=timeout)
        finally:
            # One that has started belongs to the loop's thread, and only there may it be closed.
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
    if inspect.isasyncgen(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            "expected a function or a coroutine, got an asynchronous generator, which is looped "
            "over and not awaited: write `async def main(): ...` with the `async for` in it, and "
            "run(main)"
        )
    if not callable(func):
        hint = "write run(main, ...) or run(main(...))"
        if inspect.isawaitable(func):
            hint = (
                "what is awaited must be made in the loop that runs it: write `async def main(): "
                "return await ...` and run(main)"
            )
        raise TypeError(f"expected a function or a coroutine, got {type(func).__name__}; {hint}")
    return lab().call(func, *args, timeout=timeout)


def shutdown(timeout: float | None = 5.0) -> None:
    """Stop every server, close every client and end the lab's loop; idempotent.

    Args:
        timeout: seconds for all of it together; None waits until it is done.

    Raises:
        LoopBlocked: something holds a loop: what, and who has not closed for it. Those close as
            soon as it lets go; call this again then.
        WrongThread: called on the lab's own loop.
    """
    refuse_loops_thread("shutdown()")
    try:
        _shutdown(timeout, explain=True)
    except LoopBlocked:
        raise
    except TimeoutError as exc:
        raise LoopBlocked(str(exc)) from None


def refuse_loops_thread(what: str) -> None:
    """Refuse a call that waits, where it was made on the lab's loop.

    Raises:
        WrongThread: it was.
    """
    if _lab is not None:
        _lab._refuse_own_thread(what)


def loop_here_serves(host: str, port: int) -> bool:
    """Whether the event loop that runs on this very thread listens at an address of this machine.

    Whoever waits here for an answer from there waits for himself. Where no loop runs on this
    thread, the question costs nothing.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    names = {host, "0.0.0.0", "::"} | ({"127.0.0.1", "::1"} if host == "localhost" else set())
    listening = [number for number, name in _listening_on(port) if name in names]
    if not listening:
        return False
    # asyncio's own loops wait for their listening sockets with a selector. uvloop says nothing of
    # its own, so the servers are looked for among all objects, which may be millions.
    selector = getattr(loop, "_selector", None)
    if selector is not None:
        waited_for = selector.get_map() or {}
        return any(number in waited_for for number in listening)
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance() would ask the thing, which may be a user's proxy
        if kind.__name__ != "Server" or not hasattr(kind, "get_loop"):
            continue
        with contextlib.suppress(Exception):
            if thing.get_loop() is loop and any(
                sock.fileno() in listening for sock in thing.sockets
            ):
                return True
    return False


def _listening_on(port: int) -> list[tuple[int, str]]:
    """Return the descriptors of this process that listen on a port, and at which address."""
    found: list[tuple[int, str]] = []
    with contextlib.suppress(OSError):  # not on Windows: there nobody is warned
        for number in map(int, os.listdir("/dev/fd")):
            with contextlib.suppress(OSError):
                if not stat.S_ISSOCK(os.fstat(number).st_mode):
                    continue
                with socket.socket(fileno=os.dup(number)) as sock:
                    name = sock.getsockname()
                    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if listens and isinstance(name, tuple) and name[1] == port:
                        found.append((number, name[0]))
    return found


def _shutdown(timeout: float | None, *, explain: bool) -> None:
    global _lab
    deadline_s = deadline_after(timeout)
    cells.close_all(timeout, explain=explain)
    with _guard:
        portal, _lab = _lab, None
    if portal is not None and portal.is_running:
        portal.close(max(0.1, left_until(deadline_s)))


def _at_exit() -> None:
    # Peers get their close frames while the daemon thread still lives; a loop that is held must
    # not hold up the exit, and there is nobody left to tell.
    portal = _lab
    with contextlib.suppress(Exception):
        _shutdown(_EXIT_S, explain=False)
    if portal is not None:
        portal.park()
    if _has_lost_pool:
        _renew_pool()


# File numbers of sockets that a forked child must not keep open: its copies would keep a port busy,
# and a connection from ending, after the parent has closed its own.
inherited: set[int] = set()


def inherit(transport: asyncio.BaseTransport) -> int:
    """Note a connection's socket among the ``inherited``; return its number, to take it out."""
    sock = transport.get_extra_info("socket")
    number: int = sock.fileno() if sock is not None else -1
    if number >= 0:
        inherited.add(number)
    return number


def _forget_after_fork() -> None:
    global _lab, _kernel, _guard, _has_lost_pool
    for portal in tuple(_portals):
        portal.is_foreign = True
    _has_lost_pool = _has_lost_pool or (bool(_portals) and "uvloop" in sys.modules)
    if inherited:
        null = os.open(os.devnull, os.O_RDWR)
        for number in inherited:  # the numbers stay valid: objects copied by the fork hold them
            with contextlib.suppress(OSError):
                os.dup2(null, number)
        os.close(null)
        inherited.clear()
    _guard = threading.RLock()  # the parent's may have been held at the moment of the fork
    if _lab is not None:
        _lab._thread_id = None  # its thread is not here, and its number may go to another one
    _lab = _kernel = None


_has_lost_pool = False


def _renew_pool() -> None:
    # libuv has a pool of threads of its own, and when a process ends in the ordinary way it joins
    # them; after a fork they are not there, and that crashes. One that is used again is new.
    with contextlib.suppress(Exception):
        import uvloop

        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(loop.getaddrinfo(None, 80))  # asks nobody: it needs no name
        finally:
            loop.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


# Nesting, only when asked.


@dataclass(frozen=True)
class NestedLoops:
    """What allow_nested_loops() did, and what it costs; shows itself as text."""

    version: str
    newly_applied: bool
    is_needed: bool = True

    def __repr__(self) -> str:
        if not self.is_needed:
            return (
                "No event loop runs here, so asyncio.run(main()) works as it is. Nothing was "
                "changed."
            )
        did = "now allowed" if self.newly_applied else "already allowed"
        return (
            f"Nested event loops are {did} in this process (nest_asyncio2 {self.version}): "
            "asyncio.run(main()) works in a cell.\n"
            "What it costs: every task of this process is now a pure-Python one (a few per cent "
            "more time an echo), and while main() runs, the cell holds the kernel. It stays until "
            "the kernel restarts. Without it: `await main()` in a cell, or wslab.run(main)."
        )


def allow_nested_loops() -> NestedLoops:
    """Let a pasted ``asyncio.run(main())`` work in a cell, by applying nest_asyncio2.

    Opt in, for the whole process, until the kernel restarts. In a script, where no loop runs yet,
    nothing is needed and nothing is done.

    Returns:
        What was done and what it costs, as the cell's output.

    Raises:
        NestingRefused: the running loop cannot be nested (uvloop), the unmaintained nest_asyncio
            has patched asyncio already, or nest_asyncio2 is too old: which, and how to get out.
    """
    loop = _kernel_loop()
    if loop is None:
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
    if loop is None:
        return NestedLoops("", newly_applied=False, is_needed=False)
    newly = _nest(loop)
    return NestedLoops(importlib.metadata.version("nest_asyncio2"), newly)


def _nest(loop: asyncio.AbstractEventLoop) -> bool:
    """Apply nest_asyncio2 to ``loop``; whether it was not applied before."""
    get = "run `%pip install -U 'nest_asyncio2>=1.7.4'` and restart the kernel"
    try:
        version = importlib.metadata.version("nest_asyncio2")
    except importlib.metadata.PackageNotFoundError:
        raise NestingRefused(f"nested loops need nest_asyncio2, which is missing: {get}") from None
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < _NEST_FLOOR:
        raise NestingRefused(
            f"nest_asyncio2 {version} silently loses the cells queued behind one that nests "
            f"(Run All); 1.7.4 or newer is needed: {get}"
        )
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        raise NestingRefused(
            "the old, unmaintained nest_asyncio has already patched asyncio in this kernel, and "
            "two patches of the same loop break each other. Remove `import nest_asyncio; "
            "nest_asyncio.apply()`, restart the kernel and call wslab.allow_nested_loops() instead"
        )
    if not isinstance(loop, asyncio.BaseEventLoop):
        kind = type(loop)
        raise NestingRefused(
            f"the running loop is a {kind.__module__}.{kind.__qualname__}, and only asyncio's own "
            "loops can be nested. Use `await main()` or wslab.run(main), or start the kernel "
            "without uvloop as its loop"
        )
    newly = not hasattr(asyncio, "_nest_asyncio2")
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    return newly


def _kernel_loop() -> asyncio.AbstractEventLoop | None:
    """The notebook kernel's loop, from whatever thread one asks; None outside a kernel."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call, unused-ignore]
    io_loop = getattr(getattr(shell, "kernel", None), "io_loop", None)
    return cast("asyncio.AbstractEventLoop | None", getattr(io_loop, "asyncio_loop", None))


def _name(func: Any) -> str:
    func = getattr(func, "func", func)  # a partial
    return str(getattr(func, "__qualname__", None) or type(func).__name__)

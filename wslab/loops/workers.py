"""The pool of threads behind ``asyncio.to_thread`` on the lab's loop.

Its rule: a thread that waits in one handler keeps nobody else's work, and the pool works to the
last second of the process. It never waits for its threads: they are daemons.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import PortalClosed

__all__ = ["MAX_WORKERS", "WorkerPool"]

T = TypeVar("T")

# More than the default on a small machine: handlers that wait must not starve one another.
MAX_WORKERS = 32
_Work = tuple[concurrent.futures.Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class WorkerPool(concurrent.futures.ThreadPoolExecutor):
    """Threads that are daemons, started as work comes in.

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

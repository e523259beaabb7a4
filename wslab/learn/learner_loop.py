"""The learner's code on an event loop of its own, which ends in time, whatever the code does.

Its rule: one that blocks holds neither the lab nor the check; an endless loop in Python is ended, a
call of C when it returns. Nothing waits without a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..calls.waiting import result_of
from ..errors import LoopBlocked
from ..failures import is_around
from ..loops.portal import Portal
from ..loops.watchdog import describe_frame
from ..server.server import Server
from .exercises import Miss

__all__ = ["bounded", "end_loop", "free_loop", "position", "wait_for"]


def bounded(
    func: Callable[..., Any], *args: Any, timeout_s: float = 5.0, expected: str = "an answer"
) -> Any:
    """Call the learner's function (or coroutine function) and return what it returns, in time.

    Args:
        func: runs on a thread and an event loop of its own.
        args: what to call it with.
        timeout_s: seconds; then it is stopped, even in an endless loop.
        expected: for the Miss, such as "a list of frames".

    Raises:
        Miss: it did not end in time, or ended the program. What it raises itself comes through.
    """
    runner = Portal("check")
    name = getattr(func, "__name__", "your code")
    try:
        return runner.call(func, *args, timeout=timeout_s)
    except LoopBlocked:
        raise Miss(
            f"{expected} within {timeout_s:g} s",
            f"still running: {position(runner)}",
            "look for a loop whose condition never changes",
        ) from None
    except SystemExit as exc:
        raise Miss(expected, f"{name}() ended the program with SystemExit") from exc
    finally:
        end_loop(runner)


class _Stopped(BaseException):
    """Thrown into the learner's code to end it."""


def position(runner: Portal) -> str:
    """Say where the code is that holds a loop."""
    where = describe_frame(sys._current_frames().get(runner.thread_id or 0))
    # ipykernel gives each cell a file of its own, with a number for a name.
    return re.sub(r"at \d+\.py:(\d+)", r"at line \1 of its cell", where or "it does not answer")


def end_loop(runner: Portal, server: Server | None = None) -> None:
    """End a loop of ours, the server on it, and the learner's code that holds it."""
    if not runner.is_running:
        return
    if not free_loop(runner):
        runner.submit(_end_from_within, runner, server)
        return
    if server is not None:
        # Code that spins may begin to as its client goes, on each connection anew.
        closing = server.begin_close()
        deadline_s = time.monotonic() + 6.0
        while not closing.done() and time.monotonic() < deadline_s:
            if not free_loop(runner):
                runner.submit(_end_from_within, runner, server)
                return
            wait_for([closing], 0.1)
    with contextlib.suppress(LoopBlocked):
        runner.close()


def free_loop(runner: Portal) -> bool:
    """Free a loop from what spins on it; return whether it answers.

    An endless loop would keep a core busy until the kernel restarts. Python can throw an exception
    into another thread; it arrives with the next line of Python that runs there. A call of C, such
    as time.sleep(), ends when it does.
    """
    for _ in range(10):
        if runner.answers(0.1):
            return True
        if not _is_in_learners_code(runner):
            continue  # nobody holds it: a busy machine lets it wait
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(runner.thread_id or 0), ctypes.py_object(_Stopped)
        )
    return False


def _is_in_learners_code(runner: Portal) -> bool:
    frame = sys._current_frames().get(runner.thread_id or 0)
    while frame is not None and is_around(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None


async def _end_from_within(runner: Portal, server: Server | None) -> None:
    if server is not None:
        await asyncio.wrap_future(server.begin_close())
    await asyncio.to_thread(runner.close)  # a loop's own thread cannot wait for its end


def wait_for(futures: Iterable[Any], timeout_s: float) -> None:
    """Wait until futures are done, however they end, and at most so many seconds for all."""
    deadline = time.monotonic() + timeout_s
    for future in futures:
        with contextlib.suppress(Exception, asyncio.CancelledError):
            result_of(future, max(0.0, deadline - time.monotonic()))

"""How a plain thread waits: in slices, so that an interrupt gets through, and with a bound.

Its rule: no other file blocks a thread. A signal that comes while a thread goes to sleep on a lock
does not wake it (and on Windows none ever does): Python would see the interrupt only when the wait
is over. So nobody sleeps for longer than a slice without looking. A timeout of None and of
``math.inf`` both mean: without end.
"""

from __future__ import annotations

import concurrent.futures
import math
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol, TypeVar

__all__ = [
    "SLICE_S",
    "Waitable",
    "any_done_within",
    "deadline_after",
    "finite",
    "finite_times",
    "is_set_within",
    "join",
    "left_until",
    "pause",
    "result_of",
]

T = TypeVar("T")

SLICE_S = 0.2
_TIMES = ("open_timeout", "ping_interval", "ping_timeout", "close_timeout")


class Waitable(Protocol):
    """A ``threading.Event``, or what waits like one."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and say whether it has happened."""


def finite(timeout: float | None) -> float | None:
    """Return a timeout as asyncio and the clocks of the system take it: without end is None."""
    return None if timeout is None or timeout == math.inf else timeout


def finite_times(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keywords of websockets with :func:`finite` times."""
    return {name: finite(value) if name in _TIMES else value for name, value in kwargs.items()}


def deadline_after(timeout: float | None) -> float:
    """Return when a timeout that begins now is over, on the clock of ``time.monotonic()``."""
    return math.inf if timeout is None else time.monotonic() + timeout


def left_until(deadline_s: float) -> float:
    """Return the seconds left until a deadline: 0.0 at the least, ``inf`` where there is none."""
    return max(0.0, deadline_s - time.monotonic())


def _slices(timeout: float | None) -> Iterator[float]:
    """Yield for how long to wait at a time, in seconds, until the time is up; once at the least."""
    deadline_s = deadline_after(timeout)
    while True:
        left_s = left_until(deadline_s)
        yield min(left_s, SLICE_S)
        if left_s <= SLICE_S:
            return


def pause(block: Callable[..., T], at_most_s: float = math.inf) -> T:
    """Block for one slice at the most, where whoever waits looks again in a loop.

    An interrupt may lose what ``block`` returns: where that matters, let it be a mere sign.

    Args:
        block: blocks until it is worth looking again or its ``timeout`` has passed, as the ``wait``
            of an event, a condition or a process does, and the ``get`` of a queue.
        at_most_s: how long, in seconds.
    """
    return block(timeout=min(at_most_s, SLICE_S))


def result_of(
    future: concurrent.futures.Future[T], timeout: float | None, *, cancels: bool = False
) -> T:
    """Return a future's result.

    Args:
        future: what to wait for.
        timeout: seconds; None waits until it is done.
        cancels: cancel it where the time is up or an interrupt comes. What can't be cancelled any
            more is being done at this moment, and is waited for.

    Raises:
        TimeoutError: it was not done in time (``future.done()`` tells this from its own, unless it
            was cancelled).
    """
    try:
        for slice_s in _slices(timeout):
            try:
                return future.result(slice_s)
            except TimeoutError:
                if future.done():
                    return future.result()  # what was done in this instant, or its own error
        if cancels and not future.cancel():
            return result_of(future, None)
        raise TimeoutError
    except BaseException:
        if cancels:
            future.cancel()
        raise
    finally:
        del future  # its exception's traceback holds this frame: no cycle, so no garbage


def is_set_within(event: Waitable, timeout: float | None) -> bool:
    """Wait for an event; whether it came in time."""
    return any(event.wait(slice_s) for slice_s in _slices(timeout))


def any_done_within(
    futures: Collection[concurrent.futures.Future[Any]], timeout: float | None
) -> bool:
    """Wait for the first of several futures; whether one is done."""
    first = concurrent.futures.FIRST_COMPLETED
    return any(concurrent.futures.wait(futures, one, first).done for one in _slices(timeout))


def join(thread: Any, timeout: float | None) -> bool:
    """Wait for a thread to end; whether it has."""
    for slice_s in _slices(timeout):
        thread.join(slice_s)
        if not thread.is_alive():
            return True
    return False

"""How a plain thread waits: in slices, so that an interrupt gets through, and with a bound.

A signal that comes while a thread goes to sleep on a lock does not wake it (and on Windows none
ever does): Python would see the interrupt only when the wait is over. So nobody sleeps for longer
than a slice without looking. A timeout of None and of ``math.inf`` both mean: without end.
"""

from __future__ import annotations

import concurrent.futures
import math
import time
from collections.abc import Collection, Iterator
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
    "result_of",
    "slices",
]

T = TypeVar("T")

SLICE_S = 0.2
_TIMES = ("open_timeout", "ping_interval", "ping_timeout", "close_timeout")


class Waitable(Protocol):
    """A ``threading.Event``, or what waits like one."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and say whether it has happened."""
        ...


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


def slices(timeout: float | None) -> Iterator[float]:
    """Yield for how long to wait at a time, in seconds, until the time is up; once at the least."""
    deadline_s = deadline_after(timeout)
    while True:
        left_s = left_until(deadline_s)
        yield min(left_s, SLICE_S)
        if left_s <= SLICE_S:
            return


def result_of(future: concurrent.futures.Future[T], timeout: float | None) -> T:
    """Return a future's result.

    Args:
        future: what to wait for.
        timeout: seconds; None waits until it is done.

    Raises:
        TimeoutError: it was not done in time (``future.done()`` tells this from its own).
    """
    try:
        for slice_s in slices(timeout):
            try:
                return future.result(slice_s)
            except TimeoutError:
                if future.done():
                    return future.result()  # what was done in this instant, or its own error
        raise TimeoutError
    finally:
        del future  # its exception's traceback holds this frame: no cycle, so no garbage


def is_set_within(event: Waitable, timeout: float | None) -> bool:
    """Wait for an event; whether it came in time."""
    return any(event.wait(slice_s) for slice_s in slices(timeout))


def any_done_within(
    futures: Collection[concurrent.futures.Future[Any]], timeout: float | None
) -> bool:
    """Wait for the first of several futures; whether one is done."""
    first = concurrent.futures.FIRST_COMPLETED
    return any(concurrent.futures.wait(futures, one, first).done for one in slices(timeout))


def join(thread: Any, timeout: float | None) -> bool:
    """Wait for a thread to end; whether it has."""
    for slice_s in slices(timeout):
        thread.join(slice_s)
        if not thread.is_alive():
            return True
    return False

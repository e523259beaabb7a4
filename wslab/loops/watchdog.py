"""Who held an event loop, when, and for how long.

A loop that is held answers nobody: no message, no ping, no other client. Its rule: it costs
nothing while nobody watches, and two clock readings a step of a handler otherwise. A handler's own
steps are timed, so that it can be named; a pulse four times a second notices everything else. It
owns neither loops nor threads: the portals hand them in.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import linecache
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar, cast

from ..calls.waiting import is_set_within

__all__ = ["Blockage", "Watchdog", "describe_frame", "runs_within", "timed"]

T = TypeVar("T")

ANSWER_S = 0.25  # how long a loop that is free may take to say so
PULSE_S = 0.25  # how often a watched loop shows that it is alive
BLOCKED_S = 0.25  # a loop held for longer than this is remembered


@dataclass(frozen=True, slots=True)
class Blockage:
    """A stretch of time in which one step held the event loop and nothing else on it ran.

    ``began_s`` is on the clock of ``time.monotonic()``. ``culprit`` names who held the loop, as
    far as it is known.
    """

    began_s: float
    duration_s: float
    culprit: str


class Watchdog:
    """The record of one loop's blockages, and the pulse that notices them.

    Args:
        culprit: what to name for a blockage that no handler has reported.
    """

    def __init__(self, culprit: str = "something on the event loop") -> None:
        self.blockages: collections.deque[Blockage] = collections.deque(maxlen=50)
        self._culprit = culprit
        self.watchers = 0
        self._pulse: asyncio.TimerHandle | None = None
        self._beat_s = 0.0

    def report(self, began_s: float, duration_s: float, culprit: str) -> None:
        """Remember that ``culprit`` held the loop; called on the loop itself."""
        self.blockages.append(Blockage(began_s, duration_s, culprit))

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count one more thing that wants blockages noticed; called on the loop."""
        self.watchers += 1
        if self._pulse is None:
            self._beat_s = time.monotonic()
            self._pulse = loop.call_later(PULSE_S, self._beat, loop)

    def unwatch(self) -> None:
        """Count one less; the pulse stops with the last. Called on the loop."""
        self.watchers -= 1
        if self.watchers <= 0 and self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None
            self.watchers = 0

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        began = self._beat_s
        unnamed_s = now - began - PULSE_S
        if unnamed_s > BLOCKED_S:
            # A timed handler has reported its own blockage with its name; don't say it twice.
            for blockage in self.blockages:
                unnamed_s -= max(
                    0.0, blockage.began_s + blockage.duration_s - max(blockage.began_s, began)
                )
        if unnamed_s > BLOCKED_S:
            self.report(now - unnamed_s, unnamed_s, self._culprit)
        self._beat_s = now
        self._pulse = loop.call_later(PULSE_S, self._beat, loop)


class timed(Awaitable[T]):
    """Await ``coroutine``, reporting each of its steps that holds the loop for too long.

    Args:
        coroutine: not yet started.
        report: called on the loop with when the step began (monotonic, seconds) and how long it
            took (seconds).
    """

    __slots__ = ("_coroutine", "_report")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], report: Callable[[float, float], None]
    ) -> None:
        self._coroutine = coroutine
        self._report = report

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, clock = self._coroutine, time.monotonic
        value: Any = None
        failure: BaseException | None = None
        while True:
            began = clock()
            try:
                step = coroutine.send(value) if failure is None else coroutine.throw(failure)
            except StopIteration as stop:
                return cast("T", stop.value)
            finally:
                # Emptied here: an exception on its way out holds this frame in its traceback.
                value = failure = None
                took = clock() - began
                if took > BLOCKED_S:
                    self._report(began, took)
            try:
                value = yield step
                step = None  # a future that has failed holds a traceback, and that this frame
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as exc:
                failure, step = exc, None


def describe_frame(frame: FrameType | None) -> str | None:
    """``name (file:line: source)`` of the innermost frame that is not Python's own machinery."""
    here = os.path.dirname(__file__)
    inner = frame
    while inner is not None:
        file = inner.f_code.co_filename
        library = os.path.dirname(asyncio.__file__)
        if not file.startswith((library, os.path.dirname(library), "<frozen")):
            break
        inner = inner.f_back
    inner = inner or frame
    if inner is None or os.path.dirname(inner.f_code.co_filename) == here:
        return None
    source = linecache.getline(inner.f_code.co_filename, inner.f_lineno).strip()
    where = f"{os.path.basename(inner.f_code.co_filename)}:{inner.f_lineno}"
    return f"{inner.f_code.co_name}() at {where}" + (f" `{source}`" if source else "")


def runs_within(loop: asyncio.AbstractEventLoop, within_s: float) -> bool:
    """Whether the loop of another thread runs a callback within so many seconds."""
    has_run = threading.Event()
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(has_run.set)
        return is_set_within(has_run, within_s)
    return False

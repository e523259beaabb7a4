"""The time that an examination may take, and how a check that hangs is given up.

Its rule: nothing waits without a bound and nothing stays behind, so each check runs on a spare
thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from ..calls.waiting import result_of
from ..errors import LoopBlocked
from ..failures import in_words
from ..loops import portals
from ..loops.portal import Portal

__all__ = ["Budget", "NoAnswer", "short"]


class NoAnswer(Exception):
    """A check did not end within its bound and was given up."""


class Budget:
    """What is left of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._deadline_s = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._deadline_s - time.monotonic()

    def ask(
        self, check: Callable[[], Any], within_s: float, undo: Callable[[Any], object] | None = None
    ) -> Any:
        """Return ``check()``, run on a spare thread (or its loop, where it is a coroutine's).

        Args:
            check: what may hang.
            within_s: how long it may take, in seconds.
            undo: called with what ``check`` returns after it was given up.

        Raises:
            NoAnswer: it took longer.
        """
        within_s = max(0.0, min(within_s, self.left_s))
        worker = Portal("wslab doctor")
        gave_up = False
        try:
            future = worker.submit(check)
            try:
                return result_of(future, within_s)
            except TimeoutError:
                if future.done():
                    raise  # the check's own
                gave_up = True
                if undo is not None:
                    future.add_done_callback(lambda late: _undo_late(late, undo))
                raise NoAnswer(f"no answer within {within_s:.1f} s{_held()}") from None
        finally:
            with contextlib.suppress(LoopBlocked):
                worker.close(0.0 if gave_up else 1.0)


def _undo_late(late: Any, undo: Callable[[Any], object]) -> None:
    if not late.cancelled() and late.exception() is None:
        undo(late.result())


def short(exc: BaseException) -> str:
    """Say in one line what a check raised."""
    return str(exc) if isinstance(exc, NoAnswer) else in_words(exc)


def _held() -> str:
    lab = portals.lab()
    return f"; {lab.held_by()}" if lab.is_running and not lab.answers() else ""

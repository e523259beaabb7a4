"""When an identity ends: a moment of the wall clock, watched on the loop.

Its rule: it tells once, and never early, also where the clock has been set back meanwhile. What
happens then is for whoever asked to be told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["Expiry"]

MAX_SLEEP_S = 3600.0  # after which the clock is read again: it may have been set


class Expiry:
    """One watch; on its loop only.

    Args:
        ended: called when the moment has come.
    """

    __slots__ = ("_at", "_ended", "_timer")

    def __init__(self, ended: Callable[[], object]) -> None:
        self._ended = ended
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def at(self) -> float | None:
        """When it tells, in seconds since the epoch; None for never."""
        return self._at

    @at.setter
    def at(self, at: float | None) -> None:
        self.cancel()
        self._at = at
        if at is not None:
            delay_s = min(max(at - time.time(), 0.0), MAX_SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._at is not None and time.time() < self._at:
            self.at = self._at
        else:
            self._ended()

    def cancel(self) -> None:
        """Watch no more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""The one flusher: it brings every view that somebody looks at up to date, ten times a second.

Its rule: one tick for all views of the process, on the lab's loop and with no thread of its own;
a view that nobody looks at costs nothing, and one that fails is switched off and shows why. A view
may read whatever it wants to show but may not wait: it would hold every server. What a view is,
and how it reaches the browser, is the view's affair.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import time
from typing import Any, Protocol

from ..loops import portals

__all__ = ["Flusher", "View", "unwatch", "watch"]

PERIOD_S = 0.1
# Jupyter's server drops what a kernel sends beyond 1 MB/s, and with it the output of cells.
BUDGET_BYTES_S = 300_000
SHARE = 0.05  # of the loop's time, at most
MAX_PAUSE_S = 3.0  # one tick may have paid for a garbage collection: the next is not put off for it


class View(Protocol):
    """What the flusher keeps up to date. All of it is called on the lab's loop."""

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks; a view that says no is let go, and comes back with `watch`."""

    def refresh(self) -> int:
        """Send what has changed since the last time; return about how many bytes that was."""

    def show_failure(self, exc: BaseException) -> None:
        """Show that `refresh` has raised and will not be called any more."""


class Flusher:
    """Refreshes views on the lab's loop for as long as there are any.

    Args:
        period_s: seconds from one tick to the next; longer where much is sent.
    """

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.period_s = period_s
        self.views: dict[int, View] = {}
        self._lock = threading.RLock()
        self._running: concurrent.futures.Future[Any] | None = None

    def watch(self, view: View) -> None:
        """Keep a view up to date from now on; from any thread, idempotent."""
        with self._lock:
            self.views[id(view)] = view
            if self._running is None or self._running.done():
                # In an empty context: what is sent from here is no answer to the message, or part
                # of the cell, that happened to come first.
                self._running = contextvars.Context().run(portals.lab().submit, self._run)

    def unwatch(self, view: View) -> None:
        """Let a view go; from any thread, idempotent."""
        with self._lock:
            self.views.pop(id(view), None)

    def forget(self) -> None:
        """Start afresh in a forked process: the loop and its views live in the parent."""
        self._lock = threading.RLock()
        self.views.clear()
        self._running = None

    def flush(self) -> int:
        """Refresh every view that is watched once; return about how many bytes were sent."""
        sent_bytes = 0
        for view in tuple(self.views.values()):
            try:
                if view.is_watched:
                    sent_bytes += view.refresh()
                else:
                    self.unwatch(view)
            except Exception as exc:
                self.unwatch(view)
                with contextlib.suppress(Exception):  # it could not even say so
                    view.show_failure(exc)
        return sent_bytes

    async def _run(self) -> None:
        try:
            while True:
                # Of this thread's own time: on a machine that is busy with other things a longer
                # pause would help nobody, and leave the more to be done in the next tick.
                began_s = time.thread_time()
                sent_bytes = self.flush()
                took_s = time.thread_time() - began_s
                with self._lock:
                    if not self.views:
                        self._running = None
                        return
                owed_s = min(took_s / SHARE, MAX_PAUSE_S)
                await asyncio.sleep(max(self.period_s, sent_bytes / BUDGET_BYTES_S, owed_s))
        except asyncio.CancelledError:
            self.flush()  # the lab is shutting down: let the views show how it ended
            raise


_flusher = Flusher()
watch = _flusher.watch
unwatch = _flusher.unwatch

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_flusher.forget)

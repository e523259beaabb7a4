"""Crossing: one call that goes to another thread's event loop, and its result that comes back.

Its rule: what crosses is a *callable*, which is called inside the loop, because what websockets
builds belongs to the loop in which it was built. However the wait for it ends, by a timeout or an
interrupt, whoever cancels it cancels the work. Whose loop it is, is not known here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from ..errors import PortalClosed, WrongThread
from .calling import running_loop
from .waiting import result_of

__all__ = ["Crossing"]


class Crossing(concurrent.futures.Future[Any]):
    """A future on this side, and the task on the loop's side that fills it.

    Args:
        loop: where the work runs.
        ended: returns how to tell that the loop has ended; None while it has not.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[], PortalClosed | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        # Done when the task has ended, its cleanup included.
        self._settled: concurrent.futures.Future[None] = concurrent.futures.Future()

    # On any thread.

    def send(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Have ``func(*args)`` called on the loop, and await what it returns if that can be.

        Where the loop never comes to it, no coroutine is left behind that nobody awaits.

        Raises:
            RuntimeError: the loop is closed; PortalClosed, if ``ended`` says so.
        """
        try:
            self._loop.call_soon_threadsafe(self._start, func, args)
        except RuntimeError:
            self.cancel()
            ended = self._ended()
            if ended is None:
                raise
            raise ended from None

    def cancel(self) -> bool:
        """Cancel the work; whether it had not ended yet."""
        if self.cancelled():  # a second time would strike the cleanup
            return True
        if not super().cancel():
            return False
        try:
            self._loop.call_soon_threadsafe(self._cancel_task)
        except RuntimeError:  # the loop has ended, and the task with it
            self._settle()
        return True

    def end_with(self, exc: BaseException | None) -> None:
        """End with that exception, or as cancelled; unless it has ended already."""
        if exc is None:
            super().cancel()
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self.set_exception(exc)
        self._settle()

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, as any future does.

        Raises:
            WrongThread: the wait for it would hold the very loop that it needs.
        """
        try:
            if timeout != 0 and not self.done() and running_loop() is self._loop:
                raise WrongThread(
                    "a wait for the result was made on the thread of the loop that works on it, "
                    "where it would never come. In async code await asyncio.wrap_future(...) of it"
                )
            return super().result(timeout)
        finally:
            del self  # an exception's traceback holds this frame: no cycle, so no garbage

    def settles_within(self, timeout: float) -> bool:
        """Wait until the task has ended, its cleanup included; whether it has in time."""
        with contextlib.suppress(TimeoutError):
            result_of(self._settled, timeout)
        return self._settled.done()

    # On the loop.

    def _start(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        ended = self._ended()
        if ended is not None:
            self.end_with(ended)
        elif self.cancelled():
            self._settle()
        else:
            self._task = self._loop.create_task(self._fill(func, args))

    async def _fill(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            if self.cancelled():  # after _start(), while something else held the loop
                self._settle()
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
            self._settle()
        finally:
            del self  # an exception's traceback holds this frame: no cycle, so no garbage

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _settle(self) -> None:
        self._task = None
        if not self._settled.done():
            if self.cancelled():  # so that concurrent.futures.wait() takes it for done
                self.set_running_or_notify_cancel()
            self._settled.set_result(None)

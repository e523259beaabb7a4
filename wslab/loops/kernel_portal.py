"""KernelPortal: the notebook's own event loop, nested so that a cell can wait on it.

What runs here gets no turn while a cell runs that does not await. That is what lesson 04 shows;
everything else uses the lab's loop. Its rule: on the loop's own thread a wait nests instead of
refusing. Whether the loop can be nested has been found out before.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..calls.crossing import Crossing
from ..calls.waiting import finite
from ..errors import PortalClosed
from .call import call
from .fork import ForkGuard
from .watchdog import ANSWER_S, Watchdog, describe_frame, runs_within

__all__ = ["KernelPortal"]


class KernelPortal:
    """The portal to the kernel's loop, used like :class:`Portal`; its loop is Jupyter's to end."""

    label = "the kernel's loop"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.fork = ForkGuard(self.label)
        self.watchdog = Watchdog(
            "a cell that ran without awaiting (the server shares the kernel's loop)"
        )
        # Whoever asks first may be a widget's callback on another thread.
        self.thread_id = threading.main_thread().ident or 0

    @property
    def is_running(self) -> bool:
        """Whether the kernel's loop runs (it no longer does while the interpreter exits)."""
        return self.loop.is_running()

    def submit(self, func: Callable[..., Any], *args: Any) -> Crossing:
        """See :meth:`Portal.submit`; the future's ``result()`` nests on the loop's own thread."""
        future = _NestedCrossing(self.loop, self.thread_id)
        future.send(func, args)
        return future

    def call(self, func: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """See :meth:`Portal.call`; on the loop's own thread it nests instead of refusing."""
        return call(_NestedCrossing(self.loop, self.thread_id), self, func, args, timeout)

    def answers(self, within_s: float = ANSWER_S) -> bool:
        """Whether the loop could run a callback now: not while this very cell holds it."""
        return threading.get_ident() == self.thread_id or runs_within(self.loop, within_s)

    def held_by(self) -> str:
        """Say in words what the loop's thread is executing at this moment."""
        where = describe_frame(sys._current_frames().get(self.thread_id))
        return (
            f"the kernel's loop is held by {where or 'a running cell'}: it gets no turn while a "
            "cell runs that does not await"
        )

    def __repr__(self) -> str:
        return "<KernelPortal>"


class _NestedCrossing(Crossing):
    """A crossing to the kernel's loop: whoever waits for it on that loop's thread runs the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        super().__init__(
            loop, lambda: PortalClosed("the kernel's loop has ended") if loop.is_closed() else None
        )
        self._thread_id = thread_id

    def result(self, timeout: float | None = None) -> Any:
        """Return the result; on the loop's own thread, run the loop until it is there."""
        return super().result(self._nest_until(self, timeout))

    def settles_within(self, timeout: float) -> bool:
        return super().settles_within(self._nest_until(self._settled, timeout) or 0)

    def _nest_until(
        self, future: concurrent.futures.Future[Any], timeout: float | None
    ) -> float | None:
        """Run the loop until ``future`` is done, where it is ours; how long to wait after that."""
        if future.done() or threading.get_ident() != self._thread_id:
            return timeout
        loop = self._loop

        async def until_done() -> None:
            done = asyncio.Event()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(finite(timeout)):
                    await done.wait()

        task = loop.create_task(until_done())
        try:
            loop.run_until_complete(task)
        finally:
            task.cancel()  # where an interrupt came in between
        return 0

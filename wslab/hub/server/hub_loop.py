"""The loop that a hub runs on, and how whoever is elsewhere has something done there.

Its rule: any thread may ask, and the loop does it, so that nothing is seen half done. While no loop
is the hub's, nobody is connected, and whoever asks does it himself, under a lock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ...calls.calling import running_loop
from ...calls.crossing import Crossing
from ...calls.waiting import result_of
from ...errors import ClientGone, LoopBlocked, WrongThread

__all__ = ["HubLoop"]

OFF_LOOP_TIMEOUT_S = 5.0  # for the loop to take up what another thread asks of it


class HubLoop:
    """A hub's loop, once it has one.

    Args:
        name: the hub's, for what goes wrong.

    Attributes:
        lock: held while something is done that must not be seen half done.
        tasks: what the hub has started, and still runs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id: int | None = None
        self.lock = threading.RLock()
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_running_one(self) -> bool:
        """Whether the caller is on this loop."""
        return self._loop is asyncio.get_running_loop()

    def take(self, *, is_in_use: bool) -> None:
        """Make the running loop the hub's.

        Raises:
            RuntimeError: it serves clients on another one.
        """
        if is_in_use and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                f"hub {self._name!r} serves clients on one event loop, and a client came on "
                "another: give each loop a Hub of its own"
            )
        self._loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside whatever runs."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function on the loop, from any thread, and return what it returned.

        Raises:
            LoopBlocked: the loop did not take it up in time.
        """
        if self._thread_id == threading.get_ident():
            return function(*args)
        with self.lock:
            loop = self._loop
            if loop is None or loop.is_closed():  # nobody is connected
                return function(*args)
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(function(*args))
                except BaseException as exc:
                    done.set_exception(exc)

        try:
            loop.call_soon_threadsafe(run)
        except RuntimeError:  # it was closed at this moment
            return self.run(function, *args)
        try:
            return result_of(done, OFF_LOOP_TIMEOUT_S, cancels=True)
        except TimeoutError:
            if not done.cancelled():
                raise  # the function's own
            raise LoopBlocked(
                f"hub {self._name!r} could not do it within {OFF_LOOP_TIMEOUT_S:g} s: something "
                "holds its event loop. It has been taken back"
            ) from None

    def ask(self, ask: Callable[[], Coroutine[Any, Any, Any]], timeout: float | None) -> Any:
        """Have an ``async def`` run on the loop, from wherever this was called.

        Args:
            ask: the function.
            timeout: seconds that it takes at most; None for any time.

        Returns:
            On a thread whose loop runs, something to await; elsewhere, what it returned.
        """
        here = running_loop()
        if here is not None and (here is self._loop or self._loop is None):
            return ask()
        if self._loop is None:
            raise WrongThread(
                f"hub {self._name!r} serves nobody yet, so it has no event loop to do this on, and "
                "this thread runs none: await it in an `async def`"
            )
        if here is None and self._thread_id == threading.get_ident():
            raise WrongThread(
                "client.call() was called on the thread of the hub's own loop, which does not run "
                "now: the answer could not come. Await it in an `async def`"
            )
        gone = f"hub {self._name!r} runs no more: its event loop was closed"
        try:
            answer = Crossing(self._loop)
            answer.send(ask, ())
        except RuntimeError:
            raise ClientGone(gone) from None
        if here is not None:
            return asyncio.wrap_future(answer)
        try:
            bound_s = None if timeout is None else timeout + OFF_LOOP_TIMEOUT_S
            return result_of(answer, bound_s, cancels=True)
        except concurrent.futures.CancelledError:
            raise ClientGone(gone) from None
        except TimeoutError:
            if not answer.cancelled():
                raise  # its own: the client did not answer
            raise LoopBlocked(
                f"hub {self._name!r} could not ask within {timeout:g} s: something holds its event "
                "loop. The question has been taken back"
            ) from None

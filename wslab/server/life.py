"""The life of a server: held back, serving, stopping, stopped, or that of another process.

Its rule: it may be changed from any thread, one change at a time, and a call that is refused has
not half happened. What a change consists of is handed in with the call and not kept, so that a
server which nobody uses any more is freed at once.
"""

from __future__ import annotations

import concurrent.futures
import enum
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..calls.waiting import result_of
from ..errors import LoopBlocked, PortalClosed, WrongThread
from ..loops.kernel_portal import KernelPortal
from ..loops.portal import Portal

__all__ = ["Life", "State"]

START_TIMEOUT_S = 10.0


class State(enum.Enum):
    """The states of a server, each with how its repr says it."""

    HELD_BACK = "{name!r} at {url}, not serving yet: start_serving()"
    SERVING = "{name!r} at {url}, {people}{errors}"
    STOPPING = "{name!r}, stopping, was at {url}"
    STOPPED = "{name!r}, stopped, was at {url}"
    FORKED = "{name!r} at {url}, of the parent process"


class Listening(Protocol):
    """What listens, or does not: for a handler or for an application."""

    @property
    def server(self) -> Any:
        """What listens, while something does."""


class Life:
    """Starts and stops one server.

    Args:
        runner: whose loop it runs on.
        listener: what listens, or does not.

    Attributes:
        lock: held during a change; take it to make several at once.
    """

    def __init__(self, runner: Portal | KernelPortal, listener: Listening) -> None:
        self.lock = threading.RLock()
        self._runner = runner
        self._listener = listener
        self._stopping: concurrent.futures.Future[None] | None = None

    @property
    def state(self) -> State:
        """Where it is in its life."""
        if self._runner.fork.is_child:  # it has closed its copies of the sockets
            return State.FORKED
        if self._stopping is not None:
            return State.STOPPED if self._stopping.done() else State.STOPPING
        if self._listener.server is None:
            return State.STOPPED
        return State.SERVING if self._listener.server.is_serving() else State.HELD_BACK

    def start(self, opening: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin to listen, which ``opening`` does on the loop, and wait for that."""
        with self.lock:
            self._stopping = None
            self._runner.call(opening, timeout=START_TIMEOUT_S)

    def start_serving(self) -> None:
        """Begin to accept connections, where it was held back.

        Raises:
            PortalClosed: it has been stopped.
        """
        self._runner.fork.refuse("server.start_serving()")
        with self.lock:
            server = self._listener.server
            if server is None or self._stopping is not None:
                raise PortalClosed("the server has been stopped; server.restart() starts it again")
            self._runner.call(server.start_serving, timeout=START_TIMEOUT_S)

    def begin_close(
        self, closing: Callable[[], Coroutine[Any, Any, None]], closed: Callable[[], None]
    ) -> concurrent.futures.Future[None]:
        """Begin to stop; the future is done when the port is free.

        Args:
            closing: frees it; called on the loop.
            closed: called when it has ended, however it did.
        """

        async def close() -> None:
            try:
                await closing()
            finally:
                closed()  # here, not in a callback: those run after result() has returned

        with self.lock:
            if self._stopping is None:
                if self._listener.server is None:
                    self._stopping = concurrent.futures.Future()
                    self._stopping.set_result(None)
                    closed()
                else:
                    self._stopping = self._runner.submit(close)
            return self._stopping

    def finish(
        self, stopping: concurrent.futures.Future[None], timeout: float | None, *, name: str
    ) -> None:
        """Wait until what `begin_close` has begun is done.

        Raises:
            LoopBlocked: something holds the loop; it names what.
            TimeoutError: it takes longer for another reason.
        """
        try:
            result_of(stopping, timeout)
        except (concurrent.futures.CancelledError, PortalClosed):
            return  # the loop has been closed, and everything on it
        except TimeoutError:
            if stopping.done():
                raise
            if self._runner.answers():
                raise TimeoutError(
                    f"server {name!r} did not stop within {timeout:g} s: a client does not "
                    "answer the close frame, or a handler does not end. It goes on stopping; "
                    "stop() again, or a longer timeout, waits for it"
                ) from None
            raise LoopBlocked(
                f"server {name!r} did not stop within {timeout:g} s, because "
                f"{self._runner.held_by()}. It stops as soon as its loop is free"
            ) from None

    def refuse_own_thread(self, what: str) -> None:
        """Refuse what would wait for itself, before anything of it has begun.

        Raises:
            WrongThread: this is the loop's own thread.
        """
        self._runner.fork.refuse(f"server.{what}()")
        if isinstance(self._runner, KernelPortal):
            return  # there it nests
        if threading.get_ident() == self._runner.thread_id and not (
            what == "stop" and self.state is State.STOPPED
        ):
            raise WrongThread(
                f"{what}() was called on the server's own loop, where it would wait for itself; in "
                f"a handler or other async code: `await asyncio.to_thread(server.{what})`"
            )

"""An application's lifespan: it is told when its server starts and when it stops (ASGI lifespan).

Its rule: an application that fails to start is not served, and one that knows nothing of lifespans
is. Both are the specification's. Both waits have a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .handler import Application

__all__ = ["Lifespan"]

STARTUP_S = 8.0  # within the time that serve() waits for a server to start
SHUTDOWN_S = 5.0


class Lifespan:
    """The lifespan of one application, while one server serves it; on the server's loop.

    Args:
        application: told of its start and its end in one call, which lasts as long.
        record: told what it lets through, where that keeps nobody from being served.

    Attributes:
        state: what it keeps for its requests, each of which gets a copy.
    """

    def __init__(self, application: Application, record: Callable[[BaseException], object]) -> None:
        self._application = application
        self._record = record
        self._task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._was_asked = False  # whether it has taken up an event
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Let it start.

        Raises:
            RuntimeError: it said that it can't, or did not say in time that it can.
        """
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        self._task = task = asyncio.ensure_future(self._live(scope))
        answer = await self._tell("startup", STARTUP_S)
        if answer is None and not task.done():
            await self._end()
            raise RuntimeError(
                f"expected the application to start within {STARTUP_S:g} s, and it has not said "
                "lifespan.startup.complete yet"
            )
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await asyncio.wait([task], timeout=1.0)
            cause = task.exception() if task.done() and not task.cancelled() else None
            await self._end()
            text = str(answer.get("message") or "").strip().rpartition("\n")[2]
            raise RuntimeError(
                f"the application could not start: {text or 'it gave no reason'}"
            ) from cause
        if answer is None:
            exc = task.exception()
            self._task = None
            # Whoever does not know lifespans raises at their scope; that is expected, and no error.
            if exc is not None and self._was_asked:
                self._record(exc)

    async def stop(self) -> None:
        """Let it end what it has started."""
        if self._task is None:
            return
        task = self._task
        answer = await self._tell("shutdown", SHUTDOWN_S)
        if answer is not None:
            await asyncio.wait([task], timeout=1.0)
        if not task.done() or task.cancelled():
            text = f"the application did not end its lifespan within {SHUTDOWN_S:g} s"
            self._record(RuntimeError(text))
        elif (exc := task.exception()) is not None:
            self._record(exc)
        elif answer is not None and answer["type"] == "lifespan.shutdown.failed":
            self._record(RuntimeError(f"its shutdown failed: {answer.get('message', '')}"))
        await self._end()

    async def _live(self, scope: dict[str, Any]) -> None:
        await self._application(scope, self._receive, self._answers.put)

    async def _receive(self) -> dict[str, Any]:
        event = await self._events.get()
        self._was_asked = True
        return event

    async def _tell(self, what: str, limit_s: float) -> dict[str, Any] | None:
        """Return what it answers; None where it has ended without a word, or goes on thinking."""
        assert self._task is not None
        self._events.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._answers.get())
        waiting = {answer, self._task}
        await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)

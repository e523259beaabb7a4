"""Events that wait for their handlers, and the one handler that runs.

Its rule: a handler never runs where it could hold the loop or another client (plain ones run on a
thread), one runs at a time, in the order in which the events came, and at most so many wait for it;
then the hub is slowed down. All of it is for the loop, but what says so.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import inspect
import time
from collections.abc import Iterable
from typing import Any, Protocol

from ...calls.calling import called, function_name, is_async
from ...calls.waiting import finite
from ...errors import Refused, is_cancelled
from ...failures import FailureLog, said_by
from ..protocol.client_events import EventReceived
from ..protocol.packets import encode_answer, encode_error
from . import event_failure
from .handlers import Handler, Handlers

__all__ = ["HandlerQueue"]

MAX_EVENTS = 1_000  # that wait for their handler; beyond it the hub is slowed down
MAX_EVENTS_BYTES = 4 * 2**20  # of them, as they came: as values, JSON takes up to 25 times as much
# Which queue's handler the code at hand was called from: it must not wait for itself.
_inside: contextvars.ContextVar[Any] = contextvars.ContextVar("wslab_handler_of", default=None)


class Answers(Protocol):
    """Where the answers to the hub's calls go."""

    def answer(self, text: str, binary: Iterable[bytes] = ()) -> None:
        """Send an answer, as :func:`packets.encode_answer` made it."""


class HandlerQueue:
    """The events of one client that are for handlers.

    Args:
        loop: on which they come.
        handlers: who handles them.
        answers: where answers go.
        errors: where it is recorded what handlers let through.

    Attributes:
        unhandled: events that had no handler, or were let go of at the end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handlers: Handlers,
        answers: Answers,
        errors: FailureLog,
    ) -> None:
        self.unhandled = 0
        self._loop = loop
        self._handlers = handlers
        self._answers = answers
        self._errors = errors
        self._events: collections.deque[EventReceived] = collections.deque()
        self._size_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._running: tuple[str, float] | None = None  # which handler runs, since when
        self._has_room: asyncio.Event | None = None  # there while somebody waits for room
        self._has_ended = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the events that wait, as they came."""
        return self._size_bytes

    # Room.

    @property
    def is_at_limit(self) -> bool:
        """Whether so many events wait for their handlers that no more should be read."""
        return len(self._events) >= MAX_EVENTS or self._size_bytes >= MAX_EVENTS_BYTES

    @property
    def is_twice_full(self) -> bool:
        """Whether twice as many wait: then no more are kept, although nobody slows the hub down."""
        count, size_bytes = len(self._events), self._size_bytes
        return count >= 2 * MAX_EVENTS or size_bytes >= 2 * MAX_EVENTS_BYTES

    def _is_over_half(self) -> bool:
        count, size_bytes = len(self._events), self._size_bytes
        return count > MAX_EVENTS // 2 or size_bytes > MAX_EVENTS_BYTES // 2

    async def room(self) -> None:
        """Wait until half of the events have been handled, or the connection has ended."""
        self._has_room = room = asyncio.Event()
        try:
            if self._is_over_half() and not self._has_ended:
                await room.wait()
        finally:
            self._has_room = None

    def wake(self) -> None:
        """End the wait for room."""
        if self._has_room is not None:
            self._has_room.set()

    def end(self) -> None:
        """Note that no more will come: nobody waits for room any more."""
        self._has_ended = True
        self.wake()

    # Handling.

    def put(self, event: EventReceived) -> None:
        """Let an event be handled in its turn."""
        if self._handlers.of(event.event)[0] is None:
            self._refuse(event)
            return
        self._events.append(event)
        self._size_bytes += _bytes_of(event)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work(), context=contextvars.Context())

    def _refuse(self, event: EventReceived) -> None:
        self.unhandled += 1
        if event.id is not None:
            known = ", ".join(map(repr, self._handlers.names[:8])) or "none"
            why = f"nobody handles {event.event!r:.60} here; there are {known}"
            self._answers.answer(encode_error("unknown-event", why, answer=event.id))

    async def _work(self) -> None:
        try:
            while self._events:
                event = self._events.popleft()
                self._size_bytes -= _bytes_of(event)
                if not self._is_over_half():
                    self.wake()
                handler, args = self._handlers.of(event.event)
                if handler is None:  # taken out meanwhile
                    self.unhandled += 1
                    continue
                self._running = (event.event, time.monotonic())
                try:
                    await self._handle(event, handler, (*args, event.data))
                finally:
                    self._running = None
        finally:
            self._worker = None

    async def _handle(self, event: EventReceived, handler: Handler, args: tuple[Any, ...]) -> None:
        try:
            result = await self._run(handler, args)
            answer = encode_answer(event.id, result) if event.id is not None else None
        except BaseException as exc:  # SystemExit in a handler must not end the loop
            if is_cancelled(exc):
                raise
            self._failed(event, exc, function_name(handler.func))
        else:
            if answer is not None:
                self._answers.answer(*answer)

    async def _run(self, handler: Handler, args: tuple[Any, ...]) -> Any:
        context = handler.context.copy()
        context.run(_inside.set, self)
        if is_async(handler.func):
            # A task of its own: it has the context of the cell that registered it.
            task = self._loop.create_task(_awaited(handler.func(*args)), context=context)
            try:
                return _result(await task)
            finally:
                if not task.done():
                    task.cancel()
        result = await self._loop.run_in_executor(None, context.run, called, handler.func, *args)
        if inspect.isawaitable(result):  # of a lambda, say
            return _result(await self._loop.create_task(_awaited(result), context=context))
        return result

    def _failed(self, event: EventReceived, exc: BaseException, where: str) -> None:
        if isinstance(exc, Refused):
            code, message = "refused", said_by(exc)
        else:
            failure = event_failure.raised(exc, where, event.event)
            self._errors.append(failure)
            code, message = "failed", failure.summary
        if event.id is not None:
            self._answers.answer(encode_error(code, message, answer=event.id))

    # The end.

    @property
    def is_busy(self) -> bool:
        """Whether a handler runs, or events wait for one."""
        return self._worker is not None

    @property
    def is_inside(self) -> bool:
        """Whether the code at hand was called by one of these handlers; on any thread."""
        return _inside.get() is self

    async def finish(self, timeout: float) -> None:
        """Let the handlers come to their end, and cut off what takes longer (seconds)."""
        worker = self._worker
        if worker is None:
            return
        if timeout > 0:
            await asyncio.wait([worker], timeout=finite(timeout))
        if not worker.done():
            self.unhandled += len(self._events)
            self._events.clear()
            self._size_bytes = 0
            worker.cancel()
            if asyncio.current_task() is not worker:
                await asyncio.wait([worker], timeout=1.0)

    def held_back(self) -> str:
        """Say in words what holds events and answers back, if handlers do; else nothing."""
        running, waiting = self._running, len(self._events)
        if running is None:
            return ""
        event, since_s = running
        ran = f"which has run for {time.monotonic() - since_s:.1f} s"
        if not self.is_at_limit:
            return (
                f"; it has a handler of {event!r} at work, {ran}: should the Hub wait for its "
                "answer, it takes nothing else of this client meanwhile"
            )
        return (
            f"; {waiting:,} events wait for the handler of {event!r}, {ran}, and hold back what "
            "comes after them"
        )


def _bytes_of(event: EventReceived) -> int:
    return sum(map(len, event.messages))


async def _awaited(awaitable: Any) -> tuple[Any, BaseException | None]:
    try:
        return await awaitable, None
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
        # Out of a task the first two would go to the loop; the last would close who awaits it.
        return None, exc


def _result(outcome: tuple[Any, BaseException | None]) -> Any:
    result, exc = outcome
    if exc is not None:
        raise exc
    return result

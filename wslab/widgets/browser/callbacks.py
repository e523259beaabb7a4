"""Callbacks: a Browser's listeners, called with its events one after the other, in order.

Its rule: one thread calls at a time, whichever came first; who comes meanwhile leaves the events to
it. What waits to be called with is bounded; what was passed over is counted, and a note says so.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ...failures import Failure, FailureLog
from ...notebook import owners
from .record import BrowserEvent, EventLog, kept_bytes

__all__ = ["Callbacks"]

MAX_WAITING = 10_000  # events that wait for callbacks, and at most so many bytes of them:
MAX_WAITING_BYTES = 8 * 2**20
MAX_ERRORS = 50

C = TypeVar("C", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Listener:
    callback: Callable[..., Any]
    socket: int | None  # None hears every event of every socket
    owner: owners.Owner | None


class Callbacks:
    """Functions to be called with what happens.

    Args:
        record: where the note goes that some events were passed over.
        lock: held by whoever calls :meth:`put`.
        on_error: called after a callback has raised.
    """

    def __init__(
        self, record: EventLog, lock: threading.RLock, on_error: Callable[[], None]
    ) -> None:
        self.errors = FailureLog(MAX_ERRORS)
        self.passed_over = 0  # events that callbacks never heard of: they are too slow
        self.waiting_bytes = 0
        self.is_calling = False
        self._record, self._lock, self._on_error = record, lock, on_error
        self._listeners: list[_Listener] = []
        self._waiting: deque[BrowserEvent] = deque()
        self._passed_over = 0  # and not yet said

    @property
    def waiting(self) -> int:
        """How many events callbacks are still to be called with."""
        return len(self._waiting)

    def add(self, callback: C, socket: int | None) -> C:
        """Call it from now on; what an earlier run of this cell registered goes.

        Args:
            callback: a plain function of one argument.
            socket: whose messages it hears; None: it hears every event of every socket.

        Raises:
            TypeError: not callable, or an ``async def``.
        """
        if not callable(callback):
            raise TypeError(f"expected a function, got {callback!r}")
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"expected a plain function, got the async def {callback.__qualname__}: callbacks "
                "are called, and nobody would await what that returns"
            )
        owner = owners.current_owner()
        with self._lock:
            kept = [
                one
                for one in self._listeners
                if not (
                    (one.callback == callback and one.socket == socket)
                    or _is_earlier_run(one.owner, owner)
                )
            ]
            self._listeners = [*kept, _Listener(callback, socket, owner)]
        return callback

    def remove(self, callback: Callable[..., Any]) -> None:
        """Call it no longer; idempotent."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one.callback != callback]

    def put(self, event: BrowserEvent) -> None:
        """Put an event in line for them, under the lock."""
        if self._listeners:
            self._waiting.append(event)
            self.waiting_bytes += kept_bytes(event)
        while len(self._waiting) > MAX_WAITING or self.waiting_bytes > MAX_WAITING_BYTES:
            self.waiting_bytes -= kept_bytes(self._waiting.popleft())
            self._passed_over += 1
            self.passed_over += 1

    def call(self) -> None:
        """Call them with what has happened; one thread at a time, in order."""
        with self._lock:
            if self.is_calling:
                return  # whoever does will do this, too
            self.is_calling = True
        try:
            while True:
                with self._lock:
                    event = self._next()
                    if event is None:
                        self.is_calling = False
                        return
                    listeners = tuple(self._listeners)
                for listener in listeners:
                    self._call(listener, event)
        except BaseException:
            self.is_calling = False
            raise

    def _next(self) -> BrowserEvent | None:
        if self._passed_over:
            text = f"{self._passed_over:,} events were passed over: the callbacks are too slow"
            self._passed_over = 0
            return self._record.add(time.time(), {"type": "note", "text": text})
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        self.waiting_bytes -= kept_bytes(event)
        return event

    def _call(self, listener: _Listener, event: BrowserEvent) -> None:
        argument: Any = event
        if listener.socket is not None:
            if event.type != "message" or event.socket != listener.socket:
                return
            argument = event.data
        try:
            listener.callback(argument)
        except Exception as exc:
            name = getattr(listener.callback, "__qualname__", repr(listener.callback))
            self.errors.append(Failure.of(exc, where=name))
            self._on_error()


def _is_earlier_run(one: owners.Owner | None, now: owners.Owner | None) -> bool:
    return one is not None and now is not None and one.key == now.key and not one.is_run(now.run)

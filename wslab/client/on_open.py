"""Calls ``on_open`` of one client, once for each of its connections.

Its rule: one call at a time, each for one connection; when that has ended, whatever the function
still asks of its client raises ConnectionClosed, and the next opening begins afresh. So what is
subscribed to twice is never one connection. It knows neither cells nor how to connect.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed

from ..calls.calling import called, check_takes, function_name, is_async
from ..errors import is_cancelled

__all__ = ["OnOpen"]


@dataclass(slots=True, eq=False)
class _Call:
    owner: OnOpen
    nth: int  # of the client's connections
    is_at_work: bool = True  # what it has started, such as a handler, outlives it


# By which call the code at hand was called.
_inside: contextvars.ContextVar[_Call | None] = contextvars.ContextVar(
    "wslab_on_open", default=None
)


class OnOpen:
    """What is called on each opening of a client.

    Args:
        function: ``on_open``, plain or async.
        client: what it is called with.
        is_open: whether the client's connection is open.
        failed: told the exception and where, of a call that nobody waits for.

    Raises:
        TypeError: no function of one argument.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        client: Any,
        is_open: Callable[[], bool],
        failed: Callable[[BaseException, str], object],
    ) -> None:
        check_takes(function, 1, "on_open as a function of one argument, the client")
        self._function = function
        self._client = client
        self._is_open = is_open
        self._failed = failed
        self._nth = 0  # connections that have opened
        self._context = contextvars.copy_context()  # of its cell: what it prints lands there
        self._first: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_inside(self) -> bool:
        """Whether the code at hand was called by this."""
        call = _inside.get()
        return call is not None and call.owner is self and call.is_at_work

    @property
    def is_over(self) -> bool:
        """Whether the code at hand was called for a connection that has ended."""
        call = _inside.get()
        return call is not None and self.is_inside and self._has_ended(call.nth)

    def _has_ended(self, nth: int) -> bool:
        return nth != self._nth or not self._is_open()

    def first(self, call_on_loop: Callable[..., Any]) -> None:
        """Call it for the first opening, on the caller's own thread; raise what it raises.

        Args:
            call_on_loop: calls an ``async def`` on the client's loop, and waits for it.
        """
        context, call = self._entered(1)
        try:
            if is_async(self._function):
                call_on_loop(self._awaited, context, self._function, self._client)
                return
            result = context.run(called, self._function, self._client)
            if inspect.isawaitable(result):
                call_on_loop(self._awaited, context, lambda: result)
        except ConnectionClosed:
            if not self._has_ended(1):  # else the next opening, if there is one, calls it again
                raise
        finally:
            call.is_at_work = False
            self._first.set_result(None)

    # On the loop.

    def opened(self) -> None:
        """Note that a connection has opened; call the function, but for the first."""
        self._nth += 1
        if self._nth > 1:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._again(self._nth, self._task))

    async def _again(self, nth: int, before: asyncio.Task[None] | None) -> None:
        await asyncio.wait([before or asyncio.wrap_future(self._first)])
        if self._has_ended(nth):
            return
        context, call = self._entered(nth)
        loop = asyncio.get_running_loop()
        try:
            if is_async(self._function):
                await self._awaited(context, self._function, self._client)
                return
            result = await loop.run_in_executor(
                None, context.run, called, self._function, self._client
            )
            if inspect.isawaitable(result):
                await self._awaited(context, lambda: result)
        except BaseException as exc:  # SystemExit in it must not end the loop
            if is_cancelled(exc):
                raise
            if not (isinstance(exc, ConnectionClosed) and self._has_ended(nth)):
                self._failed(exc, f"on_open={function_name(self._function)}")
        finally:
            call.is_at_work = False

    def stop(self) -> None:
        """Call it no more, and cancel an async one that is at work."""
        if self._task is not None:
            self._task.cancel()

    def _entered(self, nth: int) -> tuple[contextvars.Context, _Call]:
        context, call = self._context.copy(), _Call(self, nth)
        context.run(_inside.set, call)
        return context, call

    @staticmethod
    async def _awaited(context: contextvars.Context, function: Any, *args: Any) -> None:
        # A task of its own has the context; what it raises must not reach the loop by itself.
        async def run() -> BaseException | None:
            try:
                await function(*args)
            except asyncio.CancelledError as exc:
                if is_cancelled(exc):
                    raise
                return exc
            except BaseException as exc:
                return exc
            return None

        task = asyncio.get_running_loop().create_task(run(), context=context)
        try:
            exc = await task
        finally:
            task.cancel()
        if exc is not None:
            raise exc

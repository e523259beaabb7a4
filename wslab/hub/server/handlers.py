"""The handlers of a hub's events, and how they run: so many at once, some of them on threads.

Its rule: an ``async def`` runs on the hub's loop, a plain ``def`` on a thread, where it can hold up
nobody; where they must wait for their turns, addresses have them one after another. A thread cannot
be cancelled, and what waits for one keeps its message in memory: so both count until they are over,
whoever has given them up. What a handler lets through is its caller's affair.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import inspect
import math
from collections.abc import Callable
from typing import Any

from ...calls.calling import called, check_takes, function_name, is_async, tell_replaced
from ...calls.waiting import finite
from ..protocol import packets
from ..protocol.reserved_events import for_hubs
from .delivery import Delivery
from .fair_turns import FairTurns
from .settings import HubSettings

__all__ = ["Handler", "Handlers"]

_ARGUMENTS = {
    "authenticate": ("credentials",),
    "connect": ("client",),
    "disconnect": ("client", "reason"),
    "member_lost": ("member",),
    "message": ("client", "message"),
    "*": ("client", "event", "data"),
}


_IN_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Handler:
    """A function that somebody registered, with its name and whether it is an ``async def``.

    Args:
        function: the function.
        arguments: how many it must take at least.
        example: of such a function.
        has_more: it may ask for more of them.

    Attributes:
        least, most: how many it takes beside the client.
    """

    __slots__ = ("function", "is_async", "least", "most", "name")

    def __init__(
        self, function: Callable[..., Any], arguments: int, example: str, *, has_more: bool
    ) -> None:
        least, most = _takes(function, arguments)
        check_takes(
            function,
            max(arguments, least) if has_more else arguments,
            f"a function such as `{example}`",
        )
        self.least, self.most = least - 1, most - 1
        self.name = function_name(function)
        self.function = function
        self.is_async = is_async(function)


def _takes(function: Any, arguments: int) -> tuple[int, float]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # no function, or a builtin without a signature
        return arguments, math.inf
    in_order = [each for each in parameters if each.kind in _IN_ORDER]
    has_all = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    least = sum(each.default is each.empty for each in in_order)
    return least, math.inf if has_all else len(in_order)


class Handlers:
    """One hub's handlers by event; they run on the hub's loop only.

    Args:
        settings: the hub's; its limits count.
        limited: counts, by the name of a limit, how often that has held.

    Attributes:
        by_event: the handlers.
    """

    def __init__(self, settings: HubSettings, limited: collections.Counter[str]) -> None:
        self._settings = settings
        self._limited = limited
        self.by_event: dict[str, Handler] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew, on another loop."""
        self._turns, self._threads = FairTurns(), FairTurns()

    @property
    def running(self) -> int:
        """How many are at work."""
        return self._turns.running

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._turns.waiting

    # Which there are.

    def check(self, event: str) -> None:
        """Refuse an event whose handler would never be called.

        Raises:
            TypeError, ValueError: not an event's name, or one that the hub keeps for itself.
        """
        packets.check_name(event)
        hint = for_hubs(event)
        if hint:
            raise ValueError(f"expected an event that clients emit, got {event!r}: {hint}")

    def register(self, event: str, function: Callable[..., Any]) -> None:
        """Take a function as an event's handler, in place of the one it had."""
        arguments = _ARGUMENTS.get(event, ("client", "data"))
        name = event if event.isidentifier() else "handler"
        example = f"async def {name}({', '.join(arguments)})"
        has_more = arguments[-1] == "data"
        handler = Handler(function, len(arguments), example, has_more=has_more)
        before = self.by_event.get(event)
        self.by_event[event] = handler
        tell_replaced(event, before and before.function, function, stacklevel=3)

    # How they run.

    async def run(
        self,
        handler: Handler,
        *args: Any,
        address: str = "",
        then: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a handler, when it is its turn, and return what it returned.

        Args:
            handler: the handler.
            args: what it is called with.
            address: for whom it works, who wait for their turns by address.
            then: called with what it returned, once its turn is over; of an emit, with how many
                that has reached.

        Raises:
            TimeoutError: it took longer than `Limits.handler_s`.
            BaseException: whatever it let through.
        """
        limits = self._settings.limits
        if not self._turns.take(limits.handlers):
            await self._turns.wait(address)
        try:
            if limits.handler_s is not None:
                result = await self._run_in_time(handler, limits.handler_s, address, *args)
            else:
                result = await self._call(handler, address, *args)
        finally:
            self._turns.end()
        if then is not None:
            then((await result).reached if isinstance(result, Delivery) else result)
        return result

    async def _run_in_time(
        self, handler: Handler, handler_s: float, address: str, *args: Any
    ) -> Any:
        bound = asyncio.timeout(finite(handler_s))
        try:
            async with bound:
                return await self._call(handler, address, *args)
        except TimeoutError:
            if not bound.expired():
                raise  # of its own
            self._limited["handler_s"] += 1
            raise TimeoutError(
                f"the handler did not end within {handler_s:g} s (Limits(handler_s=...))"
            ) from None

    async def _call(self, handler: Handler, address: str, *args: Any) -> Any:
        if handler.is_async:
            return await handler.function(*args)
        result = await self._call_on_thread(handler.function, address, *args)
        return await result if inspect.isawaitable(result) else result

    async def _call_on_thread(self, function: Callable[..., Any], address: str, *args: Any) -> Any:
        threads = self._threads
        if not threads.take(self._settings.limits.threads):
            await threads.wait(address)
        context, wanted = contextvars.copy_context(), [True]

        def run() -> Any:
            return context.run(called, function, *args) if wanted else None

        def is_over(future: asyncio.Future[Any]) -> None:
            threads.end()
            has_result = not future.cancelled() and future.exception() is None
            if has_result and not wanted and inspect.iscoroutine(future.result()):
                future.result().close()

        future = asyncio.get_running_loop().run_in_executor(None, run)
        future.add_done_callback(is_over)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            wanted.clear()
            raise

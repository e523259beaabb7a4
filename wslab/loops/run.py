"""run(): async code from a plain cell, on the lab's loop.

Its rule: it takes whatever a person may mean by it (a coroutine function, a coroutine, a plain
function), leaves no coroutine behind that nobody awaits, and refuses the rest with the way to write
it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

from ..calls.calling import function_name
from ..errors import WrongThread
from . import portals
from .portal import stands_for_lab_here

__all__ = ["run"]

T = TypeVar("T")


@overload
def run(
    func: Callable[..., Awaitable[T]] | Coroutine[Any, Any, T],
    *args: Any,
    timeout: float | None = None,
) -> T: ...
@overload
def run(func: Callable[..., T], *args: Any, timeout: float | None = None) -> T: ...
def run(
    func: Callable[..., Any] | Coroutine[Any, Any, T], *args: Any, timeout: float | None = None
) -> Any:
    """Run async code from a plain cell, on the lab's loop, and return its result.

    Args:
        func: a coroutine function (``wslab.run(main, 3)``), a coroutine that nobody has awaited
            yet (``wslab.run(main(3))``), or a plain function that has to be called in the loop
            (``wslab.run(websockets.broadcast, clients, "hi")``).
        args: what to call it with.
        timeout: seconds; None waits until it ends. An interrupt cancels the work.

    Raises:
        TimeoutError: the timeout passed; the work has been cancelled.
        LoopBlocked: the timeout passed because something else holds the loop.
        WrongThread: called from code that already runs on the lab's loop: await it there.
        TypeError: ``func`` is neither of these.
    """
    if stands_for_lab_here():
        if inspect.iscoroutine(func):
            func.close()
        raise WrongThread(
            f"run({function_name(func)}) was called by a handler, on its own loop's thread, which "
            "would wait for itself. In async code write `await` instead of wslab.run"
        )
    if inspect.iscoroutine(func):
        if args:
            func.close()
            raise TypeError(
                "expected run(func, *args) or run(coroutine), got a coroutine and arguments; pass "
                "the arguments where you call it: run(func(1, 2))"
            )
        coroutine = func

        def start() -> Awaitable[T]:
            return coroutine

        start.__qualname__ = coroutine.__qualname__
        try:
            return portals.lab().call(start, timeout=timeout)
        finally:
            # One that has started belongs to the loop's thread, and only there may it be closed.
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
    if inspect.isasyncgen(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            "expected a function or a coroutine, got an asynchronous generator, which is looped "
            "over and not awaited: write `async def main(): ...` with the `async for` in it, and "
            "run(main)"
        )
    if not callable(func):
        hint = "write run(main, ...) or run(main(...))"
        if inspect.isawaitable(func):
            hint = (
                "what is awaited must be made in the loop that runs it: write `async def main(): "
                "return await ...` and run(main)"
            )
        raise TypeError(f"expected a function or a coroutine, got {type(func).__name__}; {hint}")
    return portals.lab().call(func, *args, timeout=timeout)

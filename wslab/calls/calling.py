"""Calling a function that somebody else wrote: whether it can be called, and how.

For the handlers of a hub, of its clients, and whatever else takes a function. Its rule: whatever a
function raises reaches whoever called it, on the loop, on a thread and through a Future. It keeps
no record of failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import is_cancelled

__all__ = [
    "called",
    "check_takes",
    "function_name",
    "is_async",
    "must_pass",
    "running_loop",
    "tell_replaced",
]

T = TypeVar("T")


def function_name(function: Any) -> str:
    """Return a function's name for messages, or its class's."""
    function = getattr(function, "func", function)  # of a partial
    return getattr(function, "__qualname__", None) or type(function).__name__


def tell_replaced(event: str, before: Any, function: Any, *, stacklevel: int) -> None:
    """Warn that a handler takes another one's place; not where a cell defines the same again.

    Args:
        event: of which both are handlers.
        before: the function that was its handler, or None.
        function: that is its handler now.
        stacklevel: of whoever registers it, seen from the caller.
    """
    names = [function_name(each) for each in (before, function)]
    if before is None or names[0] == names[1]:
        return
    old, new = (name.rpartition("<locals>.")[2] for name in names)
    warnings.warn(
        f"{event!r} had the handler {old}, and {new} takes its place: an event has one handler. "
        "Let one call the other, or give each an event of its own",
        stacklevel=stacklevel + 1,
    )


def is_async(function: Any) -> bool:
    """Whether calling it gives something to await: an ``async def``, also behind a partial."""
    while hasattr(function, "func") and not inspect.isfunction(function):
        function = function.func
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def check_takes(function: Any, arguments: int, expected: str) -> None:
    """Refuse what cannot be called with so many arguments, or yields instead of returning.

    Raises:
        TypeError: what was expected, and what came.
    """
    if not callable(function):
        raise TypeError(f"expected {expected}, got {type(function).__name__} {function!r:.60}")
    inner = function if inspect.isroutine(function) else function.__call__
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"expected {expected}, got a function that yields: return the answer")
    with contextlib.suppress(ValueError):  # a builtin without a signature
        signature = inspect.signature(function)
        try:
            signature.bind(*range(arguments))
        except TypeError:
            raise TypeError(
                f"expected {expected}, got {function_name(function)}{signature}"
            ) from None


def called(function: Callable[..., Any], *args: Any) -> Any:
    """Call a plain function whose result goes through a Future.

    Two exceptions cannot: StopIteration would leave a Future unset for ever (before Python 3.12),
    and GeneratorExit closes every coroutine that waits for it.

    Raises:
        RuntimeError: in their place, as an ``async def`` does for the first (PEP 479).
    """
    try:
        return function(*args)
    except (StopIteration, GeneratorExit) as exc:
        raise RuntimeError(f"{function_name(function)} raised {type(exc).__name__}") from exc


def must_pass(exc: BaseException, *, is_async: bool) -> bool:
    """Whether an exception is not the function's own, so that it must not end here.

    The task is being cancelled; or somebody pressed Ctrl-C, which only the main thread hears. All
    others, SystemExit too, are what a function let through, and must not end the loop.
    """
    if isinstance(exc, KeyboardInterrupt):
        return is_async and threading.current_thread() is threading.main_thread()
    return is_cancelled(exc)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs on this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

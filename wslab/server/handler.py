"""What serve() takes: a handler or an ASGI application; and what is wrong with what is neither.

A handler is ``async def handler(websocket)``, or anything callable that returns an awaitable, as
websockets takes it; an application takes scope, receive and send. Its rule: refuse only what is
surely wrong, and say how to fix it.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection

__all__ = [
    "Application", "Handler", "awaited", "check_handler", "handler_name", "is_application",
]  # fmt: skip

Handler = Callable[[ServerConnection], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

_OF_APPLICATION = ["scope", "receive", "send"]


def is_application(handler: Any) -> bool:
    """Tell whether this is an ASGI application, by what it must be called with.

    That is three things (ASGI's scope, receive, send), and a handler is called with one.
    """
    needed = _needed(handler)
    return needed is not None and (len(needed) == 3 or needed[:3] == _OF_APPLICATION)


def _needed(handler: Any) -> list[str] | None:
    """Name the arguments that something must be called with; None where that is not known."""
    if not callable(handler) or isinstance(handler, type):
        return None
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (ValueError, TypeError):
        return None
    kinds = inspect.Parameter
    return [
        each.name
        for each in parameters
        if each.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        and each.default is kinds.empty
    ]


def check_handler(handler: Any) -> None:
    """Refuse at once what could never handle a connection.

    Raises:
        TypeError: what was expected and what came. A plain ``def`` that returns something may be
            a decorator's wrapper: `awaited` judges it by what it returns.
    """
    if inspect.iscoroutine(handler):
        handler.close()
        raise TypeError(
            "expected a handler function, got a coroutine: pass the function itself, "
            "serve(handler), without calling it"
        )
    if not callable(handler):
        raise TypeError(
            f"expected `async def handler(websocket)`, got {type(handler).__name__} {handler!r:.60}"
        )
    function = handler
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type) and not hasattr(function, "__await__"):
        raise TypeError(
            f"expected a handler, got the class {function.__name__} itself: make one, and pass "
            f"that, serve({function.__name__}())"
        )
    if not inspect.isroutine(function):
        function = type(function).__call__
    function = getattr(function, "__func__", function)
    wrong = None
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        wrong = "a function that yields: send instead, `await websocket.send(...)`"
    elif inspect.isfunction(function) and _returns_nothing(function):
        wrong = "a plain `def`: a handler awaits messages, so it is an `async def`"
    if wrong is not None:
        raise TypeError(f"expected `async def {handler_name(handler)}(websocket)`, got {wrong}")
    try:
        inspect.signature(handler).bind(object())
    except ValueError:
        return  # a builtin without a signature
    except TypeError:
        if (_needed(handler) or [""])[-1] == "start_response":
            raise TypeError(
                f"expected a handler or an ASGI application, got {handler_name(handler)}"
                f"{inspect.signature(handler)}, a WSGI application, which can't do WebSockets; "
                "a2wsgi's WSGIMiddleware makes an ASGI application of it"
            ) from None
        raise TypeError(
            f"expected a handler of one argument, got {handler_name(handler)}"
            f"{inspect.signature(handler)}; the path, once the second argument, is "
            "`websocket.request.path`"
        ) from None


def _returns_nothing(function: types.FunctionType) -> bool:
    # A plain def may hand on to an async one (a decorator's wrapper does), so only one whose
    # every return is None is surely wrong.
    import dis

    if inspect.iscoroutinefunction(function):
        return False
    before = None
    for step in dis.get_instructions(function):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        if step.opname == "RETURN_VALUE" and not (
            before is not None and before.opname == "LOAD_CONST" and before.argval is None
        ):
            return False
        before = step
    return True


async def awaited(awaitable: Any, handler: Any) -> None:
    """Await what a handler that is no ``async def`` returned.

    Raises:
        TypeError: it cannot be awaited.
    """
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            f"expected {handler_name(handler)}() to be an `async def`, but it returned "
            f"{type(awaitable).__name__}"
        )
    await awaitable


def handler_name(handler: Any) -> str:
    """Return a name for views: the function's, or its class's."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    name = getattr(handler, "__name__", None) or type(handler).__name__
    return "handler" if name == "<lambda>" else str(name)

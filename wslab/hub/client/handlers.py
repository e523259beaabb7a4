"""Which function handles which event of a client."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...calls.calling import check_takes, tell_replaced
from ..protocol.packets import check_name
from ..protocol.reserved_events import for_clients

__all__ = ["Handler", "Handlers"]


@dataclass(slots=True)
class Handler:
    """A function that handles an event.

    Args:
        func: the function.
        context: of the cell that registered it: what it prints lands there.
    """

    func: Callable[..., Any]
    context: contextvars.Context


class Handlers:
    """The handlers by their events; one each. All methods work from any thread."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __contains__(self, event: str) -> bool:
        return event in self._handlers

    def check(self, event: str) -> None:
        """Refuse what cannot be the name of an event that comes.

        Raises:
            TypeError, ValueError: what was expected, and what came.
        """
        check_name(event)
        hint = for_clients(event)
        if hint:
            raise ValueError(f"expected the name of an event, got {event!r}: {hint}")

    def on(self, event: str, func: Callable[..., Any]) -> None:
        """Let ``func`` handle an event, in place of the one before.

        Raises:
            TypeError, ValueError: no name that an event can have, or nothing that can be called.
        """
        self.check(event)
        if event == "*":
            check_takes(func, 2, "a function of two arguments, the event's name and its data")
        else:
            check_takes(func, 1, "a function of one argument, the event's data")
        before = self._handlers.get(event)
        self._handlers[event] = Handler(func, contextvars.copy_context())
        tell_replaced(event, before and before.func, func, stacklevel=4)

    def off(self, event: str) -> bool:
        """Take a handler out; whether there was one."""
        return self._handlers.pop(event, None) is not None

    def of(self, event: str) -> tuple[Handler | None, tuple[Any, ...]]:
        """Return who handles an event, and what it gets before the data."""
        own = self._handlers.get(event) if event != "*" else None
        return (own, ()) if own is not None else (self._handlers.get("*"), (event,))

    @property
    def names(self) -> list[str]:
        """The events that are handled."""
        return sorted(self._handlers)

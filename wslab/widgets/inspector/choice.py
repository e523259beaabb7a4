"""Choice: which event an Inspector opens on.

Its rule: a tape is read more than once, so an event is known by what it is, and not by identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...wire.events import Event, FrameEvent
from ...wire.tape.tape import Tape

__all__ = ["Choice"]


class Choice:
    """Which event to open on: known from the beginning, or the first that fits."""

    def __init__(self, select: Any, tapes: list[Tape]) -> None:
        if not callable(select) and not isinstance(select, Event):
            raise TypeError(
                "expected for select an event of the tape, such as server.tape.frames[-1], or a "
                f"function of an event that is true of it, got {type(select).__name__}"
            )
        self._fits: Callable[[Event], bool] | None = None
        self._key: tuple[Any, ...] | None = None
        if not callable(select):
            self._key = _key_of(select)
            return
        self._fits = select
        events = (event for tape in reversed(tapes) for event in reversed(tape.events))
        self._take(next(filter(self._is_true_of, events), None))

    def __call__(self, _source: int, event: Event) -> bool:
        if self._key is None and self._is_true_of(event):
            self._take(event)
        return self._key is not None and _key_of(event) == self._key

    def _take(self, event: Event | None) -> None:
        self._key = None if event is None else _key_of(event)

    def _is_true_of(self, event: Event) -> bool:
        assert self._fits is not None
        try:
            return bool(self._fits(event))
        except (AttributeError, TypeError):  # an event of a kind that it does not speak of
            return False


def _key_of(event: Event) -> tuple[Any, ...]:
    """Return what an event is known by, however often its tape is read."""
    number = event.number if isinstance(event, FrameEvent) else 0
    return event.kind, event.connection_id, event.sender, event.at_s, number

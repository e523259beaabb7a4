"""What went wrong with an event, on the client's side: its handler raised, or the hub said so."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from ...failures import Failure
from ..protocol.client_events import ErrorReceived
from ..protocol.packets import MAX_NAME

__all__ = ["EventFailure", "raised", "told"]

MAX_TOLD = 2_000  # characters of what the hub says went wrong


@dataclass(frozen=True, slots=True)
class EventFailure(Failure):
    """What went wrong with an event: a handler raised, or the hub reported an error.

    Args:
        event: the event that it is about, if one is known.
        code: a word for programs, such as ``failed`` or ``unknown-event``.

    Where the hub reported it, ``kind`` and ``traceback`` are empty.
    """

    event: str | None
    code: str

    def __str__(self) -> str:
        if self.kind:
            who = f"the handler of {self.event!r}" if self.event is not None else self.where
            return f"{who} raised {self.summary}"
        about = f" about {self.event!r}" if self.event is not None else ""
        return f"the hub said{about}: {self.message} ({self.code})"


def raised(exc: BaseException, where: str, event: str | None = None) -> EventFailure:
    """Return what a function of that name has let through."""
    failure = Failure.of(exc, where=where)
    fields = {field.name: getattr(failure, field.name) for field in dataclasses.fields(failure)}
    return EventFailure(**fields, event=event, code="failed")


def told(error: ErrorReceived) -> EventFailure:
    """Return what the hub has reported."""
    return EventFailure(
        at=time.time(),
        where="the hub",
        who="",
        address=None,
        kind="",
        kinds=(),
        message=error.message[:MAX_TOLD],
        traceback="",
        event=error.event[:MAX_NAME] if error.event is not None else None,
        code=error.code[:MAX_NAME],
    )

"""What a client's half of a conversation returns: each thing that has happened, as an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "Acknowledged",
    "AnswerReceived",
    "CallLost",
    "ErrorReceived",
    "Event",
    "EventReceived",
    "EventsDropped",
    "Message",
    "RawMessage",
    "Welcomed",
]

Message: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class RawMessage:
    """Messages that are no packet of a hub, as they came."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class EventReceived:
    """An event of the application. ``messages``: its frames as they came."""

    event: str
    data: Any
    id: int | None  # the hub waits for the answer to this number
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """The answer to a call of ours, or the error that came in its place."""

    id: int
    data: Any
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The hub's greeting. ``gap``: why something is missing, or None."""

    id: str
    session: str | None
    is_resumed: bool
    is_first: bool  # of this session: not one that came back
    gap: str | None
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The hub has said what came: there may be room for more now."""


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """The hub did not send ``count`` events, since this client took them too slowly."""

    count: int
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The hub reports an error; ``event``: of ours, that it is about."""

    code: str
    message: str
    event: str | None
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class CallLost:
    """A call had been sent when the connection ended, and nobody will ever answer it."""

    id: int


Event: TypeAlias = (
    RawMessage
    | EventReceived
    | AnswerReceived
    | Welcomed
    | Acknowledged
    | EventsDropped
    | ErrorReceived
    | CallLost
)

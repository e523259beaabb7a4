"""What happened on a connection, as frozen values: the only thing that views draw.

Every event has ``at_s`` (seconds since its tape began), ``connection_id`` and ``sender``
("client" or "server": who caused it). Its rule: an event is what the bytes say, and no more; what
could not be known (because it was dropped, or never came) is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .frames.frame import Field, Frame
from .frames.violations import Fault
from .http.handshake import Handshake
from .http.heads import Problem, Request, Response
from .sender import Sender

__all__ = [
    "BodyEvent",
    "CloseEvent",
    "DroppedEvent",
    "EndedEvent",
    "Event",
    "FaultEvent",
    "FrameEvent",
    "MessageEvent",
    "OpenedEvent",
    "OverEvent",
    "PongEvent",
    "RequestEvent",
    "ResponseEvent",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at ``at_s`` on the connection ``connection_id``, by ``sender``."""

    kind: ClassVar[str] = "event"

    at_s: float
    connection_id: str
    sender: Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEvent(Event):
    """TCP opened. ``side`` is whose transport the bytes were recorded at."""

    kind: ClassVar[str] = "opened"

    label: str | None
    side: Sender
    client_address: str
    server_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent(Event):
    """The head of an HTTP request came (RFC 6455 §4.1)."""

    kind: ClassVar[str] = "request"

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEvent(Event):
    """The head of an HTTP response came (RFC 6455 §4.2.2), with as much of its body as was with it.

    ``request`` is what it answers, None where that was dropped.
    """

    kind: ClassVar[str] = "response"

    response: Response
    request: Request | None

    @property
    def handshake(self) -> Handshake | None:
        """Request and response read as a WebSocket handshake."""
        return Handshake(self.request, self.response) if self.request is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyEvent(Event):
    """More bytes of an HTTP body came, as they are on the wire (a stream of SSE, a long page)."""

    kind: ClassVar[str] = "body"

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEvent(Event):
    """One frame travelled (RFC 6455 §5.2); ``number`` counts the connection's frames from 1."""

    kind: ClassVar[str] = "frame"

    number: int
    frame: Frame

    @property
    def fin(self) -> bool:
        """Whether it is the last frame of its message."""
        return self.frame.fin

    @property
    def rsv1(self) -> bool:
        """The first reserved bit: this message is compressed, if that was agreed."""
        return self.frame.rsv1

    @property
    def rsv2(self) -> bool:
        """The second reserved bit."""
        return self.frame.rsv2

    @property
    def rsv3(self) -> bool:
        """The third reserved bit."""
        return self.frame.rsv3

    @property
    def opcode(self) -> int:
        """What kind of frame it is: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong."""
        return self.frame.opcode

    @property
    def label(self) -> str:
        """The opcode in a word."""
        return self.frame.label

    @property
    def masked(self) -> bool:
        """Whether its payload was masked."""
        return self.frame.masked

    @property
    def mask_key(self) -> bytes | None:
        """The four bytes that the payload was masked with."""
        return self.frame.mask_key

    @property
    def payload(self) -> bytes:
        """The payload without its mask."""
        return self.frame.payload

    @property
    def text(self) -> str | None:
        """The text of a text message's frame."""
        return self.frame.text

    @property
    def raw(self) -> bytes:
        """The whole frame as it travelled."""
        return self.frame.raw

    @property
    def size_bytes(self) -> int:
        """The size of the whole frame."""
        return self.frame.size_bytes

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field with its bits."""
        return self.frame.fields


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent(Event):
    """A whole message came, put together from its frames (RFC 6455 §5.4).

    ``wire_bytes`` is what its frames took on the wire, headers included; ``began_s`` is when the
    first of its ``fragments`` came.
    """

    kind: ClassVar[str] = "message"

    data: str | bytes
    began_s: float
    fragments: int
    wire_bytes: int
    compressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PongEvent(Event):
    """A pong answered a ping after ``round_trip_s`` seconds (RFC 6455 §5.5.3)."""

    kind: ClassVar[str] = "pong"

    payload: bytes
    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseEvent(Event):
    """A close frame came (RFC 6455 §5.5.1). The first one says who closes; the second answers it.

    ``code`` is None where the frame carries none.
    """

    kind: ClassVar[str] = "close"

    code: int | None
    reason: str
    is_answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent(Event):
    """A rule was broken by ``sender``; ``fault`` says which, and what follows."""

    kind: ClassVar[str] = "fault"

    fault: Fault | Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedEvent(Event):
    """TCP ended. ``is_clean``: both close frames (or a whole HTTP answer) had come before."""

    kind: ClassVar[str] = "ended"

    is_clean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OverEvent(Event):
    """Another program's file says that the connection was over then, and not how it ended."""

    kind: ClassVar[str] = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedEvent(Event):
    """The tape was full, so what ``sender`` had sent before this was dropped, oldest first.

    ``is_unread``: not so; the receiver had stopped reading, so what came then was not kept.
    """

    kind: ClassVar[str] = "dropped"

    size_bytes: int
    frames: int = field(default=0)
    is_unread: bool = False

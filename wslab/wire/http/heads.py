"""HTTP/1.x heads as values: requests, responses and their headers.

Its rule: what travelled is kept; each header knows its bytes and where they stand. Reading heads
from bytes is in `head_reader`, taking secrets out of them in `redaction`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from .field_values import asks_for_websocket

__all__ = ["Head", "HeadOf", "Header", "Problem", "Request", "Response"]


@dataclass(frozen=True, slots=True)
class Header:
    """One header line, with what it is for.

    Attributes:
        name: as it was sent; names are compared without regard to case (RFC 9110 §5.1).
        value: without the white space around it, each byte as one character (ISO 8859-1).
        raw: the bytes of the line without CRLF.
        offset: where the line starts, in bytes from the head's first byte.
        purpose, set_by, section: what it is for, who sets it, where that is written.
        redacted: whether a secret was taken out of value and raw.
        fault: what is wrong with it in this handshake; `Handshake` fills it in. It is a remark on
            the header and no part of it: two headers that differ only here are equal.
    """

    name: str
    value: str
    raw: bytes
    offset: int
    purpose: str
    set_by: str
    section: str
    redacted: bool = False
    fault: str | None = field(default=None, compare=False)


class Head:
    """What requests and responses have in common: a start line, then headers."""

    __slots__ = ()

    version: str
    headers: tuple[Header, ...]
    raw: bytes

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or None; the name's case does not matter."""
        values = self.get_all(name)
        return values[0] if values else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, in the order of the lines."""
        name = name.lower()
        return tuple(header.value for header in self.headers if header.name.lower() == name)

    @property
    def start_line(self) -> str:
        """The head's first line, without CRLF."""
        return self.raw.partition(b"\r\n")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Request(Head):
    """The head of an HTTP/1.x request (RFC 9112 §3). `raw` includes the blank line."""

    method: str
    target: str
    version: str
    headers: tuple[Header, ...]
    raw: bytes

    @property
    def asks_for_websocket(self) -> bool:
        """Whether this means to be a WebSocket handshake, be it a good or a bad one."""
        return asks_for_websocket((header.name, header.value) for header in self.headers)


@dataclass(frozen=True, slots=True)
class Response(Head):
    """The head of an HTTP/1.x response (RFC 9112 §4). `raw` includes the blank line.

    A reader of heads leaves `body` empty: who knows the body puts it in with `replace`.
    """

    status: int
    reason: str
    version: str
    headers: tuple[Header, ...]
    raw: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with bytes that should be a head.

    The message tells positions and sizes but quotes no value: it could be a secret.

    Attributes:
        rule: the rule that is broken, in a few words.
        section: where the rule is written.
        message: what was expected, what came, what to do next.
        offset: the byte of the head at which it became clear.
    """

    rule: str
    section: str
    message: str
    offset: int


HeadOf = TypeVar("HeadOf", Request, Response)

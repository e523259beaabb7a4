"""What a session needs of a WebSocket, and of a message.

Its rule: a session never knows what is behind them. The hub's links and prepared messages are such.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ..protocol.closed import Closed

__all__ = ["Link", "Message"]


class Message(Protocol):
    """One message: a text, and the bytes that follow it; the same object for all who get it."""

    @property
    def size_bytes(self) -> int:
        """What it takes on the wire, about."""

    def parts(self, dialect: Any) -> list[tuple[Any, memoryview]]:
        """Opcode and payload of each of its frames (RFC 6455 §5.2); a text is a whole packet."""


class Link(Protocol):
    """A WebSocket, as far as a session needs it.

    Attributes:
        dialect: what is spoken on it.
        path: what was asked for, with its query.
        headers: of the request; names in any case.
        closed_error: what receiving raises once it has ended, and sending on ``connection``.
    """

    dialect: Any
    path: str
    headers: Mapping[str, str]
    closed_error: type[Exception]

    @property
    def connection(self) -> Any:
        """What is behind it, such as websockets' connection: for handlers, not for a hub."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the other end; None where it has none."""

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it (RFC 6455 §7.1.3)."""

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be written any more: it is being closed, or cut off."""

    @property
    def is_writable(self) -> bool:
        """Whether it is open and takes a message now, and no half of another is on its way."""

    @property
    def closed(self) -> Closed | None:
        """How it was closed; None while it is open, and where it broke off."""

    @property
    def said_goodbye(self) -> bool:
        """Whether the client has closed it with 1000: it does not mean to come back."""

    def receive(self) -> Awaitable[str | bytes]:
        """Return the next whole message, text or binary.

        What has come already is returned without a turn for others on the loop.

        Raises:
            closed_error: it has ended.
        """

    def speak(self, dialect: Any) -> None:
        """Speak another dialect from now on: several may take turns on one connection."""

    def write(self, message: Any) -> bool:
        """Hand a message over if it is writable, and return whether it was; never waits."""

    async def drain(self) -> None:
        """Wait until it may be writable again, or has ended."""

    async def close(self, code: int, reason: str) -> None:
        """Close it and wait for the client's answer, for as long as it takes (RFC 6455 §7.1.2)."""

    def abort(self) -> None:
        """Cut it off without a word."""

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Have somebody told when it has ended, in a later turn of the loop."""

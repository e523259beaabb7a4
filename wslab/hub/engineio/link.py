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
    """A WebSocket: what the hub's Link says, as far as a session needs it."""

    dialect: Any
    path: str
    headers: Mapping[str, str]
    closed_error: type[Exception]

    @property
    def connection(self) -> Any:
        """What is behind it, for handlers."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the other end."""

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""

    @property
    def is_writable(self) -> bool:
        """Whether it takes a message now."""

    @property
    def closed(self) -> Closed | None:
        """How it was closed; None while it is open, and where it broke off."""

    @property
    def said_goodbye(self) -> bool:
        """Whether the client has closed it with 1000."""

    def receive(self) -> Awaitable[str | bytes]:
        """Return the next whole message; raises ``closed_error``."""

    def speak(self, dialect: Any) -> None:
        """Write in this dialect from now on."""

    def write(self, message: Any) -> bool:
        """Hand a message over if it is writable, and return whether it was."""

    async def drain(self) -> None:
        """Wait until it may be writable again, or has ended."""

    async def close(self, code: int, reason: str) -> None:
        """Close it and wait for the client's answer."""

    def abort(self) -> None:
        """Cut it off."""

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Have somebody told when it has ended."""

"""A link: what a hub needs of one client's connection, whatever carries it.

Its rule: a hub, its clients and their send queues speak to a link and never to what is behind it.
`websockets_link` is the one for ``websockets.serve`` and ``wslab.serve``. All of it is for the
hub's loop only. Who the client is and what its messages mean is not here.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ..dialects.dialect import Dialect
from ..protocol.closed import Closed
from .prepared_message import PreparedMessage

__all__ = ["Closed", "Link"]


class Link(Protocol):
    """One client's connection, as its hub sees it.

    Attributes:
        dialect: what is spoken on it.
        id: who it is, at random.
        path: what was asked for, with its query.
        headers: of the request; names in any case.
        auth: what the client has introduced itself with, where its protocol has a place for that.
        closed_error: what receiving raises once it has ended, and sending on ``connection``.
    """

    dialect: Dialect
    id: uuid.UUID
    path: str
    headers: Mapping[str, str]
    auth: Any
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
    def is_served(self) -> bool:
        """Whether its server lives, so that its client may come back."""

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

    def speak(self, dialect: Dialect) -> None:
        """Speak another dialect from now on: several may take turns on one connection."""

    def write(self, message: PreparedMessage) -> bool:
        """Hand a message over if it is writable, and return whether it was; never waits."""

    async def drain(self) -> None:
        """Wait until it may be writable again, or has ended."""

    async def close(self, code: int, reason: str, word: PreparedMessage | None = None) -> None:
        """Close it and wait for the client's answer, for as long as it takes (RFC 6455 §7.1.2).

        Args:
            code: why, as a close code.
            reason: the same in words.
            word: what is said before that, where it can be.
        """

    def abort(self) -> None:
        """Cut it off without a word."""

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Have somebody told when it has ended, in a later turn of the loop."""

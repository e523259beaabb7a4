"""One connection through a tap, for views and for a user who looks.

Its rule: as for a server's connections: it keeps nothing itself, and may be read from any thread.
``received`` is what came from the client, ``sent`` what went to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..server.connection import Connection, address_of

if TYPE_CHECKING:
    from .connection import TappedConnection

__all__ = ["SeenConnection"]


class SeenConnection(Connection):
    """One connection that a tap carries; a live view, read from any thread."""

    __slots__ = ("_tapped",)

    def __init__(self, tapped: TappedConnection) -> None:
        super().__init__(tapped)
        self._tapped = tapped

    @property
    def websocket(self) -> NoReturn:
        """There is none: a tap carries bytes and speaks no WebSocket itself."""
        raise AttributeError("a tap carries bytes and has no connection of websockets")

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """Host and port of the client's end of the TCP connection."""
        return address_of(self._tapped)

    @property
    def path(self) -> str:
        """The path and query that were asked for, by the latest request."""
        request = self._tapped.conversation.request
        return request.target if request is not None else ""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed upon (RFC 6455 §1.9)."""
        answer = self._tapped.conversation.answer
        return answer.get("Sec-WebSocket-Protocol") if answer is not None else None

    @property
    def is_open(self) -> bool:
        """Whether the upstream has answered with 101."""
        return self._tapped.conversation.answer is not None

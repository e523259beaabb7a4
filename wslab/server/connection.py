"""One open connection as its server sees it, for views and for a user who looks.

Its rule: it keeps nothing itself, but reads websockets' connection and what was recorded at its
transport; so it may be read from any thread, and goes on saying what it knew when that has ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from ..network.line_conditions import LineConditions
    from ..network.traffic import Traffic

__all__ = ["Connection", "address_of"]


class Connection:
    """One open connection as the server sees it; a live view, read from any thread."""

    __slots__ = ("_traffic", "_websocket")

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._traffic: Traffic = websocket.traffic

    @property
    def websocket(self) -> ServerConnection:
        """The websockets connection itself; use it on its loop only."""
        return self._websocket  # type: ignore[no-any-return]

    @property
    def traffic(self) -> Traffic:
        """What is counted of it at its transport."""
        return self._traffic

    @property
    def id(self) -> str:
        """The first six hexadecimal digits of ``websocket.id``."""
        return self._traffic.id

    @property
    def label(self) -> str | None:
        """The name of the client's handle, where that handle is in this process."""
        return self._traffic.label

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end of the TCP connection."""
        return address_of(self.websocket)

    @property
    def path(self) -> str:
        """The path and query that were asked for."""
        request = self.websocket.request
        return request.path if request is not None else ""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed upon (RFC 6455 §1.9)."""
        return self.websocket.subprotocol

    @property
    def began_s(self) -> float:
        """When TCP connected, on the clock of ``time.monotonic()``."""
        return self._traffic.began_s

    @property
    def open_s(self) -> float:
        """How long it has been open, in seconds."""
        return time.monotonic() - self._traffic.began_s

    @property
    def received(self) -> int:
        """Messages that came from this client."""
        return self._traffic.received

    @property
    def sent(self) -> int:
        """Messages that went to this client."""
        return self._traffic.sent

    @property
    def received_bytes(self) -> int:
        """Bytes that came, HTTP heads and frame headers included."""
        return self._traffic.received_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes that went out, HTTP heads and frame headers included."""
        return self._traffic.sent_bytes

    @property
    def network(self) -> LineConditions:
        """The network under it: delay, jitter and rate to set, a cable to cut, RST, and presets."""
        return self._websocket.network  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Connection {self.id}{label}, {self.received} received, {self.sent} sent>"


def address_of(websocket: Any) -> tuple[str, int] | None:
    """Return host and port of the other end; None over a Unix socket."""
    address = websocket.remote_address
    return (address[0], address[1]) if isinstance(address, tuple) else None

"""One WebSocket of an application as its server sees it: between uvicorn and the application.

Its rule: what passes is counted and not changed. What a view reads of it is named as on websockets'
connection, so that one `Connection` shows both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from ..network.line_conditions import LineConditions
from ..network.stream import Stream

__all__ = ["AsgiSocket", "Requested"]

Message = dict[str, Any]


class Requested(NamedTuple):
    """What was asked for: the path with its query."""

    path: str


class AsgiSocket:
    """One WebSocket, from its request on; on the server's loop.

    Args:
        scope: of the ASGI connection.
        receive, send: of it.
        stream: what it goes over.
        opened: called once it is accepted.
        refused: called with this, the status and the text of a refusal.

    Attributes:
        request: what was asked for.
        subprotocol: that the application has agreed to.
        is_open: whether it is accepted and has not ended.
        is_told_gone: whether the application knows that it has ended.
        is_served: whether the server lives.
        close_code: of the close that came or went first; None while it is open (RFC 6455 §7.4).
    """

    def __init__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        stream: Stream,
        opened: Callable[[], object],
        refused: Callable[[AsgiSocket, int, str], object],
    ) -> None:
        path, query = quote(scope["path"]), scope.get("query_string", b"").decode("latin-1")
        self.request = Requested(f"{path}?{query}" if query else path)
        self.subprotocol: str | None = None
        self.is_open = self.is_told_gone = False
        self.is_served = True
        self.close_code: int | None = None
        self.stream = stream
        self.traffic = stream.traffic
        self._receive, self._send = receive, send
        self._opened, self._refused = opened, refused
        self._refusal = (0, b"")

    @property
    def remote_address(self) -> Any:
        """Where the other end is."""
        return self.stream.remote_address

    @property
    def network(self) -> LineConditions:
        """The network under it."""
        return self.stream.network

    async def receive(self) -> Message:
        """What the application calls."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.traffic.received += 1
        elif message["type"] == "websocket.disconnect":
            self._closed(message.get("code", 1005))
            self.is_told_gone = True
        return message

    async def send(self, message: Message) -> None:
        """What the application calls.

        Raises:
            OSError: it has ended.
        """
        kind = message["type"]
        if not self.is_served:
            self.is_told_gone = True
            raise ConnectionAbortedError("the server stops, and has closed this WebSocket")
        try:
            await self._send(message)
        except OSError:
            self.is_told_gone = True
            raise
        if kind == "websocket.send":
            self.traffic.sent += 1
        elif kind == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            self.is_open = True
            self._opened()
        elif kind == "websocket.close":
            if not self.is_open and not self.is_told_gone:
                self._refused(
                    self, 403, message.get("reason") or "the application did not accept it"
                )
            self._closed(message.get("code", 1000))
            self.is_told_gone = True
        elif kind == "websocket.http.response.start":
            self._refusal = (message["status"], b"")
        elif kind == "websocket.http.response.body":
            status, text = self._refusal
            self._refusal = status, (text + message.get("body", b""))[:4096]
            if not message.get("more_body", False):
                self.is_told_gone = True
                self._refused(self, status, self._refusal[1].decode(errors="replace").strip())

    async def close(self, code: int) -> None:
        """Close it since the server stops; a client that does not read may keep this waiting."""
        self.is_served = False
        if self.is_open:
            self._closed(code)
            await self._send({"type": "websocket.close", "code": code, "reason": ""})
        elif not self.is_told_gone:  # the application has not said yet what becomes of it
            self.abort()

    def _closed(self, code: int) -> None:
        if self.is_open and self.close_code is None:
            self.close_code = code
        self.is_open = False

    def abort(self) -> None:
        """Cut it off without a word."""
        self.stream.transport.abort()

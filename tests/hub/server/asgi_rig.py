"""An ASGI server that does what the test says: nothing happens by itself."""

from __future__ import annotations

import asyncio
from typing import Any


class Server:
    """One ASGI connection: what the test feeds comes in, what goes out is in ``sent``."""

    def __init__(self, kind: str = "websocket", path: str = "/ws", **scope: Any) -> None:
        self.scope: dict[str, Any] = {
            "type": kind, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"host", b"example.org")], "client": ("10.0.0.1", 5), "root_path": "",
            "extensions": {}, **({"method": "GET"} if kind == "http" else {}), **scope,
        }  # fmt: skip
        self.sent: list[dict[str, Any]] = []
        self.taken = 0  # messages that were received
        self.failure: Exception | None = None  # what sending raises
        self.may_send = asyncio.Event()
        self.may_send.set()
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def feed(self, *messages: Any) -> None:
        """Let messages come: a str or bytes on a WebSocket, or an ASGI event."""
        for message in messages:
            if isinstance(message, str):
                message = {"type": "websocket.receive", "text": message}
            elif isinstance(message, bytes):
                message = {"type": "websocket.receive", "bytes": message}
            self._queue.put_nowait(message)

    def leave(self, code: int = 1000, reason: str | None = "") -> None:
        """Let the client leave."""
        event: dict[str, Any] = {"type": "websocket.disconnect", "code": code}
        self.feed(event if reason is None else {**event, "reason": reason})

    async def receive(self) -> dict[str, Any]:
        message = await self._queue.get()
        self.taken += 1
        return message

    async def send(self, message: Any) -> None:
        await self.may_send.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    @property
    def texts(self) -> list[Any]:
        """What was sent on the WebSocket."""
        return [m.get("text", m.get("bytes")) for m in self.sent if m["type"] == "websocket.send"]

    def call(self, application: Any) -> asyncio.Task[None]:
        """Have an application answer."""
        return asyncio.ensure_future(application(self.scope, self.receive, self.send))

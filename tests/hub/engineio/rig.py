"""A server of Engine.IO that echoes: HTTP asked by hand, without a socket, and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.engineio.server import EngineServer
from wslab.hub.engineio.session import EngineSession
from wslab.hub.engineio.settings import SocketIO
from wslab.hub.protocol.limits import Limits
from wslab.hub.server.prepared_message import PreparedMessage
from wslab.hub.server.websockets_link import WebSocketsLink
from wslab.wire.http.message import HttpRequest, HttpResponse

HOME = ("192.0.2.1", 4000)
POLL = "/socket.io/?EIO=4&transport=polling"
SOCKET = "/socket.io/?EIO=4&transport=websocket"


def prepared(message: str | bytes) -> PreparedMessage:
    """Return a message as the Socket.IO dialect makes it: a text begins with Engine.IO's 4."""
    if isinstance(message, str):
        return PreparedMessage("4" + message)
    return PreparedMessage(None, [message])


async def say(session: EngineSession, message: str | bytes) -> None:
    """Send a message, when there is room."""
    while not session.write(prepared(message), PLAIN_JSON):
        await session.drain()
        if session.is_closing:
            raise session.closed_error
        await asyncio.sleep(0)


async def echo(session: EngineSession) -> None:
    """Say again whatever comes."""
    while True:
        await say(session, await session.receive())


class Rig:
    """An EngineServer, and what its sessions came to."""

    def __init__(self, server: EngineServer, seen: list[EngineSession], failed: list[Any]) -> None:
        self.server, self.seen, self.failed = server, seen, failed
        self.port = 0

    async def get(self, sid: str = "", *headers: tuple[str, str], **about: Any) -> HttpResponse:
        target = POLL + (f"&sid={sid}" if sid else "")
        return await self.server.http(
            HttpRequest("GET", target, headers, b"", HOME)._replace(**about)
        )

    async def post(self, sid: str, body: str | bytes, *headers: tuple[str, str]) -> HttpResponse:
        body = body.encode() if isinstance(body, str) else body
        return await self.server.http(HttpRequest("POST", f"{POLL}&sid={sid}", headers, body, HOME))

    async def open(self, **about: Any) -> str:
        """Begin a session by polling, and return its id."""
        response = await self.get(**about)
        assert response.status == 200, response
        assert response.body[:1] == b"0"
        return str(json.loads(response.body[1:])["sid"])

    def socket(self, sid: str = "") -> Any:
        target = SOCKET + (f"&sid={sid}" if sid else "")
        return connect(f"ws://127.0.0.1:{self.port}{target}", proxy=None, compression=None)

    @property
    def last(self) -> EngineSession:
        """The session that came last."""
        return self.seen[-1]


@contextlib.asynccontextmanager
async def engine(serve_session: Any = echo, limits: Limits | None = None, **settings: Any) -> Any:
    """Serve Engine.IO for as long as the block lasts."""
    seen: list[EngineSession] = []
    failed: list[Any] = []

    async def noted(session: EngineSession) -> None:
        seen.append(session)
        await serve_session(session)

    server = EngineServer(
        noted,
        SocketIO(**settings),
        prepare=PreparedMessage,
        limits=lambda: limits or Limits(),
        failed=lambda exc, session: failed.append(exc),
    )
    rig = Rig(server, seen, failed)

    async def handler(websocket: Any) -> None:
        await server.websocket(WebSocketsLink(websocket))

    async with serve(handler, "127.0.0.1", 0, compression=None) as sockets:
        rig.port = sockets.sockets[0].getsockname()[1]
        yield rig
        await server.close()
    assert not server.sessions
    assert not server._tasks


async def soon(coroutine: Any) -> Any:
    """Wait for what must come within a second."""
    async with asyncio.timeout(1.0):
        return await coroutine

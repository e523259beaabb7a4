"""python-engineio's client with us: by polling, by WebSocket, and from one to the other."""

from __future__ import annotations

import asyncio

import engineio
import pytest

import wslab
from tests.hub.engineio.reference import EngineEcho

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_it_talks_and_answers_pings(transports):
    handler = EngineEcho(ping_interval_s=0.1, ping_timeout_s=5.0)
    client = engineio.AsyncClient()
    messages: asyncio.Queue[str | bytes] = asyncio.Queue()
    client.on("message", messages.put)
    with wslab.serve(handler) as server:
        url = f"http://127.0.0.1:{server.port}"
        await client.connect(url, transports=transports, engineio_path="/socket.io/")
        assert client.transport() == transports[-1]
        for said in ("hello", b"\x00\xff", "é", "x" * 100_000):
            await client.send(said)
            async with asyncio.timeout(5):
                assert await messages.get() == said
        [session] = handler.engine.sessions.values()
        assert session.transport == transports[-1]
        await asyncio.sleep(0.5)  # some pings
        assert session.is_open
        await client.disconnect()
        assert not server.errors
        assert not handler.failed

"""A server that echoes, and alice who is connected to it; neither end sends pings."""

from __future__ import annotations

import pytest

import wslab
from wslab.widgets import live


@pytest.fixture
def server():
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    with wslab.serve(echo, ping_interval=None, close_timeout=0.1) as running:
        yield running


@pytest.fixture
def alice(server):
    with wslab.connect(server, name="alice", ping_interval=None, close_timeout=0.1) as client:
        yield client
        for end in (client, *server.connections):  # or closing waits for what is held
            end.network.clear()


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    wslab.shutdown()
    live._flusher.views.clear()

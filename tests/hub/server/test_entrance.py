"""Which way a client comes in: by its path, on whatever loop the hub runs now."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect

from tests.hub.rig import aio, inside, listening, speaking, until
from wslab.hub import Hub
from wslab.wire.http.message import HttpRequest

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.mark.websockets_only
@aio
async def test_socket_io_clients_come_to_a_path_of_their_own():
    hub = Hub()
    async with listening(hub) as url:
        async with connect(f"{url}socket.io/?EIO=4&transport=websocket") as socket:
            assert (await socket.recv()).startswith('0{"sid":"')
            await socket.send("40")
            assert (await socket.recv()).startswith('40{"sid":"')
            async with speaking(url) as wire:
                assert len(hub.clients) == 2
                hub.emit("tick", 1)
                assert await socket.recv() == '42["tick",1]'
                assert await wire.read() == {"event": "tick", "data": 1}
        assert await hub.http(HttpRequest("GET", "/")) is None
        response = await hub.http(HttpRequest("GET", "/socket.io/?EIO=3&transport=polling"))
        assert response.status == 400
    without = Hub(socketio=None)
    async with (
        listening(without) as url,
        speaking(f"{url}socket.io/?EIO=4&transport=websocket") as wire,
    ):
        assert await without.http(HttpRequest("GET", "/socket.io/")) is None
        assert wire.id in without.clients
    with pytest.raises(TypeError, match="expected socketio as SocketIO"):
        Hub(socketio=True)


def test_each_loop_begins_with_no_session():
    hub = Hub()

    async def begin():
        async with listening(hub) as url:
            async with connect(f"{url}socket.io/?EIO=4&transport=websocket") as socket:
                await socket.recv()
                await socket.send("40")
                await socket.recv()
                assert len(hub.clients) == 1
            await until(lambda: inside(hub).admission.alive == 0)

    for _ in range(2):
        asyncio.run(begin())


@aio
async def test_a_bug_of_ours_is_recorded(monkeypatch):
    hub = Hub()

    async def breaks(session):
        raise RuntimeError("broken")

    monkeypatch.setattr(hub._entrance.namespaces, "serve", breaks)
    async with listening(hub) as url:
        async with connect(f"{url}socket.io/?EIO=4&transport=websocket") as socket:
            await socket.recv()
            await socket.wait_closed()
        assert hub.errors[-1].summary == "RuntimeError: broken"

"""The hub as a whole: its repr, and that nothing of a client is left."""

from __future__ import annotations

import gc

import pytest

from tests.hub.rig import (
    TOKEN,
    Wire,
    aio,
    inside,
    listening,
    one,
    speaking,
    until,
)
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")


@aio
async def test_a_client_that_has_gone_is_freed():
    import weakref

    hub = Hub()
    hub.on("x", lambda client, data: client.join("room"))
    async with listening(hub) as url:
        async with speaking(url) as wire:
            await wire.call("x")
            gone = weakref.ref(one(hub))
        await until(lambda: inside(hub).admission.alive == 0)
        await until(lambda: gc.collect() >= 0 and gone() is None)


@aio
async def test_repr_tells():
    hub = Hub("demo")
    hub.on("chat", lambda client, data: None)
    assert repr(hub) == "<Hub 'demo': 0 clients, 0 rooms; handles chat>"
    async with listening(hub) as url, speaking(url) as wire:
        client = one(hub)
        client.join("lobby")
        client.name = "alice"
        assert repr(client) == f"<HubClient {wire.id} 'alice', in lobby>"
        assert str(client) == "alice"
        assert repr(hub.clients) == "<1 clients: alice>"
        assert repr(hub.rooms) == "<1 rooms: lobby (1)>"
        assert isinstance(wire, Wire)
        assert TOKEN not in client.path

"""A hub that websockets itself asks before the 101."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

from tests.hub.rig import aio, one, until
from wslab.hub import Hub, Limits

pytestmark = pytest.mark.usefixtures("memory_network")


def asked(hub):
    return serve(hub, "127.0.0.1", 0, process_request=hub.process_request)


def url_of(server, path="/"):
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"


async def refused(server, path="/", **options):
    with pytest.raises(InvalidStatus) as told:
        await connect(url_of(server, path), **options)
    response = told.value.response
    assert int(response.headers["Content-Length"]) == len(response.body)
    return response


@aio
async def test_strangers_get_no_101():
    hub = Hub()
    hub.on("authenticate", lambda credentials: {"good": "alice"}.get(credentials.token))
    async with asked(hub) as server:
        response = await refused(server)
        assert (response.status_code, response.reason_phrase) == (401, "Unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.body.startswith(b"no token came")
        headers = {"Authorization": "Bearer good"}
        async with connect(url_of(server), additional_headers=headers) as websocket:
            await websocket.recv()
            assert one(hub).user_id == "alice"
            assert one(hub).websocket.identity.user_id == "alice"
    await until(lambda: not hub.clients)


@aio
async def test_who_comes_too_often_and_what_socket_io_asks_wrongly():
    hub = Hub(limits=Limits(connects_per_minute=1))
    async with asked(hub) as server:
        async with connect(url_of(server)) as websocket:
            await websocket.recv()
        response = await refused(server)
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 0
    hub = Hub()
    async with asked(hub) as server:
        assert (await refused(server, "/socket.io/?EIO=3&transport=websocket")).status_code == 400


@aio
async def test_without_a_handler_everybody_may_come():
    hub = Hub()
    async with asked(hub) as server, connect(url_of(server)) as websocket:
        await websocket.recv()
        assert one(hub).identity is None

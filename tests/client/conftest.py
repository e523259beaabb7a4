"""What every test of the client asserts besides, and the servers that they ask for."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests import peers
from tests.client.rig import echo
from wslab.errors import Refused
from wslab.hub import Hub


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture
def echo_server():
    with wslab.serve(echo) as server:
        yield server
        assert not server.errors


@pytest.fixture
def hub():
    """A hub that answers, repeats, fails and refuses."""
    hub = Hub(history=10_000)
    hub.on("add", lambda client, data: sum(data))
    hub.on("echo", lambda client, data: data)

    @hub.on("shout")
    async def shout(client, data):
        hub.emit("heard", data)

    @hub.on("fail")
    async def fail(client, data):
        raise ZeroDivisionError("nothing to divide by")

    @hub.on("refuse")
    async def refuse(client, data):
        raise Refused("not today")

    @hub.on("never")
    async def never(client, data):
        await asyncio.Event().wait()

    return hub


@pytest.fixture
def hub_server(hub):
    with wslab.serve(hub) as server:
        yield server
        # Nothing but what a handler of the hub let through, which the server shows as well.
        assert [(error.at, error.where) for error in server.errors] == [
            (failure.at, failure.where) for failure in hub.errors
        ]

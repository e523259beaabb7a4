"""A line is cut, joined and reset from any thread; a front leads to the first node that lives."""

from __future__ import annotations

import pytest
import websockets

import wslab
from wslab.machines.line import Front, Line
from wslab.notebook import cells


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as one:
        yield one


def test_a_front_is_one_address_and_ends(server):
    with wslab.serve(echo) as gone:
        port = gone.port
    front = Front([("127.0.0.1", port), ("127.0.0.1", server.port)], cells.claim("front"))
    with wslab.connect(front.url) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        assert front.status == "1 connection"
        assert list(front.relay.ports.values()) == [("127.0.0.1", server.port)]
        assert "front" in repr(wslab.running())
    front.stop()
    front.stop()
    with pytest.raises(wslab.NobodyListening):
        wslab.connect(front.url)


def test_a_cut_holds_what_is_said_and_a_reset_ends_the_connection(server):
    front = Front([("127.0.0.1", server.port)], cells.claim("front"))
    line: Line = front
    with wslab.connect(front.url) as client:
        line.cut()
        assert line.is_cut
        client.send("late")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
        line.restore()
        assert client.recv(timeout=5) == "late"
        line.reset()
        with pytest.raises(websockets.ConnectionClosed):
            client.recv(timeout=5)
    front.stop()

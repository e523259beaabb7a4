"""StockClient: python-socketio's client, steered from a plain thread; its failures are kept."""

from __future__ import annotations

import json
import sys

import pytest

from wslab.learn.exercises import Miss
from wslab.learn.stock_client import StockClient
from wslab.learn.testbench import TestBench

OPEN = '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


async def stock(websocket):
    """Answer a client as little as it takes."""
    await websocket.send(OPEN)
    async for message in websocket:
        if message.startswith("40"):
            await websocket.send('40{"sid":"me"}')
        elif message.startswith("42["):
            await websocket.send(message)
        elif message.startswith("42"):
            number = message[2 : message.index("[")]
            argument = json.loads(message[message.index("[") :])[1]
            await websocket.send(f"43{number}{json.dumps([argument])}")


@pytest.fixture
def bench():
    with TestBench(stock) as made:
        yield made


def client_of(bench, **kwargs):
    return StockClient(bench.server.url, ["news"], transports=["websocket"], wait_s=1.0, **kwargs)


def test_events_and_answers(bench):
    with client_of(bench) as client:
        client.connect({"user": "ann"})
        assert (client.id, client.transport, client.is_connected) == ("me", "websocket", True)
        client.emit("news", "hello")
        assert client.hears("news", "hello")
        assert not client.hears("news", "never", wait_s=0.05)
        assert client.ask("echo", "ä") == "ä"
        assert client.ask_at_once("echo", [1, 2, 3]) == [1, 2, 3]
        assert client.heard == [("news", ("hello",))]
    assert client.troubles == []
    bench.until(lambda: not bench.server.connections, "no connection", lambda: "one")


def test_what_it_falls_over_is_kept_and_not_logged(bench, capfd):
    async def broken(websocket):
        await websocket.send(OPEN)
        await websocket.recv()
        await websocket.send("40{")
        await websocket.wait_closed()

    bench.server.handler = broken
    with client_of(bench) as client, pytest.raises(Exception, match="connection error"):
        client.connect()
    assert any("JSON" in one for one in client.troubles)
    assert capfd.readouterr().err == ""


def test_nobody_listens(bench):
    bench.server.stop()
    with client_of(bench) as client, pytest.raises(Exception, match="Connection error"):
        client.connect()


@pytest.mark.parametrize("name", ["socketio", "aiohttp"])
def test_without_it_there_is_a_word_on_what_to_install(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Miss) as raised:
        StockClient("ws://127.0.0.1:1/")
    assert "pip install python-socketio aiohttp" in raised.value.hint

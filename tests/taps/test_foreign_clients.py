"""Clients that are not ours through a tap: what both sides sent is equal, byte for byte.

Chromium, aiohttp, npm's ws and stock Socket.IO clients. The client's side is kept by an observer in
front of the tap, the server's by the tape of the server behind it; each connection's bytes are
compared by hash, without the two lines that a tap changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import urllib.parse
from pathlib import Path

import aiohttp
import pytest

import wslab
from tests import peers
from tests.hub import stock
from tests.node import MODULES, need
from tests.taps.observer import both_sides, observing
from tests.taps.rig import echo
from wslab.hub import Args, Hub

SCRIPT = Path(__file__).with_name("ws_client.js")


@contextlib.contextmanager
def between(server, **kwargs):
    """A tap before a server, and an observer before that: gives its port, and checks at the end."""
    with wslab.tap(server.url, **kwargs) as tap, observing(tap.port) as (port, seen):
        yield tap, port
        peers.until(lambda: not tap.connections and not server.connections, 20)
        peers.until(lambda: all(track.ended_s is not None for track in server.tape.connections), 20)
        ours, theirs = both_sides(seen, server.tape)
        assert ours
        assert ours == theirs
        assert not tap.errors
        assert not tap.refusals


def port_in(url):
    return urllib.parse.urlsplit(url).port


def is_at_rest(hub, tap):
    """Whether nobody is in the hub, and nobody waits for anything."""
    busy = [c for c in tap._listener.connections if c.conversation.awaits_answer]
    return not hub.clients and not busy and not any(c.is_open for c in tap.connections)


def test_npms_ws():
    need("ws")
    with wslab.serve(echo, compression="deflate", subprotocols=["b"]) as server:
        with between(server) as (tap, port):
            done = subprocess.run(
                ["node", str(SCRIPT), f"{MODULES}/", f"ws://127.0.0.1:{port}/x?y=z"],
                capture_output=True, text=True, timeout=30, check=True,
            )  # fmt: skip
            told = json.loads(done.stdout)
        assert told.pop("messages") == ["é" * 3000, [0, 255, 13, 10], "x" * 200_000, "one message"]
        assert told == {
            "protocol": "b", "extensions": "permessage-deflate", "pong": "p",
            "closed": [4002, "enough"],
        }  # fmt: skip
        assert len(tap.tape.messages) == 8


@pytest.mark.parametrize("tls", [False, True])
def test_aiohttp(each_loop, tls):
    async def converse(url):
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, protocols=["a", "b"], compress=15) as ws:
                assert (ws.protocol, ws.compress > 0) == ("b", True)
                for message in ("é" * 3000, b"\x00\xff\r\n", "x" * 200_000):
                    await (ws.send_str if isinstance(message, str) else ws.send_bytes)(message)
                    assert (await ws.receive()).data == message
                await ws.close(code=4003, message=b"enough")
            # No page is there, so it is a 404; and the page is at the root.
            async with session.get(url.replace("ws:", "http:")) as answer:
                assert answer.status == 404
            async with session.get(f"http://127.0.0.1:{port_in(url)}/") as answer:
                assert "WebSocket" in await answer.text()

    keywords = {"ssl": peers.server_tls()} if tls else {}
    with wslab.serve(echo, compression="deflate", subprotocols=["b"], **keywords) as server:
        with between(server, **({"ssl": peers.client_tls()} if tls else {})) as (tap, port):
            asyncio.run(asyncio.wait_for(converse(f"ws://127.0.0.1:{port}/x?y=z"), 30))
        [close, _] = [event for event in tap.tape.events if event.kind == "close"]
        assert (close.code, close.reason, close.sender) == (4003, "enough", "client")


@pytest.mark.parametrize("who", ["node", "python"])
@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_stock_clients_of_socket_io(who, transports):
    if who == "node":
        need("socket.io-client")
    hub = Hub()
    hub.on("echo", lambda client, *args: Args(*args))

    async def converse(url):
        options = {} if transports is None else {"transports": transports}
        async with getattr(stock, who)(url, **options) as client:
            assert (await client.hear())[0] == "connect"
            for n in range(20):
                said = [n, b"\x00\xff\r\n", {"é": [b"y"]}]
                assert await client.call("echo", *said) == said
            hub.emit("news", Args("to", b"all"))
            assert await client.hear() == ["event", "news", "to", b"all"]
            client.say("transport")
            told = await client.hear()
            assert told == ["transport", "polling" if transports == ["polling"] else "websocket"]
            client.say("disconnect")
            # It is ended next, whatever it is in the midst of: let it have said goodbye before.
            await asyncio.to_thread(peers.until, lambda: is_at_rest(hub, tap), 20)

    with wslab.serve(hub) as server, between(server) as (tap, port):
        asyncio.run(asyncio.wait_for(converse(f"http://127.0.0.1:{port}"), 60))
        assert tap.connections_seen >= 1


CONVERSE = """() => new Promise((done) => {
  const socket = new WebSocket(`ws://${location.host}/x?y=z`, ["a", "b"]);
  const told = [];
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    told.push(socket.protocol, socket.extensions);
    socket.send("é".repeat(3000));
    socket.send(new Uint8Array([0, 255, 13, 10]));
    socket.send("x".repeat(200000));
  };
  socket.onmessage = ({ data }) => {
    told.push(typeof data === "string" ? data.length : [...new Uint8Array(data)]);
    if (told.length === 5) socket.close(4001, "enough");
  };
  socket.onclose = ({ code, reason, wasClean }) => done([...told, code, reason, wasClean]);
})"""


@pytest.mark.browser
def test_chromium(chromium):
    with wslab.serve(echo, compression="deflate", subprotocols=["b"], page="<h1>hi</h1>") as server:
        with between(server) as (tap, port):
            context = chromium.new_context()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            assert page.inner_text("h1") == "hi"
            told = page.evaluate(CONVERSE)
            context.close()
            for connection in tap.connections:  # the page's own, which Chromium keeps for later
                if not connection.is_open:
                    connection.network.reset()
        assert told.pop(1).startswith("permessage-deflate")
        assert told == ["b", 3000, [0, 255, 13, 10], 200_000, 4001, "enough", True]

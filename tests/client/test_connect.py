"""connect(): every keyword goes to websockets, and what fails leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import socket

import pytest
from websockets.asyncio import client as ws_client

import wslab
from tests import peers
from tests.client.rig import echo, interrupt_soon
from tests.peers import until
from wslab.client.arguments import Destination
from wslab.client.incoming import Incoming
from wslab.client.opener import Opener
from wslab.loops import fork, portals


@pytest.fixture
def server(echo_server):
    return echo_server


def test_no_keyword_is_kept_back(server, monkeypatch):
    seen = {}
    real = ws_client.connect

    @functools.wraps(real)  # its keywords are asked for
    def spy(url, **kwargs):
        seen.update(kwargs)
        return real(url, **kwargs)

    given = {
        "origin": "http://localhost:8888",
        "extensions": [],
        "subprotocols": None,
        "compression": "deflate",
        "additional_headers": {"X-Who": "alice"},
        "user_agent_header": "me",
        "proxy": None,
        "process_exception": lambda exc: exc,
        "open_timeout": 1.5,
        "ping_interval": 2.5,
        "ping_timeout": 3.5,
        "close_timeout": 4.5,
        "reconnect_delays": lambda: iter([0.1]),
        "max_size": 123,
        "max_queue": (4, 2),
        "write_limit": (8192, 1024),
        "logger": logging.getLogger("mine"),
        "local_addr": ("127.0.0.1", 0),
    }
    signature = inspect.signature(real.__init__).parameters
    missing = set(signature) - {"self", "uri", "kwargs", "create_connection"} - set(given)
    assert not missing
    monkeypatch.setattr(ws_client, "connect", spy)
    with wslab.connect(server, **given) as client:
        assert client.ping() > 0
        websocket = client.websocket
        assert websocket.request.headers["X-Who"] == "alice"
        assert websocket.request.headers["User-Agent"] == "me"
        assert websocket.request.headers["Origin"] == "http://localhost:8888"
        assert websocket.transport.get_write_buffer_limits() == (1024, 8192)
        assert (websocket.max_queue_high, websocket.max_queue_low) == (4, 2)
    for name, value in given.items():
        assert seen[name] is value
    with pytest.raises(TypeError, match="unknown"):
        wslab.connect(server, unknown=1)


class Shouting(ws_client.ClientConnection):
    async def send(self, message, **kwargs):
        await super().send(message.upper(), **kwargs)

    async def recv(self, decode=None):
        return f"<{await super().recv(decode)}>"


@pytest.mark.parametrize("create", [Shouting, lambda *a, **k: Shouting(*a, **k)])
def test_create_connection(server, create):
    with wslab.connect(server, create_connection=create) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "<HELLO>"
        assert client.counts[:2] == (1, 1)
        assert type(client.websocket).__name__ == "Shouting"


def test_sock(server):
    sock = socket.create_connection(("127.0.0.1", server.port))
    with wslab.connect("ws://localhost/", sock=sock) as client:
        assert client.ping() > 0


def test_another_host_than_the_urls():
    with (
        wslab.serve(echo, hosts=["example.org"]) as server,
        wslab.connect("ws://example.org/", host="127.0.0.1", port=server.port, proxy=None) as one,
    ):
        assert one.websocket.request.headers["Host"] == "example.org"
        assert one.ping() > 0


def test_max_waiting_is_checked(server):
    with pytest.raises(ValueError, match="max_waiting of at least 1"):
        wslab.connect(server, max_waiting=0)


def test_names_and_labels(server):
    with wslab.connect(server) as one, wslab.connect(server, name="alice") as two:
        number = int(one.name.removeprefix("client "))
        assert two.name == "alice"
        until(lambda: len(server.connections) == 2)
        assert [c.label for c in server.connections] == [f"client {number}", "alice"]
        assert one.id != two.id
        assert len(one.id) == 6


def test_a_redirect_keeps_the_label_and_leaves_nothing(server):
    location = f"Location: {server.url}room"
    with (
        peers.raw_server(peers.answer("302 Found", b"", location)) as port,
        wslab.connect(f"ws://127.0.0.1:{port}/", name="moved") as client,
    ):
        client.send("x")
        assert client.recv(timeout=5) == "x"
        [connection] = server.connections
        assert (connection.label, connection.path) == ("moved", "/room")
        client.close()
        assert "1000" in client.why_closed
    until(lambda: not fork.closed_in_child or len(fork.closed_in_child) == 1)  # the server's own


def test_an_interrupt_while_it_connects_leaves_nothing():
    with peers.raw_server(peers.hold) as port:
        timer = interrupt_soon(0.1)
        with pytest.raises(KeyboardInterrupt):
            wslab.connect(f"ws://127.0.0.1:{port}/")
        timer.join()


def test_open_timeout_none_waits_and_can_be_interrupted():
    with peers.raw_server(peers.hold) as port:
        timer = interrupt_soon(0.1)
        with pytest.raises(KeyboardInterrupt):
            wslab.connect(f"ws://127.0.0.1:{port}/", open_timeout=None)
        timer.join()


def test_one_that_is_cancelled_while_it_opens_is_lost_and_says_so(server):
    """At whichever turn of the loop: uvloop tells nobody of one that it was just making."""

    async def open_and_cancel():
        for turns in range(150):
            told = []
            opener = Opener(
                Destination(server.url, None, {}), label="alice", tape=None,
                incoming=Incoming(10, asyncio.get_running_loop()), lost=told.append,
            )  # fmt: skip
            opening = asyncio.ensure_future(opener.open([]))
            for _ in range(turns % 15):
                await asyncio.sleep(0)
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await opening).websocket.close()
            if opener.latest is not None:
                await opener.latest.websocket.wait_closed()
                assert told == [opener.latest]

    portals.lab().call(open_and_cancel, timeout=60)

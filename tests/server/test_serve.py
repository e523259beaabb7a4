"""serve(): every keyword is handed on, and what can't be served is refused at once."""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import logging
import os
import pathlib
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from websockets.asyncio import server as ws_server
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

import wslab
from tests import peers
from tests.peers import until
from tests.server.rig import echo, says
from wslab.errors import HandshakeRefused, NestingRefused, PortInUse, WrongThread
from wslab.loops import fork, portals
from wslab.notebook import cells, owners


def test_a_port_and_a_name_of_ones_own():
    port = peers.free_port()
    with wslab.serve(echo, port=port, name="mine") as server:
        assert (server.port, server.name) == (port, "mine")
        assert says(server, "x") == ["x"]


def test_no_keyword_is_kept_back(monkeypatch):
    seen = {}
    real = ws_server.serve

    @functools.wraps(real)  # serve() asks for its parameters
    def spy(handler, *address, **kwargs):
        seen.update(kwargs)
        return real(handler, *address, **kwargs)

    def select(websocket, offered):
        return None

    given = {
        "origins": None,
        "extensions": [],
        "subprotocols": ["a"],
        "select_subprotocol": select,
        "compression": "deflate",
        "process_request": lambda websocket, request: None,
        "process_response": lambda websocket, request, response: None,
        "server_header": "me",
        "open_timeout": 1.5,
        "ping_interval": 2.5,
        "ping_timeout": 3.5,
        "close_timeout": 4.5,
        "max_size": 123,
        "max_queue": (4, 2),
        "write_limit": (8192, 1024),
        "logger": logging.getLogger("mine"),
        "create_connection": ws_server.ServerConnection,
        "backlog": 7,
        "reuse_address": True,
    }
    signature = inspect.signature(real).parameters
    assert set(signature) - {"handler", "host", "port", "kwargs"} <= set(given)
    monkeypatch.setattr(ws_server, "serve", spy)
    with wslab.serve(echo, **given) as server:
        assert says(server, "x", subprotocols=["a"]) == ["x"]
    wrapped = {"process_request", "process_response", "select_subprotocol", "create_connection"}
    for name in set(given) - wrapped:
        assert seen[name] is given[name]
    with pytest.raises(TypeError, match="unknown"):
        wslab.serve(echo, unknown=1)


def test_tls():
    with wslab.serve(echo, "localhost", ssl=peers.server_tls()) as server:
        assert server.url == f"wss://localhost:{server.port}/"
        assert server.is_secure
        with wslab.connect(server, ssl=peers.client_tls()) as client:
            client.send("secret")
            assert client.recv(timeout=5) == "secret"
            assert server.connections[0].label == client.name
        server.stop()
        assert "1000" in client.why_closed


def test_subprotocols():
    with wslab.serve(echo, subprotocols=["chat.v2", "chat.v1"]) as server:
        with wslab.connect(server, subprotocols=["chat.v1", "chat.v2"]) as client:
            assert client.subprotocol == "chat.v2"
            assert server.connections[0].subprotocol == "chat.v2"
        with pytest.raises(HandshakeRefused, match="missing subprotocol"):
            wslab.connect(server)
        assert server.refusals[0].status == 400


def test_compression_is_off_unless_asked_for():
    text = "a" * 10_000
    for ours, theirs, is_compressed in (
        (None, "deflate", False),
        ("deflate", None, False),
        ("deflate", "deflate", True),
    ):
        with (
            wslab.serve(echo, compression=ours) as server,
            wslab.connect(server, compression=theirs) as client,
        ):
            client.send(text)
            assert client.recv(timeout=5) == text
            received, sent, bytes_in, bytes_out = client.counts
            assert (received, sent) == (1, 1)
            assert (bytes_in < 5_000) is is_compressed
            assert (bytes_out < 5_000) is is_compressed
            [connection] = server.connections
            assert (connection.received, connection.sent) == (1, 1)
            assert bool(client.websocket.protocol.extensions) is is_compressed
    with pytest.raises(ValueError, match="zip"):
        wslab.serve(echo, compression="zip")


def test_extensions():
    deflate = ServerPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)
    with (
        wslab.serve(echo, extensions=[deflate]) as server,
        wslab.connect(server, compression="deflate") as client,
    ):
        header = client.websocket.response.headers["Sec-WebSocket-Extensions"]
        assert "server_max_window_bits=9" in header


def test_max_size():
    with wslab.serve(echo, max_size=1000) as server, wslab.connect(server) as client:
        client.send("x" * 1000)
        assert client.recv(timeout=5) == "x" * 1000
        client.send("x" * 1001)
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1009
        assert not server.errors


def test_the_message_size_limit_is_kept():
    with wslab.serve(echo) as server, wslab.connect(server, max_size=None) as client:
        client.send(b"x" * 2**20)
        assert len(client.recv(timeout=5)) == 2**20
        client.send(b"x" * (2**20 + 1))
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1009


def test_limits_reach_the_connection():
    seen = threading.Event()
    limits = {}

    async def look(websocket):
        limits["queue"] = (websocket.max_queue_high, websocket.max_queue_low)
        limits["write"] = websocket.transport.get_write_buffer_limits()
        limits["close"] = websocket.close_timeout
        limits["ping"] = (websocket.ping_interval, websocket.ping_timeout)
        seen.set()

    with (
        wslab.serve(
            look,
            max_queue=(6, 3),
            write_limit=(5000, 100),
            close_timeout=1.25,
            ping_interval=7,
            ping_timeout=8,
        ) as server,
        wslab.connect(server),
    ):
        assert seen.wait(5)
    assert limits == {"queue": (6, 3), "write": (100, 5000), "close": 1.25, "ping": (7, 8)}


def test_open_timeout_ends_a_handshake_that_never_comes():
    with wslab.serve(echo, open_timeout=0.05) as server, peers.dial(server.port, b"GET /") as sock:
        assert sock.recv(100) == b""
        assert says(server, "x") == ["x"]


def test_ping_interval():
    with wslab.serve(echo, ping_interval=0.02) as server, peers.raw_client(server.port) as client:
        first, payload = peers.read_frame(client)
        assert first == 0x89
        client.sendall(peers.frame(0xA, payload))
        assert peers.read_frame(client)[0] == 0x89


@pytest.mark.parametrize("name", ["wslab/test", None])
def test_server_header(name):
    with wslab.serve(echo, server_header=name) as server, wslab.connect(server) as client:
        assert client.websocket.response.headers.get("Server") == name


def test_logger():
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record)

    mine = logging.getLogger("tests.of.serve")
    mine.propagate = False
    mine.setLevel(logging.INFO)
    mine.addHandler(Keep())

    async def fail(websocket):
        raise ZeroDivisionError

    with wslab.serve(fail, logger=mine) as server, wslab.connect(server) as client:
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
    assert "connection handler failed" in [record.getMessage() for record in records]


def test_logging_works_as_the_documentation_of_websockets_says(caplog):
    caplog.set_level(logging.INFO, "websockets")
    with wslab.serve(echo) as server, wslab.connect(server):
        pass
    assert any(r.name.startswith("websockets.server") for r in caplog.records)


def test_a_port_that_is_taken_names_who_has_it(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        with pytest.raises(PortInUse, match="another program listens there") as taken:
            wslab.serve(echo, port=sock.getsockname()[1])
        assert taken.value.errno == errno.EADDRINUSE
        assert "leave port out" in str(taken.value)
    with wslab.serve(echo, name="kept", keep=True) as kept:
        with pytest.raises(PortInUse, match="own server 'kept'"):
            wslab.serve(echo, port=kept.port)
        assert kept.is_serving
    owner = owners.Owner(("cell", "one"), "first run")
    monkeypatch.setattr(owners, "current_owner", lambda: owner)
    with wslab.serve(echo, name="first") as server:
        owner = owners.Owner(("cell", "two"), "first run")
        with pytest.raises(PortInUse, match="own server 'first', started in another cell"):
            wslab.serve(echo, port=server.port)
        assert says(server, "x") == ["x"]
    cells.close_cell(("cell", "one"))
    cells.close_cell(("cell", "two"))


def test_a_scripts_second_server_on_a_port_replaces_the_first():
    port = peers.free_port()
    first = wslab.serve(echo, port=port)
    alice = wslab.connect(first)
    with wslab.serve(echo, port=port) as second:
        with pytest.raises(ConnectionClosed):
            alice.recv(timeout=5)
        assert alice.close_code == 1012
        assert not first.is_serving
        assert says(second, "x") == ["x"]


@pytest.mark.parametrize(
    ("page", "error"),
    [(3, TypeError), ("index.html", ValueError), (os.devnull + ".none", None)],
)
def test_a_page_that_could_never_be_served_is_refused_at_once(page, error):
    if error is None:
        with wslab.serve(echo, page=page):
            pass
        return
    with pytest.raises(error, match="page"):
        wslab.serve(echo, page=page)


def test_a_kernels_loop_is_refused_where_there_is_none():
    with pytest.raises(NestingRefused, match="running notebook kernel"):
        wslab.serve(echo, loop="kernel")
    with pytest.raises(ValueError, match='loop="lab" or loop="kernel"'):
        wslab.serve(echo, loop="main")


def test_serve_on_the_labs_loop_is_refused():
    async def nest():
        wslab.serve(echo)

    with pytest.raises(WrongThread):
        wslab.run(nest)


def test_a_hundred_starts_leave_nothing():
    with wslab.serve(echo) as server:
        says(server, "x")
    lab = portals.lab()

    def there():
        return len(asyncio.all_tasks(lab.loop)), len(fork.closed_in_child), threading.active_count()

    def is_as_before():
        return all(now <= then for now, then in zip(there(), before, strict=True))

    before = there()
    for _ in range(100):
        with wslab.serve(echo) as server, wslab.connect(server) as client:
            client.send("x")
            client.recv(timeout=5)
    until(is_as_before)  # the last one's thread may still be on its way out
    assert lab.watchdog.watchers == 0


WITHOUT_UVLOOP = """
import asyncio, sys, threading
sys.modules["uvloop"] = None
import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def stuck(websocket):
    await asyncio.Event().wait()

with wslab.serve(echo) as server, wslab.serve(stuck) as other:
    alice, bob = wslab.connect(server), wslab.connect(other)
    assert type(alice.websocket.loop) is asyncio.SelectorEventLoop
    for message in ("text", b"binary", "x" * 300_000):
        alice.send(message)
        assert alice.recv(timeout=5) == message
    alice.send(part for part in ("a", "b"))
    assert alice.recv(timeout=5) == "ab"
    server.restart()
    assert list(alice) == [] or True
except_code = alice.close_code, bob.close_code
assert except_code == (1012, 1001), except_code
left = wslab.connect(server.restart() or server)  # an exit closes what is open
print("done")
"""


def test_without_uvloop_and_at_the_interpreters_exit():
    script = WITHOUT_UVLOOP.replace("    assert list(alice) == [] or True\n", "")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=pathlib.Path(__file__).parents[2],
    )
    # On a busy machine asyncio's debug mode says what has held up the loop; that is not the matter.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.stdout, said, done.returncode) == ("done\n", [], 0)


def test_importing_starts_and_configures_nothing():
    script = (
        "import logging, sys, threading, wslab\n"
        "assert threading.active_count() == 1\n"
        "assert not logging.getLogger().handlers\n"
        "assert not {'uvloop', 'nest_asyncio2', 'ipywidgets', 'anywidget'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, cwd=Path(__file__).parents[2]
    )

"""serve() and Server: starting, handing on, stopping; what handlers and clients may do to it."""

from __future__ import annotations

import asyncio
import errno
import functools
import gc
import http
import inspect
import logging
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import weakref

import pytest
import websockets
from websockets.asyncio import server as ws_server
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close
from websockets.sync.client import connect as sync_connect

import wslab
from tests import inside, peers
from tests.peers import until
from wslab.errors import (
    HandshakeRefused,
    LoopBlocked,
    NestingRefused,
    PortalClosed,
    PortInUse,
    WrongThread,
)
from wslab.failures import kind_of
from wslab.loops import fork, portals
from wslab.notebook import cells


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def quiet(websocket):
    await websocket.wait_closed()


async def on_loop(coroutine_or_value):
    return coroutine_or_value


def says(server, *messages, **kwargs):
    """Send messages with a client that is not wslab's own; return the answers."""
    with sync_connect(server.url, proxy=None, **kwargs) as client:
        for message in messages:
            client.send(message)
        return [client.recv(timeout=5) for _ in messages]


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    """No test here makes the library print, or log what Python would print, whatever happens."""
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")


# Handlers as the websockets documentation writes them.


async def receiver(websocket):
    while True:
        await websocket.send(await websocket.recv())


async def receiver_that_catches(websocket):
    while True:
        try:
            message = await websocket.recv()
        except websockets.exceptions.ConnectionClosedOK:
            break
        await websocket.send(message)


async def both_with_gather(websocket):
    queue = asyncio.Queue()

    async def consumer_handler():
        async for message in websocket:
            await queue.put(message)

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    await asyncio.gather(consumer_handler(), producer_handler())


async def both_with_wait(websocket):
    queue = asyncio.Queue()

    async def consumer_handler():
        async for message in websocket:
            await queue.put(message)

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    _done, pending = await asyncio.wait(
        [asyncio.create_task(consumer_handler()), asyncio.create_task(producer_handler())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    for task in pending:
        task.cancel()


async def both_with_a_task_group(websocket):
    queue = asyncio.Queue()

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    async with asyncio.TaskGroup() as group:
        producer = group.create_task(producer_handler())
        async for message in websocket:
            await queue.put(message)
        producer.cancel()


class Echo:
    async def __call__(self, websocket):
        await echo(websocket)

    async def method(self, websocket):
        await echo(websocket)

    @staticmethod
    async def static(websocket):
        await echo(websocket)


async def with_prefix(prefix, websocket):
    await echo(websocket)


def logged(handler):
    @functools.wraps(handler)
    def wrapper(websocket):
        return handler(websocket)

    return wrapper


def as_task(websocket):
    return asyncio.ensure_future(echo(websocket))


HANDLERS = [
    echo,
    receiver,
    receiver_that_catches,
    both_with_gather,
    both_with_wait,
    both_with_a_task_group,
    Echo(),
    Echo().method,
    Echo.static,
    functools.partial(with_prefix, "x"),
    logged(echo),
    as_task,
    lambda websocket: echo(websocket),
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda h: getattr(h, "__name__", repr(type(h))))
def test_any_handler_works_unchanged(handler):
    with wslab.serve(handler) as server:
        assert says(server, "hello", b"\x00\xff") == ["hello", b"\x00\xff"]
        # A client that goes away without a word ends it, and that is nobody's mistake.
        peers.raw_client(server.port).close()
        with peers.raw_client(server.port) as client:
            until(lambda: len(server.connections) == 1)
            client.sendall(peers.close_frame(1000))
            assert peers.read_frame(client) == (0x88, b"\x03\xe8")
        until(lambda: not server.connections)
    assert not server.errors


def test_broadcast_with_a_set():
    connected = set()

    async def chat(websocket):
        connected.add(websocket)
        try:
            async for message in websocket:
                ws_server.broadcast(connected, message)
        finally:
            connected.remove(websocket)

    with (
        wslab.serve(chat) as server,
        wslab.connect(server) as alice,
        wslab.connect(server) as bob,
        wslab.connect(server) as carol,
    ):
        everybody = (alice, bob, carol)
        until(lambda: len(connected) == 3)
        for client in everybody:
            client.send("hello")
        for client in everybody:
            assert [client.recv(timeout=5) for _ in everybody] == ["hello"] * 3
        assert sorted(c.sent for c in server.connections) == [3, 3, 3]
        assert not server.errors


# What a server says of itself.


def test_it_accepts_when_serve_has_returned_and_the_port_is_free_when_stop_has():
    server = wslab.serve(echo)
    assert says(server, "x") == ["x"]
    assert server.is_serving
    assert server.url == f"ws://127.0.0.1:{server.port}/"
    assert server.name == "echo"
    assert repr(server) == f"<Server 'echo' at {server.url}, 0 connections>"
    server.stop()
    peers.assert_free(server.port)
    assert not server.is_serving
    assert repr(server) == f"<Server 'echo', stopped, was at {server.url}>"
    server.stop()
    with server:
        pass


def test_a_port_and_a_name_of_ones_own():
    port = peers.free_port()
    with wslab.serve(echo, port=port, name="mine") as server:
        assert (server.port, server.name) == (port, "mine")
        assert says(server, "x") == ["x"]


def test_connections():
    with wslab.serve(echo) as server:
        with (
            wslab.connect(server, name="alice", subprotocols=None) as alice,
            wslab.connect(f"{server.url}room?x=1", name="bob") as bob,
        ):
            assert [c.label for c in server.connections] == ["alice", "bob"]
            one, two = server.connections
            assert (one.path, two.path) == ("/", "/room?x=1")
            assert one.remote_address[0] == "127.0.0.1"
            assert one.id != two.id
            assert len(one.id) == 6
            assert one.id == one.websocket.id.hex[:6]
            assert one.subprotocol is None
            assert 0 <= one.open_s < 60
            bob.send("hello")
            assert bob.recv(timeout=5) == "hello"
            assert (two.received, two.sent) == (1, 1)
            assert (one.received, one.sent) == (0, 0)
            assert two.received_bytes == bob.counts[3]
            assert two.sent_bytes == bob.counts[2]
            assert repr(two) == f"<Connection {two.id} 'bob', 1 received, 1 sent>"
            alice.close()
            until(lambda: [c.label for c in server.connections] == ["bob"])
        until(lambda: server.connections == ())
        assert server.connections_seen == 2
        # A view that was kept goes on saying what it knew.
        assert two.label == "bob"
        assert two.path == "/room?x=1"


# Every keyword is handed on.


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


def test_select_subprotocol():
    seen = []

    def select(websocket, offered):
        seen.append((websocket.request.path, offered))
        return offered[-1]

    with (
        wslab.serve(echo, subprotocols=["a", "b"], select_subprotocol=select) as server,
        wslab.connect(f"{server.url}x", subprotocols=["a", "b"]) as client,
    ):
        assert client.subprotocol == "b"
        assert seen == [("/x", ["a", "b"])]


def test_select_subprotocol_may_refuse_or_fail():
    def refuse(websocket, offered):
        raise websockets.exceptions.NegotiationError("none of these")

    def fail(websocket, offered):
        raise LookupError("no such table")

    def leave(websocket, offered):
        sys.exit("enough")

    with wslab.serve(echo, subprotocols=["a"], select_subprotocol=refuse) as server:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(server, subprotocols=["b"])
        assert refused.value.status == 400
        assert not server.errors
        assert "none of these" in server.refusals[0].reason
    for hook, kind in ((fail, LookupError), (leave, SystemExit)):
        with wslab.serve(echo, subprotocols=["a"], select_subprotocol=hook) as server:
            with pytest.raises(HandshakeRefused) as refused:
                wslab.connect(server, subprotocols=["a"])
            assert refused.value.status == 500
            assert server.errors[0].where == "select_subprotocol"
            assert server.errors[0].kind == kind_of(kind())


@pytest.mark.parametrize("is_async", [False, True])
def test_process_request(is_async):
    def hook(websocket, request):
        if request.path == "/closed":
            return websocket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "later\n")
        if request.path == "/health":
            return websocket.respond(http.HTTPStatus.OK, "OK\n")
        websocket.hooked = True
        return None

    async def async_hook(websocket, request):
        await asyncio.sleep(0)
        return hook(websocket, request)

    with wslab.serve(echo, process_request=async_hook if is_async else hook) as server:
        assert says(server, "x") == ["x"]
        with pytest.raises(HandshakeRefused, match="later") as refused:
            wslab.connect(f"{server.url}closed")
        assert refused.value.status == 503
        assert (server.refusals[0].status, server.refusals[0].reason) == (503, "later")
        with peers.dial(server.port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
            assert peers.read_head(sock).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(f"{server.url}health")
        assert refused.value.status == 200
        assert server.refusals_seen == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_process_response(is_async):
    def hook(websocket, request, response):
        response.headers["X-Seen"] = request.path
        if request.path == "/no":
            return websocket.respond(http.HTTPStatus.FORBIDDEN, "not you\n")
        return None

    async def async_hook(websocket, request, response):
        await asyncio.sleep(0)
        return hook(websocket, request, response)

    with wslab.serve(echo, process_response=async_hook if is_async else hook) as server:
        with wslab.connect(f"{server.url}yes") as client:
            assert client.websocket.response.headers["X-Seen"] == "/yes"
        with pytest.raises(HandshakeRefused, match="not you"):
            wslab.connect(f"{server.url}no")
        assert [(r.status, r.reason) for r in server.refusals] == [(403, "not you")]


@pytest.mark.parametrize("hook", ["process_request", "process_response"])
@pytest.mark.parametrize("failure", [ZeroDivisionError("one"), SystemExit(3), KeyboardInterrupt()])
def test_a_hook_that_raises_is_recorded_and_harms_nobody_else(hook, failure):
    def fail(websocket, request, response=None):
        if request.path == "/bad":
            raise failure

    with wslab.serve(echo, **{hook: fail}) as server, wslab.connect(server) as alice:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(f"{server.url}bad")
        assert refused.value.status == 500
        [error] = server.errors
        assert error.where == hook
        assert (error.kind, error.message) == (kind_of(failure), str(failure))
        assert "in fail" in error.traceback
        assert "contextlib" not in error.traceback.split("in fail")[0]
        alice.send("still here")
        assert alice.recv(timeout=5) == "still here"


def test_basic_auth():
    async def who(websocket):
        await websocket.send(websocket.username)

    auth = ws_server.basic_auth("lab", ("alice", "secret"))
    with wslab.serve(who, process_request=auth) as server:
        url = server.url.replace("ws://", "ws://alice:secret@")
        with wslab.connect(url) as client:
            assert client.recv(timeout=5) == "alice"
            assert "secret" not in repr(client)
        with pytest.raises(HandshakeRefused, match="who you are") as refused:
            wslab.connect(server)
        assert refused.value.status == 401
        assert ("WWW-Authenticate", 'Basic realm="lab", charset="UTF-8"') in refused.value.headers
        with pytest.raises(HandshakeRefused, match="Invalid credentials") as refused:
            wslab.connect(url.replace("secret", "wrong"))
        assert "wrong@" not in str(refused.value)
        assert [r.status for r in server.refusals] == [401, 401]


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


class Shouting(ws_server.ServerConnection):
    async def send(self, message, **kwargs):
        await super().send(message.upper(), **kwargs)


class Slotted(ws_server.ServerConnection):
    __slots__ = ("note",)


def test_create_connection():
    made = []

    def factory(*args, **kwargs):
        made.append(Shouting(*args, **kwargs))
        return made[-1]

    for create in (Shouting, factory, functools.partial(Shouting)):
        with wslab.serve(echo, create_connection=create) as server, wslab.connect(server) as alice:
            alice.send("hello")
            assert alice.recv(timeout=5) == "HELLO"
            [connection] = server.connections
            assert isinstance(connection.websocket, Shouting)
            assert type(connection.websocket).__name__ == "Shouting"
            assert (connection.received, connection.sent) == (1, 1)
            assert connection.received_bytes == alice.counts[3]
    assert len(made) == 1
    for create in (Slotted, lambda *a, **k: Slotted(*a, **k)):
        with wslab.serve(echo, create_connection=create) as server:
            assert says(server, "x") == ["x"]


def test_a_create_connection_that_raises_is_recorded():
    def factory(*args, **kwargs):
        raise LookupError("no connection today")

    with wslab.serve(echo, create_connection=factory) as server:
        with pytest.raises(wslab.errors.ConnectFailed):
            wslab.connect(server, open_timeout=2)
        assert server.errors[0].where == "create_connection"
        assert str(server.errors[0]) == "LookupError: no connection today (in create_connection)"


def test_sock_and_restart_without_it():
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    with wslab.serve(echo, sock=sock) as server:
        assert server.url == f"ws://127.0.0.1:{port}/"
        assert says(server, "x") == ["x"]
        server.restart()
        assert server.port == port
        assert says(server, "x") == ["x"]
    peers.assert_free(port)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_unix_sockets(tmp_path):
    path = str(tmp_path / "lab.sock")
    with wslab.serve(echo, unix=True, path=path) as server:
        assert server.url == f"ws+unix://{path}"
        for target in (server, server.url):
            with wslab.connect(target, name="alice") as client:
                client.send("hello")
                assert client.recv(timeout=5) == "hello"
                assert server.connections[0].remote_address is None
                assert server.connections[0].label is None
        with wslab.connect("ws://localhost/", unix=True, path=path) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        server.restart()
        with wslab.connect(server) as client:
            assert client.ping() > 0
    with pytest.raises(wslab.errors.ConnectFailed):
        wslab.connect(server)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_tls_over_a_unix_socket(tmp_path):
    path = str(tmp_path / "lab.sock")
    with (
        wslab.serve(echo, unix=True, path=path, ssl=peers.server_tls()) as server,
        wslab.connect(server, ssl=peers.client_tls()) as client,
    ):
        assert server.url == f"wss+unix://{path}"
        assert client.ping() > 0


def has_ipv6():
    try:
        peers.free_port("::1")
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        (None, "127.0.0.1"),
        pytest.param("::1", "[::1]", marks=needs_ipv6),
        pytest.param("::", "[::1]", marks=needs_ipv6),
        pytest.param(["127.0.0.1", "::1"], "127.0.0.1", marks=needs_ipv6),
        pytest.param(["::1", "127.0.0.1"], "[::1]", marks=needs_ipv6),
    ],
)
def test_hosts(host, shown):
    with wslab.serve(echo, host) as server:
        assert server.url == f"ws://{shown}:{server.port}/"
        assert {sock.getsockname()[1] for sock in inside.sockets(server)} == {server.port}
        port = server.port
        assert says(server, "x") == ["x"]
        server.restart()
        assert server.port == port
        assert {sock.getsockname()[1] for sock in inside.sockets(server)} == {port}
        assert says(server, "x") == ["x"]


def own_address():
    """Return an address of this machine that is no loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.99", 9))  # sends nothing: it only chooses an interface
            address = sock.getsockname()[0]
            with socket.socket() as listener:
                listener.bind((address, 0))
        except OSError:
            return None
    return None if address.startswith("127.") or address == "0.0.0.0" else address


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("127.0.0.2", marks=pytest.mark.skipif(sys.platform == "darwin", reason="no")),
        "localhost",
        "0.0.0.0",
        "",
        pytest.param("::1", marks=needs_ipv6),
        pytest.param("::", marks=needs_ipv6),
        pytest.param(["::1", "127.0.0.1"], marks=needs_ipv6),
        pytest.param("own", marks=pytest.mark.skipif(not own_address(), reason="no other")),
    ],
)
def test_what_a_browser_is_told_leads_to_where_it_listens(host):
    with wslab.serve(echo, own_address() if host == "own" else host) as server:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(server.page_url, timeout=5) as answer:
            assert answer.status == 200
        # A page from there may connect, as a browser would send its Origin.
        origin = server.page_url.rstrip("/")
        direct = [way.url for way in server.routes if way.kind == "direct"]
        assert direct == [server.url]
        for url in (server.browser_url, *direct):
            with wslab.connect(url, origin=origin, proxy=None) as client:
                assert client.ping() > 0
        # But for a name that a web site made lead here, the address alone is no proof.
        with pytest.raises(HandshakeRefused):
            wslab.connect(server.url, proxy=None, origin=f"http://rebound.example:{server.port}")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_no_browser_can_open_a_unix_socket(tmp_path):
    with wslab.serve(echo, unix=True, path=str(tmp_path / "s")) as server:
        assert (server.browser_url, server.page_url) == ("", "")
        assert [way.kind for way in server.routes] == ["comm"]


def test_hosts_that_are_none():
    with pytest.raises(socket.gaierror):
        wslab.serve(echo, "no.such.host.invalid")
    with pytest.raises(OSError, match="192.0.2.1"):
        wslab.serve(echo, "192.0.2.1")  # kept for documentation: no machine has it


def test_start_serving_false():
    with wslab.serve(echo, start_serving=False) as server:
        assert not server.is_serving
        assert "not serving yet" in repr(server)
        with pytest.raises(wslab.errors.NobodyListening, match="not serving now"):
            wslab.connect(server)
        server.start_serving()
        assert server.is_serving
        assert says(server, "x") == ["x"]
    with pytest.raises(PortalClosed, match="restart"):
        server.start_serving()


# What cannot be served.


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
    owner = cells.Owner(("cell", "one"), "first run")
    monkeypatch.setattr(cells, "current_owner", lambda: owner)
    with wslab.serve(echo, name="first") as server:
        owner = cells.Owner(("cell", "two"), "first run")
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


# Stopping.


def test_fifty_clients_are_told_1001():
    seen = []

    async def note(websocket):
        await websocket.wait_closed()
        seen.append(websocket.close_code)

    with wslab.serve(note) as server:
        clients = [wslab.connect(server) for _ in range(50)]
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2
        for client in clients:
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
        assert {client.close_code for client in clients} == {1001}
        assert seen == [1001] * 50
        assert server.connections == ()
    peers.assert_free(server.port)


def test_a_handler_that_never_ends_is_cancelled():
    cancelled = threading.Event()

    async def endless(websocket):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with wslab.serve(endless) as server, wslab.connect(server) as client:
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        assert cancelled.is_set()
        assert client.close_code == 1001
        assert not server.errors


def test_a_handler_may_clean_up():
    done = threading.Event()

    async def tidy(websocket):
        try:
            await websocket.wait_closed()
        finally:
            await asyncio.sleep(0.05)
            done.set()

    with wslab.serve(tidy) as server, wslab.connect(server):
        server.stop()
        assert done.is_set()


def test_a_handler_that_swallows_cancellation_once_still_ends():
    async def stubborn(websocket):
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    with wslab.serve(stubborn) as server, wslab.connect(server):
        server.stop()
        assert not server.errors
    peers.assert_free(server.port)


def test_a_handler_that_swallows_every_cancellation_is_named():
    enough = threading.Event()

    async def stubborn(websocket):
        while not enough.is_set():
            try:
                await asyncio.sleep(0.01 if enough.is_set() else 60)
            except asyncio.CancelledError:
                pass

    server = wslab.serve(stubborn)
    client = wslab.connect(server)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    [error] = server.errors
    assert "swallows CancelledError" in str(error)
    assert error.where == "stubborn"
    peers.assert_free(server.port)
    assert client.close_code == 1001
    assert server.connections == ()
    enough.set()
    [task] = [t for t in asyncio.all_tasks(portals.lab().loop) if "handler" in repr(t.get_coro())]
    portals.lab().loop.call_soon_threadsafe(task.cancel)
    until(task.done)


def test_a_handler_that_blocks_is_named_with_its_line():
    let_go = threading.Event()

    async def block(websocket):
        async for _ in websocket:
            let_go.wait(20)

    server = wslab.serve(block)
    client = wslab.connect(server)
    client.send("x")
    until(lambda: not portals.lab().answers(0.02))
    began = time.monotonic()
    with pytest.raises(LoopBlocked) as blocked:
        server.stop(timeout=0.3)
    assert time.monotonic() - began < 2
    assert "block() at test_server.py:" in str(blocked.value)
    assert "`let_go.wait(20)`" in str(blocked.value)
    assert "It stops as soon as its loop is free" in str(blocked.value)
    assert "let_go.wait(20)" in server.held()
    let_go.set()
    server.stop()
    peers.assert_free(server.port)
    assert server.held() is None
    assert "handler block()" in server.stalls[-1].culprit
    until(lambda: client.state.name == "CLOSED")


@pytest.mark.parametrize("what", ["never answers", "half a handshake", "silent", "half a frame"])
def test_a_client_that_does_not_play_along_is_cut_off(what):
    async def greet(websocket):
        await websocket.send("hello")
        await websocket.wait_closed()

    with wslab.serve(greet) as server:
        if what == "silent":
            sock = peers.dial(server.port)
        elif what == "half a handshake":
            sock = peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        else:
            sock = peers.raw_client(server.port)
            assert peers.read_frame(sock) == (0x81, b"hello")
        if what == "half a frame":
            sock.sendall(b"\x81\xff\x00\x00")
        with sock:
            until(lambda: len(inside.at_tcp(server)) == 1)
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 4.5
            peers.assert_free(server.port)
            assert inside.at_tcp(server) == ()
            data = b""
            try:
                while more := sock.recv(1000):
                    data += more
            except ConnectionResetError:
                pass
            if what in ("never answers", "half a frame"):
                assert data.startswith(peers.close_frame(1001, masked=False))


def test_slow_lorises_do_not_hold_up_a_stop():
    with wslab.serve(echo) as server:
        socks = [peers.dial(server.port, b"GET / HTTP/1.1\r\n") for _ in range(20)]
        enough = threading.Event()

        def drip():
            while not enough.wait(0.01):
                for sock in socks:
                    try:
                        sock.sendall(b"X: y\r\n")
                    except OSError:
                        pass

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            until(lambda: len(inside.at_tcp(server)) == 20)
            assert says(server, "x") == ["x"]
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 1
        finally:
            enough.set()
            thread.join()
            for sock in socks:
                sock.close()
    peers.assert_free(server.port)


def test_an_unfinished_tls_handshake_does_not_hold_up_a_stop():
    with wslab.serve(echo, ssl=peers.server_tls(), open_timeout=1.5) as server:
        with peers.dial(server.port):
            assert says(server, "x", ssl=peers.client_tls(), server_hostname="localhost") == ["x"]
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 4.5
            peers.assert_free(server.port)


def test_too_short_a_timeout_says_so_and_not_that_the_loop_is_blocked():
    with wslab.serve(quiet) as server, peers.raw_client(server.port):
        until(lambda: len(server.connections) == 1)
        with pytest.raises(TimeoutError, match="goes on stopping") as late:
            server.stop(timeout=0.05)
        assert not isinstance(late.value, LoopBlocked)
        server.stop()
        peers.assert_free(server.port)


def test_two_threads_stop_it_at_once():
    with wslab.serve(quiet) as server:
        clients = [wslab.connect(server) for _ in range(5)]
        barrier = threading.Barrier(4)
        failures = []
        lock = threading.Lock()

        def stop():
            barrier.wait()
            try:
                server.stop()
                with lock:
                    peers.assert_free(server.port)
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=stop) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        server.stop()
        for thread in threads:
            thread.join()
        assert failures == []
        until(lambda: all(client.close_code == 1001 for client in clients))


@pytest.mark.parametrize("what", ["stop", "restart"])
def test_a_handler_must_not_wait_for_its_own_server(what):
    async def suicidal(websocket):
        async for _ in websocket:
            try:
                getattr(server, what)()
            except WrongThread as exc:
                await websocket.send(str(exc))

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        for _ in range(2):  # nothing has begun to stop
            client.send("x")
            assert f"await asyncio.to_thread(server.{what})" in client.recv(timeout=5)
        assert server.is_serving


def test_a_handler_may_stop_its_server_from_a_thread():
    async def suicidal(websocket):
        async for _ in websocket:
            await asyncio.to_thread(server.stop)

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        client.send("x")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1001
        server.stop()
        peers.assert_free(server.port)
        assert not server.errors


def test_a_handler_may_restart_its_server_from_a_thread():
    done = threading.Event()

    async def suicidal(websocket):
        async for message in websocket:
            if message == "restart":
                threading.Thread(target=lambda: (server.restart(), done.set())).start()
            await websocket.send(message)

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        client.send("restart")
        assert done.wait(5)
        with pytest.raises(ConnectionClosedError, match="service restart"):
            list(client)
        assert says(server, "x") == ["x"]


def test_restart_keeps_the_port_and_tells_1012():
    with wslab.serve(echo) as server:
        port = server.port
        alice = wslab.connect(server)
        for _ in range(3):
            server.restart()
            assert server.port == port
            assert server.is_serving
        with pytest.raises(ConnectionClosed):
            alice.recv(timeout=5)
        assert alice.close_code == 1012
        assert "service restart" in alice.why_closed
        assert says(server, "x") == ["x"]
        assert "restarted on the same port" in server.note
        server.stop()
        peers.assert_free(port)
        server.restart()  # after a stop it starts
        assert server.port == port
        assert says(server, "x") == ["x"]
    assert portals.lab().watchdog.watchers == 0


def test_restart_where_the_port_was_taken_meanwhile():
    server = wslab.serve(echo)
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        with pytest.raises(PortInUse):
            server.restart()
        assert not server.is_serving
        server.stop()
        server.stop()
        assert portals.lab().watchdog.watchers == 0
    server.restart()
    assert says(server, "x") == ["x"]
    server.stop()
    assert portals.lab().watchdog.watchers == 0


def test_stop_while_clients_come_and_go():
    with wslab.serve(echo) as server:
        enough = threading.Event()
        unexpected = []

        def hammer():
            while not enough.is_set():
                try:
                    with sync_connect(server.url, proxy=None, open_timeout=5) as client:
                        client.send("x")
                        client.recv(timeout=5)
                except (OSError, ConnectionClosed, InvalidStatus, EOFError):
                    pass
                except websockets.exceptions.InvalidMessage:
                    pass
                except BaseException as exc:
                    unexpected.append(exc)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: server.connections_seen > 10)
            for _ in range(5):
                seen = server.connections_seen
                server.restart()
                until(lambda seen=seen: server.connections_seen > seen + 3)
            server.stop()
            peers.assert_free(server.port)
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        assert unexpected == []
        assert not server.errors


def test_stop_after_the_lab_was_shut_down():
    server = wslab.serve(echo)
    client = wslab.connect(server)
    wslab.shutdown()
    assert not server.is_serving
    server.stop()
    client.close()
    assert client.state.name == "CLOSED"
    peers.assert_free(server.port)
    with pytest.raises(PortalClosed):  # a handle of an ended lab is told so
        server.restart()


# What handlers raise.


def failing(exc):
    async def handler(websocket):
        await websocket.recv()
        raise exc

    return handler


def test_an_exception_is_kept_with_its_traceback_and_the_client_gets_1011():
    async def divide(websocket):
        async for message in websocket:
            await websocket.send(str(1 / int(message)))

    with wslab.serve(divide) as server, wslab.connect(server) as client:
        before = time.time()
        client.send("2")
        assert client.recv(timeout=5) == "0.5"
        client.send("0")
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        [error] = server.errors
        assert (error.kind, error.message) == ("ZeroDivisionError", "division by zero")
        assert error.where == "divide"
        assert before <= error.at <= time.time()
        assert error.peer == server_side_address(client)
        assert str(error) == f"ZeroDivisionError: division by zero (in divide, for {error.who})"
        assert error.traceback.startswith("Traceback (most recent call last)")
        assert "str(1 / int(message))" in error.traceback
        assert os.path.join("server", "server.py") not in error.traceback
        assert os.path.join("loops", "watchdog.py") not in error.traceback
        assert ", 1 error>" in repr(server)
        assert "handler raised ZeroDivisionError: division by zero" in client.why_closed
        assert says(server, "4") == ["0.25"]


def server_side_address(client):
    return client._wire.address


@pytest.mark.parametrize("exc", [SystemExit(1), KeyboardInterrupt("x"), GeneratorExit()])
def test_what_would_end_the_process_ends_one_connection(exc):
    with wslab.serve(failing(exc)) as server, wslab.connect(server) as client:
        with wslab.connect(server) as other:
            client.send("x")
            with pytest.raises(ConnectionClosedError):
                client.recv(timeout=5)
            assert client.close_code == 1011
            assert [error.kind for error in server.errors] == [type(exc).__name__]
            assert other.ping() > 0


def test_what_a_handler_awaited_was_cancelled():
    async def confused(websocket):
        task = asyncio.create_task(asyncio.sleep(60))
        await websocket.recv()
        task.cancel()
        await task

    with wslab.serve(confused) as server, wslab.connect(server) as client:
        client.send("x")
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        [error] = server.errors
        assert error.kind == "asyncio.exceptions.CancelledError"
        assert "await task" in error.traceback


def test_the_end_of_ones_own_connection_is_no_error_and_of_another_one_is():
    both = []
    ended = threading.Semaphore(0)

    async def relay(websocket):
        both.append(websocket)
        try:
            async for message in websocket:
                await both[0].send(message)
        finally:
            ended.release()

    with wslab.serve(relay) as server:
        alice = wslab.connect(server)
        until(lambda: len(both) == 1)
        bob = wslab.connect(server)
        until(lambda: len(both) == 2)
        alice.websocket.loop.call_soon_threadsafe(alice.websocket.transport.abort)
        assert ended.acquire(timeout=5)
        until(lambda: both[0].state.name == "CLOSED")
        assert not server.errors
        bob.send("are you there?")
        with pytest.raises(ConnectionClosedError):
            bob.recv(timeout=5)
        assert bob.close_code == 1011
        [error] = server.errors
        assert error.kind == "websockets.exceptions.ConnectionClosedError"


def test_a_group_of_nothing_but_the_end_of_ones_own_connection_is_no_error():
    ended = threading.Event()

    async def grouped(websocket):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(websocket.recv())
        finally:
            ended.set()

    with wslab.serve(grouped) as server:
        with peers.raw_client(server.port):
            until(lambda: len(server.connections) == 1)
        assert ended.wait(5)
        until(lambda: not inside.handler_tasks(server))
        assert not server.errors


def test_another_connections_end_is_an_error_even_when_ones_own_has_ended():
    async def confused(websocket):
        await websocket.wait_closed()
        raise ConnectionClosedError(Close(4000, "another"), None)

    with wslab.serve(confused) as server:
        with wslab.connect(server):
            pass
        until(lambda: len(server.errors) == 1)


def test_a_handler_that_returns_closes_with_1000():
    async def brief(websocket):
        await websocket.send("bye")

    with wslab.serve(brief) as server, wslab.connect(server) as client:
        assert list(client) == ["bye"]
        assert client.close_code == 1000


def test_a_handler_that_is_none_after_all():
    def returns_a_number(websocket):
        return 42

    with wslab.serve(returns_a_number) as server, wslab.connect(server) as client:
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        assert "returned int" in str(server.errors[0])


def test_errors_are_bounded_and_counted():
    with wslab.serve(failing(ValueError("again"))) as server:
        for _ in range(60):
            with sync_connect(server.url, proxy=None) as client:
                client.send("x")
                with pytest.raises(ConnectionClosedError):
                    client.recv(timeout=5)
        assert len(server.errors) == 50
        assert server.errors_seen == 60
        assert "60 errors" in repr(server)


# Staying small.


def test_a_closed_connection_is_freed_without_the_collector():
    kept = []

    class Plain(ws_server.ServerConnection):
        pass

    async def note(websocket):
        kept.append(weakref.ref(websocket))
        await websocket.wait_closed()

    with wslab.serve(note, create_connection=Plain) as server:
        gc.collect()
        gc.disable()
        try:
            with wslab.connect(server) as client:
                until(lambda: kept)
                theirs = weakref.ref(client.websocket)
            until(lambda: not inside.handler_tasks(server))
            del client
            # The loop forgets its last callbacks when it has turned once more.
            until(lambda: wslab.run(on_loop, None) is None and kept[0]() is None)
            until(lambda: wslab.run(on_loop, None) is None and theirs() is None)
        finally:
            gc.enable()


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


# Without uvloop, and in a process of its own.

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
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_what_a_hubs_handler_lets_through_is_the_servers_to_show():
    hub = wslab.Hub()

    @hub.on("boom")
    async def boom(client, data):
        raise ValueError("out of dice")

    with wslab.serve(hub) as server, wslab.connect(server) as alice:
        with pytest.raises(wslab.errors.CallFailed, match="ValueError: out of dice"):
            alice.call("boom")
        (error,) = server.errors
        assert error.message == "out of dice"
        assert error.who == server.connections[0].id
        assert error.traceback.count("File") == 1
        server.restart()
    assert hub.failure_listeners == []

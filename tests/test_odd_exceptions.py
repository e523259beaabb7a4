"""What user code raises that is no Exception, or that asyncio takes for its own.

Each place where we call it must record the failure once, tell whoever asked,
and go on with the next event, for everybody.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

import wslab
from tests.peers import until
from wslab.errors import CallFailed, ConnectFailed, HandshakeRefused
from wslab.hub import Hub

KINDS = [
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    BaseException,
]
kinds = pytest.mark.parametrize("kind", KINDS)
ways = pytest.mark.parametrize("way", ["plain", "async", "returns an awaitable"])


def raising(way, kind, *, once=False):
    """Return a function that raises; ``once``: the first time, and returns 1 from then on."""
    calls = []

    def plain(*args):
        calls.append(args)
        if not once or len(calls) == 1:
            raise kind("odd")
        return 1

    async def asynchronous(*args):
        return plain(*args)

    return {
        "plain": plain,
        "async": asynchronous,
        "returns an awaitable": lambda *args: asynchronous(*args),
    }[way]


def is_about(kind, text):
    # In place of some there is a RuntimeError that names them, as Python itself does (PEP 479).
    return kind.__name__ in text


@kinds
@ways
def test_a_handler_of_a_hub(kind, way):
    hub = Hub()
    hub.on("odd", raising(way, kind, once=True))
    with wslab.serve(hub) as server, wslab.connect(server) as alice, wslab.connect(server) as bob:
        with pytest.raises(CallFailed) as failed:
            alice.call("odd")
        assert is_about(kind, str(failed.value))
        assert alice.call("odd") == bob.call("odd") == 1
        assert hub.errors_seen == server.errors_seen == 1
        assert "Traceback" in hub.errors[0].traceback


@kinds
@ways
def test_a_connect_handler_of_a_hub(kind, way):
    hub = Hub()
    hub.on("connect", raising(way, kind, once=True))
    hub.on("x", lambda client, data: data)
    with wslab.serve(hub) as server:
        with wslab.connect(server) as alice:
            until(lambda: alice.close_code == 1011)
        with wslab.connect(server) as bob:
            assert bob.call("x", 1) == 1
        assert hub.errors_seen == 1
        assert is_about(kind, str(hub.errors[0]))


@kinds
@ways
def test_a_disconnect_handler_of_a_hub(kind, way):
    hub = Hub()
    hub.on("disconnect", raising(way, kind))
    hub.on("x", lambda client, data: data)
    with wslab.serve(hub) as server:
        wslab.connect(server).close()
        until(lambda: hub.errors_seen == 1)
        with wslab.connect(server) as bob:
            assert bob.call("x", 1) == 1
        until(lambda: hub.errors_seen == 2)


@kinds
@ways
def test_a_handler_of_a_client(kind, way):
    hub = Hub()
    with wslab.serve(hub) as server, wslab.connect(server) as alice:
        alice.on("odd", raising(way, kind, once=True))
        [client] = hub.clients.values()
        with pytest.raises(CallFailed) as failed:
            wslab.run(client.call, "odd")
        assert is_about(kind, str(failed.value))
        assert wslab.run(client.call, "odd") == 1
        assert alice.errors_seen == 1
        assert "Traceback" in alice.errors[0].traceback


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@kinds
@ways
def test_a_handler_of_a_server(kind, way):
    fails = raising(way, kind)

    def handler(websocket):
        return fails(websocket) if websocket.request.path == "/odd" else echo(websocket)

    with wslab.serve(handler) as server, wslab.connect(server) as bob:
        with pytest.raises(ConnectionClosed):
            wslab.connect(f"{server.url}odd").recv(timeout=10)
        until(lambda: server.errors_seen)
        bob.send("still here")
        assert bob.recv(timeout=10) == "still here"
        [failure] = server.errors
        assert is_about(kind, str(failure))
        assert f"{kind.__name__}: odd" in failure.traceback
        assert failure.traceback.startswith("Traceback")
        assert server.errors_seen == 1


@kinds
def test_create_connection(kind):
    calls = []

    def create(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise kind("odd")
        return ServerConnection(*args, **kwargs)

    with wslab.serve(echo, create_connection=create) as server:
        with pytest.raises(ConnectFailed):
            wslab.connect(server, open_timeout=5)
        with wslab.connect(server) as bob:
            assert bob.ping() > 0
        assert is_about(kind, str(server.errors[0]))
        assert server.errors_seen == 1


@kinds
@pytest.mark.parametrize("way", ["plain", "async"])
def test_process_request(kind, way):
    hub = Hub()
    hub.on("x", lambda client, data: data)
    hook = raising(way, kind, once=True)

    def then_nothing(*args):
        hook(*args)

    async def then_nothing_async(*args):
        await hook(*args)

    hooks = {"plain": then_nothing, "async": then_nothing_async}
    with wslab.serve(hub, process_request=hooks[way]) as server:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(server)
        assert refused.value.status == 500
        with wslab.connect(server) as bob:
            assert bob.call("x", 1) == 1
        assert server.errors_seen == 1
        assert is_about(kind, str(server.errors[0]))


@kinds
@pytest.mark.parametrize("hook", ["select_subprotocol", "process_response"])
def test_other_hooks(kind, hook):
    hub = Hub()
    hub.on("x", lambda client, data: data)
    fails = raising("plain", kind, once=True)

    def then_nothing(*args):
        fails(*args)

    with wslab.serve(hub, **{hook: then_nothing}) as server:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(server, subprotocols=["a"])
        assert refused.value.status == 500
        with wslab.connect(server) as bob:
            assert bob.call("x", 1) == 1
        assert server.errors_seen == 1
        assert is_about(kind, str(server.errors[0]))


@kinds
@ways
def test_run(kind, way):
    # It goes to whoever called, as any exception does.
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        wslab.run(raising(way, kind), timeout=10)
    told = f"{type(raised.value).__name__}: {raised.value}"
    assert is_about(kind, told)
    assert wslab.run(asyncio.sleep, 0, "alive") == "alive"


@kinds
@pytest.mark.parametrize("way", ["plain", "async"])
def test_a_page(kind, way):
    hub = Hub()
    hub.on("x", lambda client, data: data)
    with wslab.serve(hub, page=raising(way, kind)) as server:
        url = server.url.replace("ws:", "http:")
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(url, timeout=10)
        answered.value.close()
        assert answered.value.code == 500
        with wslab.connect(server) as bob:
            assert bob.call("x", 1) == 1
        assert server.errors_seen == 1
        assert is_about(kind, str(server.errors[0]))

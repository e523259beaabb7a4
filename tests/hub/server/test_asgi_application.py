"""A hub inside an ASGI application: what is the hub's, what is the application's, who may come."""

from __future__ import annotations

import asyncio
import json

import pytest

import wslab
from tests import peers
from tests.hub.rig import TOKEN, aio, inside, one, until
from tests.hub.server.asgi_rig import Server
from wslab.errors import HandshakeRefused
from wslab.hub import Hub, Limits
from wslab.learn.stock_client import StockClient
from wslab.wire.http.message import HttpResponse


async def app(scope, receive, send):
    """The application inside: it says what it was asked."""
    await send({"type": "asked", "what": f"{scope['type']} {scope.get('path', '')}"})


async def opened(application, **scope):
    """Return the server and the task of a WebSocket that has been accepted."""
    server = Server(**scope)
    server.feed({"type": "websocket.connect"})
    task = server.call(application)
    await until(lambda: len(server.sent) > 1)
    assert server.sent[0] == {"type": "websocket.accept"}
    assert json.loads(server.texts[0])["event"] == "welcome"
    return server, task


async def refused(application, **scope):
    """Return status and text of a refusal before anything was accepted."""
    server = Server(extensions={"websocket.http.response": {}}, **scope)
    server.feed({"type": "websocket.connect"})
    await server.call(application)
    [start, body] = server.sent
    assert start["type"] == "websocket.http.response.start"
    return start["status"], body["body"].decode()


async def asked(application, path, **scope):
    server = Server("http", path, **scope)
    server.feed({"type": "http.request", "body": b""})
    await server.call(application)
    return server.sent


@aio
async def test_a_conversation():
    hub = Hub()
    hub.on("double", lambda client, data: data * 2)
    server, task = await opened(hub.asgi())
    server.feed('{"event": "double", "data": 21, "id": 1}')
    await until(lambda: len(server.texts) == 2)
    assert json.loads(server.texts[1]) == {"answer": 1, "data": 42}
    await hub.emit("news", {"file": b"bytes"})
    await until(lambda: len(server.texts) == 4)
    assert server.texts[3] == b"bytes"
    assert one(hub).address == ("10.0.0.1", 5)
    server.leave(1000)
    await task
    assert not hub.clients


@aio
async def test_what_is_not_the_hubs_is_the_applications():
    application = Hub().asgi(app, "/chat")
    for kind, path in (("websocket", "/ws"), ("websocket", "/chat/x"), ("http", "/"),
                       ("http", "/chat"), ("lifespan", "")):  # fmt: skip
        server = Server(kind, path)
        await server.call(application)
        assert server.sent == [{"type": "asked", "what": f"{kind} {path}"}]


@aio
async def test_alone_it_says_where_it_is():
    application = Hub("lobby").asgi()
    [start, body] = await asked(application, "/")
    assert (start["status"], body["body"]) == (
        404, b"Nothing is at '/'. The hub 'lobby' takes WebSockets at /ws\n",
    )  # fmt: skip
    assert (await asked(application, "/ws"))[0]["status"] == 426
    assert (await refused(application, path="/other"))[0] == 404
    server = Server("lifespan")
    server.feed({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await server.call(application)
    assert [m["type"] for m in server.sent] == [
        "lifespan.startup.complete", "lifespan.shutdown.complete",
    ]  # fmt: skip


@aio
async def test_mounted_below_another_path():
    server, task = await opened(Hub().asgi(), path="/below/ws", root_path="/below")
    server.leave()
    await task
    # A path that only begins alike is not below.
    assert (await refused(Hub().asgi(), path="/belowws", root_path="/below"))[0] == 404


@aio
async def test_http_that_is_the_hubs(monkeypatch):
    hub = Hub()

    async def http(request):
        if request.path == "/wslab/x":
            return HttpResponse(200, [("Content-Type", "text/javascript")], b"code")
        return None

    monkeypatch.setattr(hub, "http", http)
    application = hub.asgi(app)
    [start, body] = await asked(application, "/wslab/x")
    assert (start["status"], body["body"]) == (200, b"code")
    assert await asked(application, "/wslab/y") == [{"type": "asked", "what": "http /wslab/y"}]


@pytest.mark.parametrize(
    ("origin", "origins", "is_let_in", "may"),
    [
        (None, None, None, True),
        ("http://example.org", None, None, True),  # the host that it asks
        ("https://evil.example", None, None, False),
        ("null", None, None, False),
        ("https://ours.example", ["https://ours.example"], None, True),
        ("https://evil.example", ["https://ours.example"], None, False),
        ("https://evil.example", ["*"], None, True),
        ("http://localhost:8888", None, True, True),  # wslab.serve has judged
        ("https://evil.example", ["https://ours.example"], True, False),
    ],
)
@aio
async def test_whose_pages_may_come(origin, origins, is_let_in, may):
    application = Hub().asgi(origins=origins)
    headers = [(b"host", b"example.org")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    extensions = {"websocket.http.response": {}}
    if is_let_in is not None:
        extensions["wslab"] = {"is_let_in": is_let_in}
    server = Server(headers=headers, extensions=extensions)
    server.feed({"type": "websocket.connect"})
    task = server.call(application)
    await until(lambda: server.sent)
    if may:
        assert server.sent[0]["type"] == "websocket.accept"
        server.leave()
    else:
        assert server.sent[0]["status"] == 403
    await task


@aio
async def test_for_whom_there_is_no_place_is_told_before_it_opens():
    hub = Hub(history=10, limits=Limits(clients=1))
    application = hub.asgi()
    query = f"session={TOKEN}".encode()
    server, task = await opened(application, query_string=query)
    assert await refused(application) == (
        503, "1 clients are connected already: try again later\n",
    )  # fmt: skip
    assert hub.limited == {"clients": 1}
    # Whose session it is has that place.
    again, second = await opened(application, query_string=query + b"&offset=0")
    await until(lambda: server.sent[-1]["type"] == "websocket.close")
    assert server.sent[-1]["code"] == 4409
    for each in (server, again):
        each.leave()
    await asyncio.gather(task, second)
    await until(lambda: not inside(hub).admission.alive)


def test_a_path_that_is_none():
    with pytest.raises(ValueError, match="begin with /, got 'ws'"):
        Hub().asgi(path="ws")


def test_repr_tells():
    assert repr(Hub("lobby").asgi()) == "<hub 'lobby' at /ws>"
    assert repr(Hub("lobby").asgi(app, "/c")).startswith("<hub 'lobby' at /c around <function app")


def test_under_wslab_serve():
    hub = Hub("lobby")

    @hub.on("boom")
    async def boom(client, data):
        raise ValueError("it failed")

    with wslab.serve(hub.asgi()) as server:
        assert server.name == "lobby"
        with wslab.connect(server.url + "ws") as client:
            with pytest.raises(wslab.CallFailed, match="it failed"):
                client.call("boom", timeout=5)
            assert [str(each) for each in server.errors] == [str(each) for each in hub.errors]
            assert one(hub).websocket.traffic is server.connections[0]._traffic
            server.stop()
            assert client.close_code == 1001
        assert not hub.clients
    assert len(server.errors) == 1


def test_the_inner_application_alone_has_no_sockets():
    from starlette.applications import Starlette

    inner = Starlette()
    outer = Hub().asgi(inner)
    with wslab.serve(inner) as server, pytest.raises(HandshakeRefused):
        wslab.connect(server.url + "ws")
    with wslab.serve(outer) as server, wslab.connect(server.url + "ws") as client:
        assert client.recv(timeout=5)


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_a_stock_client_of_socket_io(transports):
    hub, said = Hub(), []
    hub.on("chat", lambda client, text: hub.emit("said", text, skip=client) and len(text))
    with wslab.serve(hub.asgi(app)) as server, wslab.connect(server.url + "ws") as plain:
        plain.on("said", said.append)
        with StockClient(server.url, transports=transports) as client:
            client.connect()
            assert client.ask("chat", "hello") == 5
            assert len(hub.clients) == 2
            peers.until(lambda: said == ["hello"])
        assert not client.troubles
        assert not server.errors


@aio
async def test_a_stock_client_that_may_not_come_is_told_before_it_opens():
    headers = [(b"host", b"example.org"), (b"origin", b"https://evil.example")]
    query = b"EIO=4&transport=websocket"
    status, text = await refused(
        Hub().asgi(app), path="/socket.io/", query_string=query, headers=headers
    )
    assert status == 403, text


@aio
async def test_a_hub_that_takes_no_socket_io_leaves_its_path_to_the_application():
    application = Hub(socketio=None).asgi(app)
    assert await asked(application, "/socket.io/") == [
        {"type": "asked", "what": "http /socket.io/"}
    ]


@aio
async def test_its_script_knows_where_its_sockets_are():
    [start, body] = await asked(Hub().asgi(app, "/chat"), "/wslab/hub.js")
    assert dict(start["headers"])[b"content-type"].startswith(b"text/javascript")
    assert b'const SOCKET = "../chat";' in body["body"]

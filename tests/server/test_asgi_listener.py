"""An application under wslab.serve: what a Server has for a handler, it has for this."""

from __future__ import annotations

import http.client
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests import peers
from tests.notebook.pretended import Shell
from tests.peers import until
from tests.server.asgi_rig import application, get, start
from wslab.notebook import cells
from wslab.notebook import shell as shells
from wslab.wire.events import BodyEvent, MessageEvent, RequestEvent


@pytest.fixture
def server():
    with wslab.serve(application) as server:
        yield server


def test_http_and_sockets_on_one_port(server):
    assert get(server) == (200, b"hello")
    assert get(server, body=b"x" * 100_000) == (200, b"x" * 100_000)
    with wslab.connect(server, name="ada") as ada:
        ada.send("hi")
        assert ada.recv(timeout=5) == "hi"
        [connection] = server.connections
        assert (connection.label, connection.received, connection.sent) == ("ada", 1, 1)
        assert (connection.path, connection.subprotocol) == ("/", None)
        assert connection.remote_address == ada.websocket.local_address[:2]
    assert server.connections_seen == 1
    assert server.name == "application"
    until(lambda: not server.connections)


def test_every_byte_is_on_the_tape(server):
    get(server, "/say", body=b"a body")
    with wslab.connect(server) as client:
        client.send("a text")
        client.recv(timeout=5)
    events = until(lambda: any(isinstance(e, MessageEvent) for e in server.tape.events) and
                   server.tape.events)  # fmt: skip
    asked = [e.request.target for e in events if isinstance(e, RequestEvent)]
    bodies = [e.data for e in events if isinstance(e, BodyEvent)]
    assert asked == ["/say", "/"]
    assert bodies == [b"a body", b"6\r\na body\r\n", b"0\r\n\r\n"]  # in chunks (RFC 9112 §7.1)
    assert [e.data for e in events if isinstance(e, MessageEvent)] == ["a text", "a text"]


def test_requests_one_after_the_other_on_a_connection(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for number in range(3):
        connection.request("GET", f"/{number}")
        assert connection.getresponse().read() == b"hello"
    connection.close()
    events = server.tape.events
    assert [e.request.target for e in events if isinstance(e, RequestEvent)] == ["/0", "/1", "/2"]
    assert len({e.connection_id for e in events}) == 1


def test_stop_tells_1001_and_ends_streams(server):
    clients = [wslab.connect(server) for _ in range(20)]
    stream = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    stream.request("GET", "/events")
    answer = stream.getresponse()
    assert answer.readline() == b"data: 1\n"
    began_s = time.monotonic()
    server.stop()
    assert time.monotonic() - began_s < 2
    for client in clients:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    assert {client.close_code for client in clients} == {1001}
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    stream.close()
    assert not server.errors
    peers.assert_free(server.port)


def test_restart_tells_1012_on_the_same_port(server):
    port = server.port
    with wslab.connect(server) as client:
        server.restart()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1012
    assert server.port == port
    assert get(server) == (200, b"hello")


def test_a_client_that_does_not_answer_holds_nobody_up(server):
    with peers.dial(server.port, peers.request(server.port)) as sock:
        peers.read_head(sock)
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 4
        assert peers.read_frame(sock) == (0x88, (1001).to_bytes(2, "big"))


def test_a_port_that_is_taken_is_refused_and_the_lifespan_ended():
    log = []

    async def living(scope, receive, send):
        for what in ("startup", "shutdown"):
            log.append((await receive())["type"])
            await send({"type": f"lifespan.{what}.complete"})

    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(wslab.errors.PortInUse, match="another program"):
            wslab.serve(living, port=other.getsockname()[1])
    assert log == ["lifespan.startup", "lifespan.shutdown"]


def test_a_script_that_serves_on_the_same_port_again_replaces_it(server):
    with wslab.connect(server) as client, wslab.serve(application, port=server.port) as again:
        assert not server.is_serving
        assert again.port == server.port
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1012


def test_on_a_unix_socket_and_with_tls(tmp_path):
    with wslab.serve(application, ssl=peers.server_tls()) as server:
        client = wslab.connect(f"wss://localhost:{server.port}/", ssl=peers.client_tls())
        with client:
            client.send("secret")
            assert client.recv(timeout=5) == "secret"
        assert any(isinstance(e, MessageEvent) for e in server.tape.events)
    with wslab.serve(application, unix=True, path=str(tmp_path / "s")) as server:
        with wslab.connect(server) as client:
            client.send("near")
            assert client.recv(timeout=5) == "near"
            assert server.connections[0].remote_address is None


def test_without_uvicorn_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn.config", None)
    with pytest.raises(ImportError, match=r"pip install 'wslab\[asgi\]'"):
        wslab.serve(application)


def test_keywords_of_handlers_are_refused():
    with pytest.raises(TypeError, match="process_request=... is for handlers"):
        wslab.serve(application, process_request=lambda *_: None)
    with pytest.raises(TypeError, match="page=... is for handlers"):
        wslab.serve(application, page="<p>hi")
    with pytest.raises(TypeError, match=r"got originz=...: did you mean origins="):
        wslab.serve(application, originz=[])


def test_keywords_of_uvicorn_and_of_both():
    async def mirror(scope, receive, send):
        assert scope["type"] == "http"
        await start(send)
        await send({"type": "http.response.body", "body": scope["root_path"].encode()})

    with wslab.serve(mirror, root_path="/deep", server_header=False) as server:
        assert get(server) == (200, b"/deep")
    with wslab.serve(application, max_size=10) as server, wslab.connect(server) as client:
        client.send("x" * 11)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1009


def test_a_starlette_application_with_a_page_an_api_and_a_socket():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route, WebSocketRoute

    async def api(request):
        return JSONResponse({"got": (await request.body()).decode()})

    async def socket(websocket):
        await websocket.accept(subprotocol="v1")
        while True:
            await websocket.send_text(await websocket.receive_text())

    routes = [Route("/api", api, methods=["POST"]), WebSocketRoute("/ws", socket)]
    with wslab.serve(Starlette(routes=routes)) as server:
        assert server.name == "Starlette"
        assert get(server, "/api", body=b"1") == (200, b'{"got":"1"}')
        with wslab.connect(server.url + "ws", subprotocols=["v1"]) as client:
            client.send("x")
            assert client.recv(timeout=5) == "x"
            assert server.connections[0].subprotocol == "v1"
        until(lambda: not server.connections)
        assert not server.errors  # Starlette lets WebSocketDisconnect through: it is no failure


def test_a_cell_that_runs_again_replaces_it_on_the_same_port(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(shells, "running_shell", lambda: shell)
    monkeypatch.setattr(shells, "_heard_shells", set())
    monkeypatch.setattr(cells, "_things", {})
    monkeypatch.setattr(cells, "_records", {})
    first = shell.run("A", lambda: wslab.serve(application))
    client = wslab.connect(first)
    second = shell.run("A", lambda: wslab.serve(application))
    assert (second.port, first.is_serving) == (first.port, False)
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=5)
    assert client.close_code == 1012
    assert "replaces what this cell had started" in second.note
    assert get(second) == (200, b"hello")
    wslab.shutdown()


def test_on_a_network_in_memory(memory_network):
    with wslab.serve(application) as server, wslab.connect(server) as client:
        client.send("x")
        assert client.recv(timeout=5) == "x"
        assert [each.received for each in server.connections] == [1]

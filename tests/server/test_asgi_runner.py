"""What each request of an application passes: Origin, errors, what is counted."""

from __future__ import annotations

import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests import peers
from tests.peers import until
from tests.server.asgi_rig import application, get, start
from wslab.errors import HandshakeRefused


@pytest.fixture
def server():
    with wslab.serve(application) as server:
        yield server


def test_what_it_lets_through_is_in_errors(server):
    assert get(server, "/boom") == (500, b"Internal Server Error")
    [failure] = server.errors
    assert "boom over HTTP" in str(failure)
    assert failure.where == "application"
    with wslab.connect(server) as client:
        client.send("boom")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    assert "boom, it said" in str(until(lambda: server.errors_seen == 2 and server.errors[-1]))


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8888", None),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_strangers_are_turned_away(server, origin, status):
    if status is None:
        with wslab.connect(server, origin=origin) as client:
            client.send("x")
            assert client.recv(timeout=5) == "x"
        return
    with pytest.raises(HandshakeRefused) as refused:
        wslab.connect(server, origin=origin)
    assert refused.value.status == 403
    assert b"does not let pages from" in refused.value.body
    [refusal] = server.refusals
    assert refusal.status == 403
    assert origin in refusal.reason


def test_origins_that_were_given():
    with wslab.serve(application, origins=["https://ours.example"]) as server:
        with wslab.connect(server, origin="https://ours.example") as client:
            client.send("x")
            assert client.recv(timeout=5) == "x"
        for origin in ("http://localhost", None):  # None is not in the list
            with pytest.raises(HandshakeRefused):
                wslab.connect(server, origin=origin)
    with wslab.serve(application, origins=[None]) as server, wslab.connect(server) as client:
        client.send("x")
        assert client.recv(timeout=5) == "x"
    with wslab.serve(application, origins=None) as server:  # everybody, as with a handler
        for origin in ("https://example.org", None):
            with wslab.connect(server, origin=origin) as client:
                client.send("x")
                assert client.recv(timeout=5) == "x"


def test_a_refusal_by_the_application_and_by_uvicorn():
    async def refusing(scope, receive, send):
        assert scope["type"] == "websocket"
        await receive()
        if scope["path"] == "/told":
            await start_denial(send)
        else:
            await send({"type": "websocket.close"})

    async def start_denial(send):
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"log in first"})

    with wslab.serve(refusing) as server:
        for path, status in (("", 403), ("told", 401)):
            with pytest.raises(HandshakeRefused) as refused:
                wslab.connect(server.url + path)
            assert refused.value.status == status
        with peers.dial(server.port, b"nonsense\r\n\r\n") as sock:
            assert b" 400 " in peers.read_head(sock)
        found = until(lambda: len(server.refusals) == 3 and server.refusals)
        assert [each.status for each in found] == [403, 401, 400]
        assert [each.reason for each in found][:2] == [
            "the application did not accept it",
            "log in first",
        ]
        assert server.refusals_seen == 3


def test_the_sign_of_the_tunnel_is_not_the_applications_business(monkeypatch, tmp_path):
    from wslab.tunnel.request_head import SECRET_HEADER

    async def mirror(scope, receive, send):
        assert scope["type"] == "http"
        await start(send)
        names = b" ".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.body", "body": names})

    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))  # there is one, on a fresh machine too
    with wslab.serve(mirror) as server:
        status, names = get(server, headers={SECRET_HEADER: "guess", "X-Other": "1"})
        assert status == 200
        assert SECRET_HEADER.lower().encode() not in names
        assert b"x-other" in names


def test_who_holds_the_loop_is_named(server):
    async def holding(scope, receive, send):
        assert scope["type"] == "http"
        time.sleep(0.4)  # noqa: ASYNC251 (that is what it is about)
        await start(send)
        await send({"type": "http.response.body"})

    with wslab.serve(holding) as server:
        get(server)
        assert "the application holding of server 'holding'" in server.blockages[-1].culprit


def test_what_swallows_its_cancellation_is_told_of():
    free = threading.Event()

    async def stubborn(scope, receive, send):
        import asyncio

        assert scope["type"] == "http"
        await start(send)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while not free.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                pass

    with wslab.serve(stubborn) as server:
        with peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
            peers.read_head(sock)
            server.stop()
            free.set()
            assert "keeps running after stop()" in str(server.errors[-1])


def test_another_application_takes_its_place(server):
    async def other(scope, receive, send):
        await start(send, 201)
        await send({"type": "http.response.body"})

    server.handler = other
    assert get(server)[0] == 201
    with pytest.raises(TypeError, match="other and echo differ"):
        server.handler = peers_echo


async def peers_echo(websocket):
    pass


peers_echo.__name__ = "echo"

"""Who is let in: hooks of the user's, Origins, and the page for everybody else."""

from __future__ import annotations

import asyncio
import http
import re
import sys
from http.client import HTTPConnection

import pytest
import websockets
from websockets.asyncio import server as ws_server

import wslab
from tests import peers
from tests.server.rig import echo, says, status_of
from wslab.errors import HandshakeRefused
from wslab.failures import kind_of
from wslab.notebook import page as noted


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
        with peers.dial(server.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
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


ALLOWED = [
    "http://localhost:8888",
    "https://localhost",
    "http://127.0.0.1:1234",
    "http://[::1]:8888",
]


FOREIGN = [
    "https://example.org",
    "http://example.org:8888",
    "http://localhost.example.org",
    "http://127.0.0.1.example.org",
    "http://localhost@example.org",
    "http://192.168.0.7:8888",
    "null",
    "",
    "file://",
    "localhost",
    "https://example.org, http://localhost",
]


@pytest.mark.parametrize("origin", ALLOWED)
def test_pages_of_this_machine_may_connect(server, origin):
    assert status_of(server, f"Origin: {origin}") == 101
    with wslab.connect(server, origin=origin) as client:
        assert client.ping() > 0


def test_a_client_that_is_no_page_may_connect(server):
    assert status_of(server) == 101
    assert server.refusals_seen == 0


@pytest.mark.parametrize("origin", FOREIGN)
def test_other_pages_are_refused_in_words_and_recorded(server, origin):
    status, text = peers.refused(server.port, f"Origin: {origin}")
    assert status == 403
    assert f"serve(..., origins=[{origin!r}, None])" in text
    assert "Any page on the web" in text or "any page on the web" in text
    [refusal] = server.refusals
    assert refusal.status == 403
    assert repr(origin) in refusal.reason
    assert "127.0.0.1" in refusal.address
    assert server.refusals_seen == 1
    assert server.connections_seen == 0
    assert not server.errors
    if origin:
        with pytest.raises(HandshakeRefused, match="Origin") as refused:
            wslab.connect(server, origin=origin)
        assert refused.value.status == 403


def test_two_origins_are_as_good_as_the_worse_one(server):
    good, bad = "Origin: http://localhost", "Origin: https://example.org"
    for pair in ((good, bad), (bad, good)):
        assert status_of(server, *pair) == 403
    assert not server.errors


def test_a_handshake_in_disguise_is_one_all_the_same(server):
    # What is no complete handshake gets no connection, whatever its Origin.
    raw = b"GET / HTTP/1.1\r\nOrigin: https://example.org\r\nupgrade: WEBSOCKET\r\n\r\n"
    with peers.dial(server.port, raw) as sock:
        assert peers.read_head(sock).startswith(b"HTTP/1.1 403 ")


def test_origins_are_handed_on():
    with wslab.serve(echo, origins=["https://example.org", re.compile(r"https://.*\.lab")]) as it:
        assert status_of(it, "Origin: https://example.org") == 101
        assert status_of(it, "Origin: https://a.lab") == 101
        for headers in ([], ["Origin: http://localhost:8888"], ["Origin: https://evil.org"]):
            assert status_of(it, *headers) == 403
        assert it.refusals_seen == 3
        assert "Origin" in it.refusals[0].reason
    with wslab.serve(echo, origins=None) as it:  # everybody, as websockets has it
        assert status_of(it, "Origin: https://example.org") == 101
    with wslab.serve(echo, origins=["https://example.org", None]) as it:
        assert status_of(it) == 101


def test_the_notebooks_own_page_may_connect(server, monkeypatch):
    origin = "https://hub.example.org"
    assert status_of(server, f"Origin: {origin}") == 403
    monkeypatch.setattr(noted, "_noted", {origin: "/user/alice/"})
    assert status_of(server, f"Origin: {origin}") == 101


def test_the_owners_hook_comes_after_the_origin():
    asked = []

    def hook(websocket, request):
        asked.append(request.headers.get("Origin"))

    with wslab.serve(echo, process_request=hook) as server:
        assert status_of(server, "Origin: https://example.org") == 403
        assert status_of(server) == 101
    assert asked == [None]


def ask(server, method, path="/", body=None):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def test_plain_http(server):
    status, headers, body = ask(server, "GET")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"WebSocket" in body
    assert len(body) == int(headers["Content-Length"])
    status, headers, empty = ask(server, "HEAD")
    assert (status, empty) == (200, b"")
    assert int(headers["Content-Length"]) == len(body)
    for path in ("/nowhere", "/favicon.ico"):
        status, _, body = ask(server, "GET", path)
        assert status in (204, 404)
    status, headers, _ = ask(server, "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert [refusal.status for refusal in server.refusals] == [405]  # a 404 is the page's affair
    assert server.connections_seen == 0
    with wslab.connect(server) as client:
        assert client.ping() > 0


def test_pages(tmp_path):
    file = tmp_path / "room.html"
    file.write_text("<h1>From a file</h1>")
    for page, expected in (
        ("<h1>My own</h1>", (200, b"My own")),
        (file, (200, b"From a file")),
        (lambda request: f"<p>You asked for {request.path}", (200, b"You asked for /")),
        (lambda request: None, (404, b"")),
        (None, (426, b"WebSocket endpoint")),
        (False, (426, b"WebSocket endpoint")),
    ):
        with wslab.serve(echo, page=page) as server:
            status, headers, body = ask(server, "GET")
            assert (status, expected[1] in body) == (expected[0], True)
            if status == 426:
                assert headers["Upgrade"] == "websocket"
            assert not server.errors
            with wslab.connect(server) as client:
                assert client.ping() > 0
    (tmp_path / "index.html").write_text("<h1>Index</h1>")
    with wslab.serve(echo, page=tmp_path) as server:
        assert b"Index" in ask(server, "GET")[2]
        assert b"From a file" in ask(server, "GET", "/room.html")[2]
        assert ask(server, "GET", "/../secret")[0] == 404


@pytest.mark.parametrize("failure", [ZeroDivisionError("page"), SystemExit(2)])
def test_a_page_that_fails_is_recorded_and_gives_nothing_away(failure):
    def page(request):
        raise failure

    with wslab.serve(echo, page=page) as server, wslab.connect(server) as client:
        status, _, body = ask(server, "GET")
        assert status == 500
        assert b"Traceback" not in body
        assert b"ZeroDivision" not in body
        assert server.errors[0].message == str(failure)
        assert server.errors[0].where == "page"
        assert client.ping() > 0

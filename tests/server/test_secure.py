"""Secure by default: who may connect, what is let in, and what never shows."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

import wslab
from tests import inside, peers
from wslab.errors import HandshakeRefused
from wslab.notebook import page as noted


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as server:
        yield server


def other_address():
    """Return an address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route
        except OSError:
            return None
        address = sock.getsockname()[0]
    return None if address.startswith("127.") else address


def test_it_listens_on_loopback_only(server):
    [sock] = inside.sockets(server)
    assert sock.getsockname()[0] == "127.0.0.1"
    address = other_address()
    if address is not None:
        with pytest.raises((ConnectionError, TimeoutError)):
            socket.create_connection((address, server.port), timeout=5).close()


def status_of(server, *headers):
    with peers.dial(server.port, peers.request(server.port, *headers)) as sock:
        return int(peers.read_head(sock).split(b" ", 2)[1])


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
    assert "127.0.0.1" in refusal.peer
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
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://example.org\r\nupgrade: WEBSOCKET\r\n\r\n"
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


def test_refusals_are_bounded(server):
    for _ in range(55):
        assert status_of(server, "Origin: https://example.org") == 403
    assert len(server.refusals) == 50
    assert server.refusals_seen == 55


def test_what_is_wrong_with_a_handshake_is_recorded_too(server):
    lines = peers.request(server.port).decode()
    for broken, status in (
        (lines.replace("Version: 13", "Version: 12"), 400),
        (lines.replace("Sec-WebSocket-Key: ", "X-Key: "), 400),
        (lines.replace("Connection: Upgrade", "Connection: close"), 426),
    ):
        with peers.dial(server.port, broken.encode()) as sock:
            assert peers.read_head(sock).startswith(b"HTTP/1.1 %d " % status)
    assert [refusal.status for refusal in server.refusals] == [400, 400, 426]


def test_what_is_no_http_at_all_is_hung_up_on():
    with wslab.serve(echo, open_timeout=0.2) as server:
        hang_up_on_junk(server)


def hang_up_on_junk(server):
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"SSH-2.0-x\r\n", b"\0" * 20_000):
        with peers.dial(server.port) as sock:
            try:
                sock.sendall(junk)
                while sock.recv(1000):
                    pass
            except ConnectionResetError:
                pass
    assert not server.errors
    with wslab.connect(server) as client:
        assert client.ping() > 0


# Plain HTTP, through a real socket.


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


# Proxies and secrets.


PROXY = r"the proxy at \w+://127\.0\.0\.1:\d+ on the way"  # it is named since it may be at fault


def test_no_proxy_stands_between_this_machine_and_itself(server, monkeypatch):
    def snoop(sock):
        asked.append(peers.read_head(sock))

    asked = []
    with peers.raw_server(snoop) as port:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for spelling in (name, name.upper()):
                monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for host in ("127.0.0.1", "localhost"):
            with wslab.connect(f"ws://{host}:{server.port}/") as client:
                assert client.ping() > 0
        assert asked == []
        # Elsewhere the proxy is used, as websockets does; and its failure is told as its own.
        with pytest.raises(wslab.errors.ConnectFailed, match=PROXY) as failed:
            wslab.connect("ws://example.org/", open_timeout=5)
        assert "proxy=None" in str(failed.value)
        assert len(asked) == 1
        assert asked[0].startswith(b"CONNECT example.org:80 ")
        with pytest.raises(wslab.errors.ConnectFailed, match=PROXY):
            wslab.connect("ws://example.org/", proxy=f"socks5://127.0.0.1:{peers.free_port()}")
        with pytest.raises(wslab.errors.ConnectFailed, match=PROXY):
            wslab.connect("ws://example.org/", proxy="gopher://127.0.0.1:1")


def test_secrets_in_a_url_do_not_show(server):
    url = f"ws://alice:hunter2@127.0.0.1:{server.port}/room?token=hunter2&x=1"
    with wslab.connect(url) as client:
        assert "hunter2" not in repr(client)
        assert "x=1" in repr(client)
        assert client.url == url  # the handle itself keeps what it was given
    with pytest.raises(wslab.errors.NobodyListening) as nobody:
        wslab.connect(url.replace(str(server.port), str(peers.free_port())))
    assert "hunter2" not in str(nobody.value)
    with pytest.raises(wslab.errors.BadURL) as bad:
        wslab.connect(url.replace("ws://", "http://"))
    assert "hunter2" not in str(bad.value)
    with peers.raw_server(peers.answer("403 Forbidden")) as port:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(url.replace(str(server.port), str(port)))
        assert "hunter2" not in str(refused.value)


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

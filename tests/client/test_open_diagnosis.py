"""Why a connection did not open: the type of the error, and its words."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import struct
import threading
import time
import traceback

import pytest

import wslab
from tests import peers
from tests.peers import until
from wslab.client import arguments
from wslab.client.open_diagnosis import not_opened
from wslab.errors import (
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    LoopBlocked,
    NobodyListening,
)
from wslab.loops import portals


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def fails(kind, target, *words, **kwargs):
    """Connect in vain; the error is of this very kind and has these words."""
    with pytest.raises(kind) as failed:
        wslab.connect(target, **kwargs)
    assert type(failed.value) is kind
    for word in words:
        assert word in str(failed.value)
    return failed.value


def test_nobody_listens():
    port = peers.free_port()
    for host in ("127.0.0.1", "localhost"):
        error = fails(
            NobodyListening, f"ws://{host}:{port}/", f"{host}:{port}", "is the port right?"
        )
        assert isinstance(error, ConnectionRefusedError)
    # The same where a name has several addresses, which asyncio tells as one text.
    several = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] x"
    )
    told = not_opened(several, f"ws://localhost:{port}/")
    assert type(told) is NobodyListening
    other = OSError("Multiple exceptions: [Errno 111] refused, [Errno 101] Network is unreachable")
    assert type(not_opened(other, "ws://localhost/")) is ConnectFailed


def test_a_server_of_ours_that_has_stopped():
    server = wslab.serve(echo)
    server.stop()
    fails(NobodyListening, server, "server.restart() starts it again")
    fails(NobodyListening, server.url, "Is the server running")


def test_who_reads_that_nobody_listens_sees_own_lines_and_not_asyncios():
    with pytest.raises(NobodyListening) as caught:
        wslab.connect(f"ws://127.0.0.1:{peers.free_port()}/")
    told = "".join(traceback.format_exception(caught.value))
    assert "OSError" in told or "ConnectionRefusedError" in told  # the cause is still named
    assert "wslab.connect(" in told
    assert f"{os.sep}asyncio{os.sep}" not in told
    assert told.count('  File "') <= 4, told  # frames, since lines differ from Python to Python


def test_an_unknown_host():
    error = fails(ConnectFailed, "ws://no-such-host.invalid/", "'no-such-host.invalid'", proxy=None)
    assert isinstance(error, ConnectionError)


# --- a proxy, a redirect, a header: each is named as what it is -------------------------------


@pytest.fixture
def through(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return lambda proxy: monkeypatch.setenv("http_proxy", proxy)


FAR = "ws://server.example:8000/"


def test_a_proxy_that_is_not_there(through):
    port = peers.free_port()
    through(f"http://me:secret@127.0.0.1:{port}")
    error = fails(ConnectFailed, FAR, f"127.0.0.1:{port}", "nothing listens there", "HTTP_PROXY")
    assert "secret" not in str(error)
    fails(ConnectFailed, FAR, "its name", proxy="http://proxy.invalid:3128")


@pytest.mark.parametrize(
    ("status", "words"), [("407 Proxy Authentication Required", "407"), ("502 Bad Gateway", "502")]
)
def test_a_proxy_that_refuses(through, status, words):
    with peers.raw_server(peers.answer(status)) as port:
        through(f"http://127.0.0.1:{port}")
        fails(ConnectFailed, FAR, f"the proxy at http://127.0.0.1:{port}", words)


def test_a_proxy_that_says_nothing(through):
    with peers.raw_server(peers.hold) as port:
        through(f"http://127.0.0.1:{port}")
        words = (f"the proxy at http://127.0.0.1:{port}", "in time, from it or from the server")
        fails(HandshakeTimeout, FAR, *words, open_timeout=0.2)


def test_a_proxy_that_did_its_part_is_not_blamed(through):
    def tunnel(sock):
        peers.read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        peers.answer("403 Forbidden")(sock)

    with peers.raw_server(tunnel) as port:
        through(f"http://127.0.0.1:{port}")
        assert "proxy" not in str(fails(HandshakeRefused, FAR, FAR, "403"))


def test_a_server_of_ours_needs_no_proxy(through, monkeypatch):
    through(f"http://127.0.0.1:{peers.free_port()}")
    with wslab.serve(echo) as server, monkeypatch.context() as elsewhere:
        # as at an address of one's own
        elsewhere.setattr(arguments, "is_loopback", lambda host: False)
        for target in (server, server.url):
            with wslab.connect(target) as alice:
                alice.send("hi")
                assert alice.recv(timeout=3) == "hi"


def test_where_a_redirect_led_to_is_named():
    port = peers.free_port()
    there = f"Location: ws://127.0.0.1:{port}/there"
    with peers.raw_server(peers.answer("302 Found", b"", there)) as first:
        words = (f"nothing listens at 127.0.0.1:{port}", f"ws://127.0.0.1:{first}/ had redirected")
        fails(NobodyListening, f"ws://127.0.0.1:{first}/", *words)
    with peers.raw_server(peers.answer("404 Not Found")) as last:
        there = f"Location: ws://127.0.0.1:{last}/there"
        with peers.raw_server(peers.answer("302 Found", b"", there)) as first:
            url = f"ws://127.0.0.1:{first}/"
            fails(HandshakeRefused, url, f"from ws://127.0.0.1:{last}/there (where {url} had")


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200 if self.path == "/" else 404
        body = b"<h1>Hello</h1>" if status == 200 else b"Nothing is here."
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_an_http_server(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        thread = threading.Thread(target=pages.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"ws://127.0.0.1:{pages.server_port}/"
            monkeypatch.setattr(Pages, "protocol_version", "HTTP/1.1")
            error = fails(HandshakeRefused, url, "got 200 OK", "no WebSocket at this path")
            assert "<h1>" not in str(error)
            assert error.status == 200
            assert error.body == b"<h1>Hello</h1>"
            assert dict(error.headers)["Content-Length"] == "14"
            error = fails(
                HandshakeRefused, f"{url}x", "404 Not Found", "Try another path", "Nothing is here."
            )
            assert error.status == 404
            # As `python -m http.server` answers.
            monkeypatch.setattr(Pages, "protocol_version", "HTTP/1.0")
            error = fails(HandshakeRefused, url, "got HTTP/1.0 200 OK", "no WebSocket at this path")
            assert error.status == 200
            error = fails(HandshakeRefused, f"{url}x", "got HTTP/1.0 404 Not Found", "another path")
            assert error.status == 404
        finally:
            pages.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("302 Found", "a redirect that was not followed"),
        ("400 Bad Request", "found the request itself wrong"),
        ("401 Unauthorized", "who you are"),
        ("403 Forbidden", "does not let you"),
        ("405 Method Not Allowed", "does not take GET"),
        ("418 I'm a Teapot", "see its body"),
        ("426 Upgrade Required", "another protocol or version"),
        ("429 Too Many Requests", "wait"),
        ("500 Internal Server Error", "its log says why"),
        ("502 Bad Gateway", "behind it"),
        ("503 Service Unavailable", "try again later"),
        ("504 Gateway Timeout", "in time"),
    ],
)
def test_a_server_that_refuses(status, words):
    with peers.raw_server(peers.answer(status, b"Because.", "X-Note: yes")) as port:
        error = fails(
            HandshakeRefused,
            f"ws://127.0.0.1:{port}/",
            f"expected 101 Switching Protocols from ws://127.0.0.1:{port}/, got {status}",
            words,
            "It said: Because.",
        )
        assert error.status == int(status[:3])
        assert ("X-Note", "yes") in error.headers
        assert error.body == b"Because."


def test_an_answer_without_a_length_and_one_that_is_long():
    def endless(sock):
        peers.read_head(sock)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"no " * 10_000)

    with peers.raw_server(endless) as port:
        error = fails(HandshakeRefused, f"ws://127.0.0.1:{port}/", "It said: no no")
        assert len(str(error)) < 700


def test_a_wrong_accept():
    def script(sock):
        peers.read_head(sock)
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAA\r\n\r\n"
        )
        peers.hold(sock)

    with peers.raw_server(script) as port:
        error = fails(
            HandshakeRefused, f"ws://127.0.0.1:{port}/", "but wrongly", "Sec-WebSocket-Accept"
        )
        assert error.status == 101


def test_a_server_that_speaks_something_else():
    def banner(sock):
        sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        peers.hold(sock)

    def hang_up(sock):
        peers.read_head(sock)

    def reset(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    with peers.raw_server(banner) as port:
        error = fails(HandshakeRefused, f"ws://127.0.0.1:{port}/", "SSH-2.0", "wss://")
        assert error.status == 0
    with peers.raw_server(hang_up) as port:
        fails(
            HandshakeRefused,
            f"ws://127.0.0.1:{port}/",
            "something else or nothing",
            "Something listens",
        )
    with peers.raw_server(reset) as port:
        with pytest.raises(ConnectFailed) as failed:
            wslab.connect(f"ws://127.0.0.1:{port}/")
        assert type(failed.value) in (HandshakeRefused, ConnectFailed)


def test_tls_where_there_is_none_and_none_where_there_is():
    with wslab.serve(echo, ssl=peers.server_tls()) as server:
        plain = server.url.replace("wss://", "ws://")
        fails(HandshakeRefused, plain, "Then the URL starts with wss://")
        error = fails(ConnectFailed, server, "the certificate of", "cafile=")
        assert "self-signed" in str(error) or "self signed" in str(error)
    with wslab.serve(echo) as server:
        secure = server.url.replace("ws://", "wss://")
        fails(ConnectFailed, secure, "the URL starts with ws://")
    with peers.raw_server(peers.answer("200 OK")) as port:
        context = ssl.create_default_context()
        fails(
            HandshakeTimeout,
            f"wss://127.0.0.1:{port}/",
            "starts with ws://",
            ssl=context,
            open_timeout=0.1,
        )


def test_a_certificate_for_another_host():
    with wslab.serve(echo, ssl=peers.server_tls()) as server:
        fails(
            ConnectFailed,
            server,
            "certificate",
            ssl=peers.client_tls(),
            server_hostname="example.org",
        )


def test_keywords_that_contradict_each_other_are_left_to_websockets():
    with wslab.serve(echo) as server:
        with pytest.raises(ValueError, match="ssl argument is incompatible"):
            wslab.connect(server, ssl=ssl.create_default_context())
        with pytest.raises(ValueError, match="compression"):
            wslab.connect(server, compression="zip")


@pytest.mark.parametrize("tls", [False, True])
def test_a_black_hole(tls):
    with peers.raw_server(peers.hold) as port:
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/"
        began = time.monotonic()
        error = fails(
            HandshakeTimeout, url, "did not finish in time", "open_timeout", open_timeout=0.1
        )
        assert time.monotonic() - began < 5
        assert isinstance(error, TimeoutError)


def test_a_server_whose_loop_is_blocked_is_named():
    let_go = threading.Event()

    async def block(websocket):
        await websocket.recv()
        let_go.wait(20)

    with wslab.serve(block) as server:
        first = wslab.connect(server)
        first.send("go")
        until(lambda: not portals.lab().answers(0.05))
        with pytest.raises(LoopBlocked, match=r"`let_go.wait\(20\)`"):
            wslab.connect(server, open_timeout=0.1)
        let_go.set()
        first.close()


PROXY = r"the proxy at \w+://127\.0\.0\.1:\d+ on the way"  # it is named since it may be at fault


def test_no_proxy_stands_between_this_machine_and_itself(monkeypatch, caplog):
    with wslab.serve(echo) as server:

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
    caplog.clear()  # asyncio's word on a proxy that hangs up: websockets lets an EOFError through

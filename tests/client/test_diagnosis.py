"""Why a connection did not open, or has closed: the type of the error, and its words."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Close
from websockets.protocol import State

import wslab
from tests import peers
from tests.peers import until
from wslab.client import diagnosis
from wslab.errors import (
    BadURL,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    LoopBlocked,
    NobodyListening,
    WslabError,
)
from wslab.failures import Failure
from wslab.loops import portal
from wslab.loops.watchdog import Stall


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")


def fails(kind, target, *words, **kwargs):
    """Connect in vain; the error is of this very kind and has these words."""
    with pytest.raises(kind) as failed:
        wslab.connect(target, **kwargs)
    assert type(failed.value) is kind
    for word in words:
        assert word in str(failed.value)
    return failed.value


# URLs.


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://localhost:8765/x", "write 'ws://localhost:8765/x'"),
        ("HTTPS://localhost", "write 'wss://localhost'"),
        ("localhost:8765", "write 'ws://localhost:8765'"),
        ("//localhost:8765", "write 'ws://localhost:8765'"),
        ("8765", "write 'ws://8765'"),
        ("", "it is empty"),
        ("ftp://localhost", "the scheme is ws or wss"),
        ("ws://", "it names no host"),
        ("ws:///path", "it names no host"),
        ("ws:/localhost", "it names no host"),
        ("ws://:8765", "it names no host"),
        ("ws://localhost/#top", "the part after # never leaves a browser"),
        ("ws://localhost/#", "the part after #"),
        ("ws://localhost:0/", "port 0"),
        ("ws://localhost:99999/", "Port out of range"),
        ("ws://localhost:x/", "Port could not be cast"),
        ("ws://[::1", "Invalid IPv6 URL"),
        ("ws://user@localhost/", "username provided without password"),
        (" ws://localhost/", "a space or a line's end"),
        ("ws://localhost/\r\nX-Evil: 1", "a space or a line's end"),
        ("ws://local host/", "a space or a line's end"),
        ("ws://localhost/a b", "%20"),
        (None, "got NoneType None"),
        (8765, "got int 8765"),
        (b"ws://localhost", "got bytes"),
    ],
)
def test_bad_urls(url, words):
    error = fails(BadURL, url, words)
    assert isinstance(error, ValueError)
    assert isinstance(error, WslabError)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("ws://example.org", "example.org", 80),
        ("wss://example.org/x?y=z", "example.org", 443),
        ("WS://EXAMPLE.org:1234", "example.org", 1234),
        ("ws://user:pass@example.org", "example.org", 80),
        ("ws://[::1]:9000/", "::1", 9000),
        ("ws://127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_good_urls(url, host, port):
    assert diagnosis.check_url(url) == (host, port)


def test_is_loopback():
    for host in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"):
        assert diagnosis.is_loopback(host)
    for host in ("example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0", "::", ""):
        assert not diagnosis.is_loopback(host)


# Connections that do not open.


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
    told = diagnosis.not_opened(several, f"ws://localhost:{port}/")
    assert type(told) is NobodyListening
    other = OSError("Multiple exceptions: [Errno 111] refused, [Errno 101] Network is unreachable")
    assert type(diagnosis.not_opened(other, "ws://localhost/")) is ConnectFailed


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
    assert len(told.splitlines()) < 16, told


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
        elsewhere.setattr(
            diagnosis, "is_loopback", lambda host: False
        )  # as at an address of one's own
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


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"additional_headers": {"X-City": "日本"}}, ("'X-City'", "'日'", "urllib.parse.quote")),
        ({"additional_headers": [("X-A", "a\r\nX-B: b")]}, ("'X-A'", "'\\r' at 1")),
        ({"additional_headers": {"X Room": "1"}}, ("name", "'X Room'")),
        ({"additional_headers": Headers({"": "1"})}, ("name", "''")),
        ({"origin": "http://bücher.example/日"}, ("'Origin'",)),
        ({"user_agent_header": "me\n"}, ("'User-Agent'",)),
        ({"subprotocols": ["chat room"]}, ("subprotocols", "'chat room'")),
    ],
)
def test_a_header_that_http_cannot_carry_is_named_before_anybody_is_asked(kwargs, words):
    with wslab.serve(echo) as server:
        with pytest.raises(ValueError, match="expected") as refused:
            wslab.connect(server, **kwargs)
        assert all(word in str(refused.value) for word in words)
        assert "X-B" not in str(refused.value)  # values may be secrets
        assert server.connections_seen == 0
        with pytest.raises(TypeError, match="'X-N' to hold a str, got int"):
            wslab.connect(server, additional_headers={"X-N": 1})
        carried = {"X-City": "Zürich", "X-Empty": "", "X-Tab": "a\tb"}
        wslab.connect(server, additional_headers=carried).close()


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
        until(lambda: not portal.lab().answers(0.05))
        with pytest.raises(LoopBlocked, match=r"`let_go.wait\(20\)`"):
            wslab.connect(server, open_timeout=0.1)
        let_go.set()
        first.close()


# Connections that end.


@contextlib.contextmanager
def connected(handler, *, serve=None, **kwargs):
    with wslab.serve(handler, **(serve or {})) as server:
        client = wslab.connect(server, **kwargs)
        yield server, client
        client.close()


def end(client):
    """Read to the end of the connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=15)


def test_the_server_stopped():
    with connected(echo) as (server, client):
        server.stop()
        end(client)
        assert client.why_closed == (
            "The server closed it with 1001 (going away: a server shuts down, or the user left the "
            "page)."
        )


def test_the_server_restarted():
    with connected(echo) as (server, client):
        server.restart()
        end(client)
        assert client.why_closed.startswith("The server closed it with 1012 (service restart")


def test_the_server_gave_its_own_reason():
    async def leave(websocket):
        await websocket.close(4001, "x")

    with connected(leave) as (_, client):
        end(client)
        assert client.why_closed == (
            "The server closed it with 4001 (private use: the application gives it a meaning) and "
            'the reason "x".'
        )


def test_the_server_gave_no_code():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.frame(8, masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        assert list(client) == []
        assert client.close_code == 1005
        assert "1005 (no status received" in client.why_closed


def test_this_client_closed():
    with connected(echo) as (_, client):
        client.ping()
        client.close(4000, "done")
        assert client.why_closed.startswith(
            "This client closed it with 4000 (private use: the application gives it a meaning) and "
            'the reason "done". The last ping was answered 0.'
        )


def test_a_pong_that_nobody_asked_for_answers_no_ping():
    def script(sock):  # RFC 6455 §5.5.3: it may come as a heartbeat of the other side's own
        peers.upgrade(sock)
        sock.sendall(peers.frame(0xA, b"alive", masked=False))
        sock.sendall(peers.close_frame(1000, masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        assert list(client) == []
        assert "ping" not in client.why_closed


def test_it_broke_off():
    async def cut(websocket):
        websocket.transport.abort()

    with connected(cut) as (_, client):
        end(client)
        assert client.close_code == 1006
        assert client.why_closed.startswith("The connection broke off: TCP ended without a close")
        assert "1006" in client.why_closed


def test_the_handler_raised():
    async def fail(websocket):
        await websocket.recv()
        raise LookupError("no such room")

    with connected(fail) as (server, client), wslab.connect(server) as other:
        client.send("x")
        end(client)
        assert client.why_closed == (
            "The server closed it with 1011 (internal error: something unexpected happened, such "
            "as an exception in a handler). The server's handler raised LookupError: no such room "
            f"(in fail, for {server.errors[0].who}); see server.errors."
        )
        other.close()
        assert "LookupError" not in other.why_closed


def test_a_handlers_error_is_told_to_its_own_client_only(tmp_path):
    async def fail(websocket):
        await websocket.recv()
        raise LookupError("no such room")

    # Over a Unix socket no client has an address that could tell it from another.
    with wslab.serve(fail, unix=True, path=str(tmp_path / "s")) as server:
        bad, good = wslab.connect(server), wslab.connect(server)
        bad.send("x")
        end(bad)
        good.close()
        assert "LookupError" not in good.why_closed
        assert "1011" in bad.why_closed


def test_an_error_of_an_earlier_client_on_the_same_port_is_not_this_ones():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        for at in (client._began_at - 1, client._began_at + 1):
            peer = client._wire.address
            error = Failure.of(KeyError(at), where="echo", who="abc123", peer=peer, at=at)
            server.errors.append(error)
            client.close()
            assert ("handler raised KeyError" in client.why_closed) is (at > client._began_at)


def test_its_cell_ran_again():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        client.begin_close(replaced=True).result(5)
        assert client.why_closed == (
            "Its cell ran again, so wslab closed it: the new client took its place."
        )


def test_the_server_broke_the_protocol():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(b"\x83\x00")  # a reserved opcode
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        until(lambda: client.state is State.CLOSING)
        client.close(timeout=0.2)
        assert "This client closed it with 1002 (protocol error" in client.why_closed
        assert "invalid opcode" in client.why_closed


def test_this_client_broke_the_protocol():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        client._portal.call(client.websocket.transport.write, b"\x83\x80\0\0\0\0")
        end(client)
        assert client.close_code == 1002
        assert "The server closed it with 1002 (protocol error" in client.why_closed


def test_too_big_for_the_server():
    with connected(echo) as (_, client):
        client.send("x" * (2**20 + 1))
        end(client)
        assert client.close_code == 1009
        assert "The server closed it with 1009 (message too big" in client.why_closed
        assert "1048577" in client.why_closed


def test_too_big_for_this_client():
    async def large(websocket):
        await websocket.send("x" * 2000)
        await websocket.wait_closed()

    with connected(large, max_size=1000) as (_, client):
        end(client)
        assert "This client closed it with 1009" in client.why_closed
        assert "connect(max_size=...) takes larger ones" in client.why_closed


def test_bad_utf8():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.frame(1, b"\xff", masked=False))
        assert peers.read_frame(sock)[1][:2] == b"\x03\xef"
        sock.sendall(peers.close_frame(1007, masked=False))

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        end(client)
        assert "This client closed it with 1007 (invalid payload data" in client.why_closed


# The keepalive.


def test_a_server_that_answers_no_ping():
    def script(sock):
        peers.upgrade(sock)
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(
            f"ws://127.0.0.1:{port}/", ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05
        )
        end(client)
        assert client.why_closed.startswith("This client closed it with 1011 (internal error): it")
        assert "no pong came in time" in client.why_closed
        assert "No ping was ever answered." in client.why_closed


def test_a_client_that_answers_no_ping():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.close_frame(1011, "keepalive ping timeout", masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        end(client)
        assert (
            "It had sent a ping, and this client's pong did not come in time" in client.why_closed
        )


def test_a_handler_that_blocks_the_loop_it_shares_with_the_client_is_the_cause():
    async def sleeper(websocket):
        await websocket.recv()
        # A ping needs a turn of the loop at the other end and its pong one more at this end.
        while websocket.close_code is None:
            time.sleep(0.3)  # noqa: ASYNC251 (this is what must be named)
            await asyncio.sleep(0)

    keepalive = {"ping_interval": 0.05, "ping_timeout": 0.2, "close_timeout": 0.1}
    with connected(sleeper, serve=keepalive, **keepalive) as (server, client):
        client.send("go")
        end(client)
        assert "1011" in client.why_closed
        assert "keepalive ping timeout" in client.why_closed or "no pong came" in client.why_closed
        assert "The event loop was blocked for " in client.why_closed
        assert "by the handler sleeper() of server 'sleeper'" in client.why_closed
        assert "That is the likely cause." in client.why_closed
        assert "sleeper()" in server.stalls[-1].culprit
        assert 0.29 < server.stalls[-1].duration_s < 5


BLOCKED_SERVER = """
import sys, threading, time, wslab

async def sleeper(websocket):
    await websocket.recv()
    time.sleep(float(sys.argv[1]))

server = wslab.serve(sleeper, ping_interval=None)
print(server.url, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def blocked_server(seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED_SERVER, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_a_handler_that_blocks_in_another_process():
    with blocked_server(30) as url:
        client = wslab.connect(url, ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1)
        until(lambda: client._wire.last_pong_s is not None)
        client.send("go")
        end(client)
        assert "This client closed it with 1011" in client.why_closed
        assert "no pong came in time" in client.why_closed
        assert "The last ping was answered 0." in client.why_closed
        assert "The server did not answer" not in client.why_closed


def test_the_clients_own_loop_was_blocked():
    def script(sock):
        # As a server's keepalive: a ping, and where no pong comes in time, 1011.
        peers.upgrade(sock)
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.sendall(peers.frame(9, b"?", masked=False))
                peers.read_frame(sock)
        sock.settimeout(10)
        sock.sendall(peers.close_frame(1011, "keepalive ping timeout", masked=False))
        closed.set()
        peers.read_frame(sock)

    def hog():
        closed.wait(10)
        # Long enough to be remembered as a stall, and until the frames are there.
        time.sleep(0.4)

    closed = threading.Event()
    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        portal.lab().loop.call_soon_threadsafe(hog)
        end(client)
        until(lambda: "The event loop was blocked for" in client.why_closed)
        assert "The server closed it with 1011" in client.why_closed
        assert "by something on the lab's loop" in client.why_closed
        assert "That is the likely cause." in client.why_closed


def test_messages_that_nobody_took_kept_the_pong_from_being_read():
    async def flood(websocket):
        for number in range(200_000):
            await websocket.send(f"{number}" + "x" * 1000)
            await asyncio.sleep(0)

    with wslab.serve(flood, ping_interval=None) as server:
        client = wslab.connect(
            server, max_waiting=50, ping_interval=0.1, ping_timeout=0.3, close_timeout=0.1
        )
        assert client._gone.wait(20)
        assert "This client closed it with 1011" in client.why_closed
        assert "messages had come that no recv() took" in client.why_closed
        assert "max_waiting=..." in client.why_closed
        count = 0
        with pytest.raises(ConnectionClosedError):
            for message in client:
                assert message.startswith(str(count))
                count += 1
        assert count >= 50


# The text by itself.


def told(exc, **kwargs):
    given = {
        "replaced": False,
        "last_pong_s": None,
        "ended_s": 100.0,
        "stalls": [],
        "handler_error": None,
        "unsent": 0,
        **kwargs,
    }
    return diagnosis.closed(exc, **given)


KEEPALIVE = ConnectionClosedError(None, Close(1011, "keepalive ping timeout"), None)
NORMAL = ConnectionClosedError(Close(1000, ""), Close(1000, ""), True)


def test_the_longest_stall_is_named():
    stalls = [Stall(90.0, 0.3, "one()"), Stall(96.0, 3.0, "two()"), Stall(95.0, 0.5, "three()")]
    text = told(KEEPALIVE, stalls=stalls, last_pong_s=95.5)
    assert "The last ping was answered 4.5 s before the end." in text
    assert (
        "The event loop was blocked for 3.0 s, until 1.0 s before the end, by two(): meanwhile "
        "nothing on it could read, answer or ping. That is the likely cause."
    ) in text
    assert "until the end" in told(KEEPALIVE, stalls=[Stall(97.0, 2.8, "two()")])


def test_a_short_stall_is_no_news_where_it_explains_nothing():
    assert "blocked" not in told(NORMAL, stalls=[Stall(99.0, 0.3, "one()")])
    long = told(NORMAL, stalls=[Stall(95.0, 2.0, "one()")])
    assert "blocked for 2.0 s" in long
    assert "likely cause" not in long


def test_counts_in_words():
    assert "The message sent last did not" in told(NORMAL, unsent=1)
    assert "The 2 messages sent last did not" in told(NORMAL, unsent=2)
    assert "1 message that came while" in told(NORMAL, discarded=1)
    assert "3 messages that came while" in told(NORMAL, discarded=3)
    assert "recv()" not in told(NORMAL, untaken=60)
    assert "60 messages had come that no recv() took" in told(KEEPALIVE, untaken=60)

"""Each request gets an answer, and each that is turned away is in the server's record."""

from __future__ import annotations

import gc
import socket
import ssl
import weakref

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request

import wslab
from tests import inside
from tests.peers import until
from wslab.websockets_compat.heads import has_body

ASKED = (
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
VERSION = "Sec-WebSocket-Version: 13\r\n"
HELLO = "GET / HTTP/1.1\r\n" + ASKED + VERSION + "\r\n"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def answer_to(port, *chunks, timeout_s=5.0):
    """Send the chunks and return all that comes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        for chunk in chunks:
            sock.sendall(chunk if isinstance(chunk, bytes) else chunk.encode())
        came = b""
        while data := sock.recv(2**16):
            came += data
        return came


TURNED_AWAY = {
    "no HTTP": (b"hello there\r\n\r\n", 400, "invalid HTTP request line"),
    "binary": (b"\x00\x01\xff\r\n\r\n", 400, "invalid HTTP request line"),
    "an empty line": (b"\r\n\r\n", 400, "invalid HTTP request line"),
    "HTTP/0.9": ("GET /\r\n\r\n", 400, "invalid HTTP request line"),
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported protocol"),
    "HTTP/1.0": (f"GET / HTTP/1.0\r\n{ASKED}{VERSION}\r\n", 505, "HTTP/1.0"),
    "TLS": (bytes.fromhex("1603010200010001fc0303") + b"\1" * 500, 400, "this is TLS"),
    "a long line": (f"GET /{'a' * 9_000} HTTP/1.1\r\n\r\n", 414, "request line"),
    "a long header": (
        f"GET / HTTP/1.1\r\nX: {'a' * 9_000}\r\n\r\n",
        431,
        "its headers are too large",
    ),
    "a header without end": (
        f"GET / HTTP/1.1\r\nX: {'a' * 90_000}",
        431,
        "its headers are too large",
    ),
    "many headers": ("GET / HTTP/1.1\r\n" + "X: a\r\n" * 200, 431, "headers"),
    "no colon": ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "invalid HTTP header line"),
    "no ASCII": ("GET /\xfc HTTP/1.1\r\n\r\n", 400, "ascii"),
    "POST": ("POST / HTTP/1.1\r\n\r\n", 405, "got POST"),
    "POST, a body": ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405, "got POST"),
    "POST, chunks": (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        405,
        "got POST",
    ),
    "POST, a body like frames": (
        b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"\x81" * 300_000,
        405,
        "got POST",
    ),
    "POST, many lengths": (
        "POST / HTTP/1.1\r\n" + "Content-Length: 5\r\n" * 100_000 + "\r\n",
        400,
        "too many Content-Length",
    ),
    "a handshake by POST": (f"POST / HTTP/1.1\r\n{ASKED}{VERSION}\r\n", 405, "POST"),
    "a handshake with a body": (
        f"GET / HTTP/1.1\r\n{ASKED}{VERSION}Content-Length: 7\r\n\r\n\x01\x01\x01\x01\x01\x01\x01",
        400,
        "has no body",
    ),
    "a handshake with chunks": (
        f"GET / HTTP/1.1\r\n{ASKED}{VERSION}transfer-encoding:chunked\r\n\r\n0\r\n\r\n",
        400,
        "has no body",
    ),
    "another version": (
        f"GET / HTTP/1.1\r\n{ASKED}Sec-WebSocket-Version: 8\r\n\r\n",
        400,
        "Sec-WebSocket-Version",
    ),
}


@pytest.mark.parametrize("what", TURNED_AWAY)
def test_what_is_turned_away_is_answered_and_recorded(what):
    sent, status, reason = TURNED_AWAY[what]
    with wslab.serve(echo) as server, wslab.connect(server) as alice:
        came = answer_to(server.port, sent)
        assert came.startswith(f"HTTP/1.1 {status} ".encode())
        assert reason.encode() in came
        [refusal] = server.refusals
        assert refusal.status == status
        assert reason in refusal.reason
        assert refusal.address.startswith("127.0.0.1:")
        assert server.refusals_seen == 1
        assert not server.errors
        assert alice.ping() > 0


def test_a_head_in_pieces_is_read_as_one():
    sent, status, _ = TURNED_AWAY["POST, chunks"]
    with wslab.serve(echo) as server:
        assert answer_to(server.port, *[bytes([byte]) for byte in sent.encode()]).startswith(
            f"HTTP/1.1 {status} ".encode()
        )
        assert [refusal.status for refusal in server.refusals] == [status]


@pytest.mark.parametrize("body", ["", "Content-Length: 0\r\n", "Content-Length: 00\r\n"])
def test_a_handshake_whose_frames_come_with_it(body):
    with wslab.serve(echo) as server:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with sock:
            head = HELLO.replace("\r\n\r\n", f"\r\n{body}\r\n").encode()
            sock.sendall(head + b"\x81\x81\0\0\0\0a")
            came = b""
            while not came.endswith(b"\x81\x01a"):
                came += sock.recv(4096)
        assert came.startswith(b"HTTP/1.1 101 ")
        assert not server.refusals


def test_a_page_is_given_whatever_follows_the_request():
    with wslab.serve(echo, page="<p>hi") as server:
        for sent in (
            "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET /again HTTP/1.1\r\n\r\n",
        ):
            came = answer_to(server.port, sent)
            assert came.startswith(b"HTTP/1.1 200 ")
            assert came.endswith(b"<p>hi")
        assert answer_to(server.port, "GET /no HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
        assert not server.refusals  # a page's own affair


def test_a_hook_sees_a_body_announced():
    seen = []

    def look(websocket, request):
        seen.append((request.method, has_body(request), dict(request.headers.raw_items())))

    with wslab.serve(echo, process_request=look) as server:
        answer_to(server.port, "PUT /x HTTP/1.1\r\nA: b\r\ncontent-length: 2\r\n\r\nhi")
    assert seen == [("PUT", True, {"A": "b", "content-length": "2"})]


def test_has_body():
    def asked(*fields):
        headers = Headers()
        for name, value in fields:
            headers[name] = value
        return has_body(Request("/", headers))

    assert not asked()
    assert not asked(("Content-Length", "0"))
    assert asked(("Content-Length", "0"), ("Content-Length", "3"))
    assert asked(("Content-Length", "nonsense"))
    assert asked(("Transfer-Encoding", "chunked"))


def test_who_does_not_end_the_request_in_time():
    with wslab.serve(echo, open_timeout=0.2) as server:
        assert answer_to(server.port, "GET / HTTP/1.1\r\nHost") == b""
        until(lambda: server.refusals)
        [refusal] = server.refusals
        assert (refusal.status, refusal.reason) == (
            408,
            "hung up: the request did not end within 0.2 s (open_timeout)",
        )


def test_who_leaves_before_the_end_was_not_refused():
    with wslab.serve(echo) as server:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost"):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.sendall(sent)
        until(lambda: server.tape is not None and len(server.tape.connections) == 2)
        until(lambda: not inside.at_tcp(server))
        assert not server.refusals


def test_what_is_kept_of_refusals_is_bounded_in_bytes():
    with wslab.serve(echo) as server:
        for _ in range(60):
            answer_to(server.port, f"{'x' * 8_000}\r\n\r\n")
        assert server.refusals_seen == 60
        assert len(server.refusals) == 50
        assert sum(len(refusal.reason) for refusal in server.refusals) < 60_000


def test_a_tls_client_of_a_plain_server_hears_at_once():
    with wslab.serve(echo) as server:
        context = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|record layer"):
                context.wrap_socket(sock, server_hostname="localhost")
        until(lambda: server.refusals)
        assert "ws://" in server.refusals[0].reason


def test_a_refused_connection_is_let_go():
    gone = []

    def noted(*args, **kwargs):
        connection = ServerConnection(*args, **kwargs)
        gone.append(weakref.ref(connection))
        return connection

    with wslab.serve(echo, create_connection=noted) as server:
        answer_to(server.port, "POST / HTTP/1.1\r\n\r\n")

        def is_gone():
            gc.collect()
            return [reference() for reference in gone] == [None]

        until(is_gone)

"""HTTP/1.1 on one connection: keep-alive, pipelining, and the bounds of what a client stretches."""

from __future__ import annotations

import asyncio
import itertools
import resource
import threading

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wslab
from tests import peers
from tests.server.http_rig import Answering, is_closed, read_answer
from wslab.server import http_connection
from wslab.server.http_connection import HttpConnection
from wslab.wire.http.message import HttpResponse

HOST = b"Host: localhost\r\n"


@pytest.fixture
def handler():
    return Answering()


@pytest.fixture
def server(handler):
    with wslab.serve(handler, record=False) as server:
        yield server
    assert not server.errors


@pytest.fixture
def sock(server):
    with peers.dial(server.port) as sock:
        yield sock


def test_request_after_request_on_one_connection(sock, handler):
    for n in range(5):
        body = b"%d" % n * 1000
        sock.sendall(
            b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert read_answer(sock) == (200, body)
    assert len(handler.asked) == 5


def test_requests_that_are_sent_ahead_are_answered_in_order(sock):
    sock.sendall(
        b"".join(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n%d" % (10 + n)
            for n in range(50)
        )
    )
    for n in range(50):
        assert read_answer(sock) == (200, str(10 + n)[::-1].encode())


def test_a_body_in_chunks(sock):
    sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    sock.sendall(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert read_answer(sock) == (200, b"edcba")


def test_a_client_that_asks_first_whether_it_may_send(sock):
    sock.sendall(
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    assert peers.read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"abc")
    assert read_answer(sock) == (200, b"cba")


def test_head(sock):
    sock.sendall(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n")
    head = peers.read_head(sock)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 0" in head.lower()
    sock.sendall(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
    assert read_answer(sock) == (200, b"")


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"]
)
def test_a_client_that_wants_one_answer(sock, head):
    sock.sendall(head)
    assert read_answer(sock) == (200, b"")
    assert is_closed(sock)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"80000\r\n"
            + b"x" * 0x80000
            + b"\r\n80000\r\n"
            + b"x" * 0x80000
            + b"\r\n1\r\nx",
            413,
        ),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\nA: " + b"x" * 200_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n\x16\x03\x01 no more\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            400,
        ),
    ],
)
def test_what_cannot_be_read_or_is_too_large_is_told_and_ends_the_connection(sock, sent, status):
    sock.sendall(sent)
    if b"\r\nGET" in sent or b"\r\n\x16" in sent:
        assert read_answer(sock) == (200, b"")
    answer, text = read_answer(sock)
    assert answer == status
    assert text.startswith(b"Expected ")
    assert is_closed(sock)


def test_a_slow_head_and_a_slow_body(sock, server, monkeypatch):
    monkeypatch.setattr(http_connection, "HEAD_S", 0.1)
    monkeypatch.setattr(http_connection, "BODY_S", 0.1)
    sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\na")
    assert read_answer(sock)[0] == 408
    assert is_closed(sock)
    with peers.dial(server.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") as other:
        assert read_answer(other)[0] == 200
        other.sendall(b"GET / HTT")
        assert read_answer(other)[0] == 408
        assert is_closed(other)
    with peers.dial(server.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") as idle:
        assert read_answer(idle)[0] == 200
        assert is_closed(idle)  # without a word


def test_who_sends_ahead_and_does_not_read_is_read_no_further(server, handler):
    sock = peers.dial(server.port, b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
    assert handler.held.wait(5)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sock.settimeout(0.5)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 200 * 2**20:
            sent += sock.send(b"x" * 2**20)
    assert sent < 50 * 2**20  # what TCP itself holds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 20 * 2**10
    sock.close()


def test_a_client_that_has_gone_cancels_what_is_answered(server, handler):
    sock = peers.dial(server.port, b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
    assert handler.held.wait(5)
    sock.close()
    assert handler.let_go.wait(5)


def test_the_server_stops_with_a_get_that_is_held(handler):
    with wslab.serve(handler) as server:
        sock = peers.dial(server.port, b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
        idle = peers.dial(server.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(idle)[0] == 200
        assert handler.held.wait(5)
    assert handler.let_go.is_set()
    assert is_closed(sock)
    assert is_closed(idle)
    sock.close()
    idle.close()
    peers.assert_free(server.port)


def flooded(server, handler, flood):
    """Send a flood and, when its first request is there, one by itself; tell who came when."""
    with peers.dial(server.port) as first, peers.dial(server.port) as second:
        handler.may_go.clear()
        first.sendall(flood)
        peers.until(lambda: handler.asked)
        second.sendall(b"GET /alone HTTP/1.1\r\n" + HOST + b"\r\n")
        handler.may_go.set()
        assert read_answer(second)[0] == 200
        return [request.path for request in handler.asked]


def test_whoever_sends_many_requests_ahead_leaves_others_their_turn(server, handler):
    flood = b"GET /many HTTP/1.1\r\n" + HOST + b"\r\n"
    order = flooded(server, handler, flood * 2000)
    assert len(order) < 1500


def test_a_body_in_very_many_chunks(sock):
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    sock.sendall(head + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
    assert read_answer(sock) == (200, b"x" * 10_000)
    sock.sendall(head + b"1\r\nx\r\n" * 10_001)
    status, text = read_answer(sock)
    assert (status, b"10,000 chunks" in text) == (413, True)
    assert is_closed(sock)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_large_head_that_comes_at_once(sock, is_first):
    line = b"GET / HTTP/1.1\r\n" + HOST
    head = line + b"".join(b"A%d: %s\r\n" % (n, b"x" * 1000) for n in range(20)) + b"\r\n"
    if not is_first:
        sock.sendall(line + b"\r\n")
        assert read_answer(sock)[0] == 200
    sock.sendall(head)
    status, text = read_answer(sock)
    assert (status, text) == (431, b"Expected the head of a request of at most 16,384 bytes.\n")
    assert is_closed(sock)


def test_answers_that_nobody_reads_are_not_made():
    class Large(Answering):
        async def http(self, request):
            self.asked.append(request)
            return HttpResponse(200, (), b"x" * 2**20)

    handler = Large()
    flood = (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 1000
    with wslab.serve(handler, record=False) as server, peers.dial(server.port, flood) as sock:
        asked = 0
        while len(handler.asked) > asked or not asked:  # until no more of them are taken up
            asked = len(handler.asked)
            threading.Event().wait(0.3)
        assert asked < 30  # what TCP itself holds
        for _ in range(asked + 20):
            assert read_answer(sock)[0] == 200


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.sent, self.closed = b"", False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def can_write_eof(self):
        return True

    def write_eof(self):
        pass

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def answered(pieces):
    """Return what a connection answers to these reads, and what went wrong within."""
    wire, failed = Wire(), []

    async def answer(request, body):
        return 200, (("X", "y"),), request.method + request.target + body

    async def drain():
        pass

    connection = HttpConnection(
        wire, drain, answer, lambda: 1000, failed.append, lambda request, rest: False
    )
    connection.task = task = asyncio.ensure_future(connection.run())
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)
    connection.finish()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is not None:
        raise task.exception()
    return wire.sent, failed


def cut(data, at):
    places = sorted({0, len(data), *[each % (len(data) + 1) for each in at]})
    return [data[a:b] for a, b in itertools.pairwise(places)]


REQUESTS = st.lists(
    st.tuples(st.sampled_from([b"GET", b"POST"]), st.binary(max_size=50), st.booleans()),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(REQUESTS, st.lists(st.integers(0, 10_000), max_size=10))
def test_requests_cut_anywhere_get_the_same_answers(requests, at):
    stream, bodies = b"", []
    for method, body, is_chunked in requests:
        stream += method + b" /x HTTP/1.1\r\n" + HOST
        if is_chunked and body:
            stream += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            stream += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        bodies.append(method + b"/x" + body)
    sent, failed = asyncio.run(answered(cut(stream, at)))
    assert not failed
    client = h11.Connection(h11.CLIENT)
    got = []
    for method, _, _ in requests:
        client.send(h11.Request(method=method, target="/x", headers=[("Host", "h")]))
        client.send(h11.EndOfMessage())
        client.receive_data(sent)
        sent, body = b"", b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA
            body += bytes(event.data) if isinstance(event, h11.Data) else b""
        got.append(body)
        client.start_next_cycle()
    assert got == bodies


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_who_takes_it_for_a_proxy_is_told(version):
    head = f"CONNECT a:1 HTTP/{version}\r\nHost: h\r\n\r\n".encode()
    sent, failed = asyncio.run(answered([head]))
    assert not failed
    assert sent.startswith(b"HTTP/1.1 405 ")
    assert b"CONNECT is a proxy's" in sent


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [b"GET / HTTP/1.1\r\n", HOST, b"\r\n", b"Content-Length: 5\r\n", b"0\r\n\r\n",
                 b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Upgrade: x\r\n",
                 b"Connection: upgrade\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"ffffffffffffffff\r\n"]
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_comes_is_answered_or_closed(pieces):
    sent, failed = asyncio.run(answered(pieces))
    assert not failed
    assert sent[:9] in (b"", b"HTTP/1.1 ")

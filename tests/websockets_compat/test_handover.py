"""A connection handed over: every byte that came, the task that ends without a word, the record."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests import peers
from tests.hub.rig import until
from tests.server.http_rig import Answering, read_answer
from wslab.wire.events import BodyEvent, RequestEvent, ResponseEvent


def test_what_comes_with_the_head_and_after_it_is_all_there_and_recorded():
    body = bytes(range(256)) * 1000
    head = b"POST /x?y HTTP/1.1\r\nHost: [::1]\r\nContent-Length: %d\r\nA: b\r\n\r\n" % len(body)
    handler = Answering()
    with wslab.serve(handler) as server, peers.dial(server.port) as sock:
        for start in range(0, len(head), 7):
            sock.sendall(head[start : start + 7])
        sock.sendall(body)
        assert read_answer(sock) == (200, body[::-1])
        [request] = handler.asked
        assert (request.method, request.target, request.path) == ("POST", "/x?y", "/x")
        assert (request.header("a"), request.body) == ("b", body)
        assert request.address[0] == "127.0.0.1"
        events = server.tape.events
        assert [e.request.method for e in events if isinstance(e, RequestEvent)] == ["POST"]
        came = [e.data for e in events if isinstance(e, BodyEvent) and e.sender == "client"]
        assert b"".join(came) == body
        [answer] = [e.response for e in events if isinstance(e, ResponseEvent)]
        assert answer.status == 200


def test_websockets_go_on_beside_it():
    with wslab.serve(Answering()) as server, wslab.connect(server) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        with peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
            assert read_answer(sock) == (200, b"")
        client.send("still here")
        assert client.recv(timeout=5) == "still here"
        assert server.connections_seen == 1
        assert not server.errors


def test_over_tls():
    with (
        wslab.serve(Answering(), ssl=peers.server_tls()) as server,
        peers.dial(server.port) as raw,
        peers.client_tls().wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
        assert read_answer(sock) == (200, b"cba")
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(sock) == (200, b"")


@pytest.mark.asyncio
async def test_on_a_network_in_memory(memory_network):
    handler = Answering()
    with wslab.serve(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for n in range(2):
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab%d" % n)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(3) == b"%dba" % n
        writer.write(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(handler.held.is_set)
        writer.close()
        await until(handler.let_go.is_set)

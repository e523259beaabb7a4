"""Who asks for nothing, or for something slowly, is hung up on."""

from __future__ import annotations

import pytest

import wslab
from tests import peers
from tests.peers import until
from tests.server.asgi_rig import application


@pytest.fixture
def server():
    with wslab.serve(application, open_timeout=0.2) as server:
        yield server


def test_half_a_request_is_hung_up_on_in_time(server):
    with peers.dial(server.port, b"GET / HTTP/1.1\r\nHost:") as sock:
        assert sock.recv(10) == b""
    [refusal] = until(lambda: server.refusals)
    assert refusal.status == 408
    assert "did not end within 0.2 s" in refusal.reason


def test_silence_is_hung_up_on_without_a_word(server):
    with peers.dial(server.port) as sock:
        assert sock.recv(10) == b""
    assert not server.refusals


def test_half_a_second_request_is_hung_up_on(server):
    with peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT") as sock:
        data = b""
        while more := sock.recv(1000):
            data += more
    assert data.count(b"HTTP/1.1 200") == 1
    assert [each.status for each in until(lambda: server.refusals)] == [408]


def test_a_websocket_stays_open(server):
    with wslab.connect(server) as client:
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.4)
        client.send("x")
        assert client.recv(timeout=5) == "x"


def test_what_uvicorn_refuses_itself_is_a_refusal(server):
    status, text = peers.refused(server.port, "Sec-WebSocket-Version: 99")
    assert (status, [each.status for each in server.refusals]) == (400, [400])
    assert server.refusals[0].reason in text


def test_no_time_limit():
    with wslab.serve(application, open_timeout=None) as server:
        with peers.dial(server.port, b"GET / HTTP/1.1\r\n") as sock:
            sock.sendall(b"Host: localhost\r\n\r\n")
            assert b" 200 " in peers.read_head(sock)

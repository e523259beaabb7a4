"""One connection through a tap: what is carried, answered, and put on the tape."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import wslab
from tests import peers
from tests.taps.rig import all_of, echo, messages_of, reset, tapped
from wslab.taps import connection as module
from wslab.taps.listener import Listener

OPENS = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def opened(tap, path="/", **kwargs):
    return connect(f"ws://127.0.0.1:{tap.port}{path}", proxy=None, **kwargs)


@pytest.mark.usefixtures("each_loop")
def test_the_same_bytes_on_both_sides_and_on_the_tape():
    hashes = {}

    def server(sock):
        peers.upgrade(sock)
        came = all_of(sock)
        hashes["server"] = hashlib.sha256(came).hexdigest()
        sock.sendall(came[::-1])
        sock.shutdown(socket.SHUT_WR)

    with tapped(server) as tap, peers.raw_client(tap.port) as sock:
        sent = b"".join(peers.frame(2, peers.random_bytes(size)) for size in (0, 1, 200, 70_000))
        for at in range(0, len(sent), 999):
            sock.sendall(sent[at : at + 999])
        sock.shutdown(socket.SHUT_WR)
        assert all_of(sock) == sent[::-1]
        assert hashes["server"] == hashlib.sha256(sent).hexdigest()
        peers.until(lambda: not tap.connections)
        chunks = {"client": b"", "server": b""}
        for chunk in tap.tape.chunks():
            if chunk.what in chunks:
                chunks[chunk.what] += chunk.data
        assert chunks["client"].partition(b"\r\n\r\n")[2] == sent
        assert chunks["server"].partition(b"\r\n\r\n")[2] == sent[::-1]


def test_the_tape_holds_the_conversation_once_as_the_server_got_it():
    with wslab.serve(echo, compression="deflate", subprotocols=["b"]) as server:
        with wslab.tap(server, headers={"Authorization": "Bearer s3cret"}) as tap:
            with wslab.connect(
                tap.url + "feed?x=1", name="ana", subprotocols=["a", "b"], compression="deflate"
            ) as client:
                client.send("hello" * 100)
                assert client.recv(timeout=5) == "hello" * 100
                assert client.websocket.subprotocol == "b"
                [seen] = tap.connections
                assert (seen.label, seen.path, seen.subprotocol) == ("ana", "/feed?x=1", "b")
                assert (seen.received, seen.sent) == (1, 1)
                assert server.connections[0].path == "/feed?x=1"
                client.close(4001, "enough")
            peers.until(lambda: not tap.connections)
            [track] = tap.tape.connections
            assert track.server_address == f"127.0.0.1:{server.port}"
            kinds = [(event.kind, event.sender) for event in tap.tape.events]
            assert kinds[:3] == [
                ("opened", "client"),
                ("request", "client"),
                ("response", "server"),
            ]
            assert messages_of(tap.tape) == [("client", "hello" * 100), ("server", "hello" * 100)]
            request = tap.tape.events[1].request
            assert request.get("Host") == f"127.0.0.1:{server.port}"
            assert "s3cret" not in request.raw.decode()
            codes = [event.code for event in tap.tape.events if event.kind == "close"]
            assert codes == [4001, 4001]
            said = server.tape.read(reveal=True)[1].request
            assert said.get("Authorization") == "Bearer s3cret"
            assert said.get("Sec-WebSocket-Extensions").startswith("permessage-deflate")


@pytest.mark.usefixtures("each_loop")
def test_over_tls_to_the_server():
    with wslab.serve(echo, ssl=peers.server_tls()) as server:
        with wslab.tap(server.url, ssl=peers.client_tls()) as tap:
            with opened(tap) as client:
                client.send("hello")
                assert client.recv(timeout=5) == "hello"
            peers.until(lambda: not tap.connections)
            assert messages_of(tap.tape) == [("client", "hello"), ("server", "hello")]
            assert tap.tape.connections[0].is_secure
        with wslab.tap(server.url) as tap:
            with pytest.raises(InvalidStatus) as caught:
                opened(tap)
            assert caught.value.response.status_code == 502
            assert "certificate" in caught.value.response.body.decode()
            assert "certificate" in tap.errors[-1].message


def test_refusals_keep_their_status_and_body():
    with tapped(peers.answer("418 Teapot", b"short and stout", "X-A: b")) as tap:
        with pytest.raises(InvalidStatus) as caught:
            opened(tap)
        response = caught.value.response
        assert (response.status_code, response.body) == (418, b"short and stout")
        assert (response.reason_phrase, response.headers["X-A"]) == ("Teapot", "b")
        assert not tap.refusals


async def _page(request):
    body = await request.body()
    return PlainTextResponse(f"{request.url.path} {request.headers['host']} {body.decode()}")


async def _stream(request):
    async def events():
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def test_plain_http_passes_several_requests_on_one_connection():
    app = Starlette(routes=[Route("/events", _stream),
                            Route("/{p}", _page, methods=["GET", "POST"])])  # fmt: skip
    with wslab.serve(app) as server, wslab.tap(server) as tap:
        talk = http.client.HTTPConnection("127.0.0.1", tap.port, timeout=10)
        for method, path, body in (
            ("GET", "/a", ""),
            ("POST", "/b", "x" * 70_000),
            ("GET", "/c", ""),
        ):
            talk.request(method, path, body or None)
            said = talk.getresponse().read().decode()
            assert said == f"{path} 127.0.0.1:{server.port} {body}"
        talk.request("GET", "/events")
        assert talk.getresponse().read() == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert tap.connections_seen == 1
        talk.close()
        peers.until(lambda: not tap.connections)


def test_a_server_that_nobody_runs_gives_a_502_that_says_so():
    port = peers.free_port()
    with wslab.tap(f"ws://127.0.0.1:{port}/") as tap:
        status, said = peers.refused(tap.port)
        assert status == 502
        assert f"nothing listens at 127.0.0.1:{port}" in said
        assert f"nothing listens at 127.0.0.1:{port}" in tap.errors[-1].message
        [refusal] = tap.refusals
        assert (refusal.status, tap.refusals_seen, tap.errors_seen) == (502, 1, 1)
        assert refusal.address.startswith("127.0.0.1:")
        peers.until(lambda: not tap.connections)
        kinds = [event.kind for event in tap.tape.events]
        assert kinds == ["opened", "request", "response", "ended"]


def test_a_page_of_elsewhere_gets_a_403_and_the_server_nothing():
    with tapped(peers.hold) as tap:
        status, said = peers.refused(tap.port, "Origin: https://evil.example")
        assert (status, "origins=" in said) == (403, True)
        with peers.dial(tap.port, b"POST / HTTP/1.1\r\nHost: a\r\nOrigin: null\r\n\r\n") as sock:
            assert all_of(sock).startswith(b"HTTP/1.1 403 ")
        assert [refusal.status for refusal in tap.refusals] == [403, 403]
        assert not tap.errors


@pytest.mark.usefixtures("each_loop")
def test_an_answer_of_the_taps_own_is_read_by_who_still_sends():
    with tapped(peers.hold) as tap:
        with peers.dial(tap.port, b"POST / HTTP/1.1\r\nHost: a.example\r\n"
                        b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000) as sock:  # fmt: skip
            assert all_of(sock).startswith(b"HTTP/1.1 403 ")


def test_who_does_not_speak_http_is_told():
    with tapped(peers.hold) as tap, peers.dial(tap.port, b"\x16\x03\x01\x02\x00") as sock:
        assert b"TLS" in all_of(sock)
        assert tap.refusals[-1].status == 400


def test_a_head_has_its_time(monkeypatch):
    monkeypatch.setattr(module, "HEAD_S", 0.2)
    with tapped(peers.hold) as tap:
        with peers.dial(tap.port, b"GET / HTTP/1.1\r\n") as sock:
            assert all_of(sock).startswith(b"HTTP/1.1 408 ")
        with peers.dial(tap.port) as sock:  # a browser's, opened in advance
            assert all_of(sock) == b""
        assert [refusal.status for refusal in tap.refusals] == [408]


def test_connections_are_bounded():
    with tapped(lambda sock: (peers.upgrade(sock), peers.hold(sock)), max_connections=2) as tap:
        with peers.raw_client(tap.port), peers.raw_client(tap.port):
            status, _ = peers.refused(tap.port)
            assert status == 503
        peers.until(lambda: not tap.connections)
        peers.raw_client(tap.port).close()


def test_what_a_client_sends_too_early_is_bounded_and_not_lost(each_loop):
    """A peer that floods before its request is answered waits; then all of it goes on."""
    let_go, came = threading.Event(), []

    def server(sock):
        head = peers.read_head(sock)
        assert let_go.wait(20)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        came.append(len(all_of(sock)))
        assert head

    with tapped(server) as tap, peers.dial(tap.port, peers.request(tap.port)) as sock:
        sock.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 50_000_000:
                sent += sock.send(bytes(100_000))
        [one] = tap._listener.connections
        assert one.conversation.held_bytes <= module.EARLY_BYTES + 2**18
        let_go.set()
        sock.settimeout(10)
        sock.shutdown(socket.SHUT_WR)
        peers.until(lambda: came == [sent], 10)


def test_a_client_that_leaves_before_the_server_is_reached_leaves_nothing(monkeypatch):
    async def never(self, connection, make):
        await asyncio.Event().wait()

    monkeypatch.setattr(Listener, "_connect", never)
    with wslab.tap("ws://127.0.0.1:1/") as tap:
        sock = peers.dial(tap.port, peers.request(tap.port))
        peers.until(lambda: tap.connections_seen)
        reset(sock)
        with peers.dial(tap.port, b"GET / HT"):
            pass
        peers.until(lambda: tap.connections_seen == 2 and not tap.connections)
        assert not tap.errors


@pytest.mark.usefixtures("each_loop")
def test_a_flood_of_tiny_frames_is_carried_whole_and_counted():
    """A peer that wants the loop for itself: others get their turns meanwhile."""
    tiny, count = peers.frame(1, masked=False), 300_000

    def server(sock):
        if b"/flood" in peers.read_head(sock):
            sock.sendall(OPENS + tiny * count)
        else:
            sock.sendall(OPENS)
            sock.sendall(sock.recv(100))
        peers.hold(sock)

    with tapped(server, record=False) as tap:
        flood = peers.request(tap.port, path="/flood")
        with peers.dial(tap.port, flood) as one, peers.raw_client(tap.port) as other:
            other.sendall(b"hello")
            assert other.recv(100) == b"hello"
            left = len(OPENS) + len(tiny) * count
            while left:
                left -= len(one.recv(65_536))
            peers.until(lambda: tap.connections[0].sent == count)
        peers.until(lambda: not tap.connections)


@pytest.mark.usefixtures("each_loop")
def test_a_tap_that_stops_while_a_line_is_cut_leaves_nothing():
    with wslab.serve(echo) as server, wslab.tap(server) as tap, wslab.connect(tap) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        tap.connections[0].network.cut()
        client.send("again")
        peers.until(lambda: tap.connections[0].network.held_bytes)
        tap.stop()
        assert not tap.is_serving
        peers.until(lambda: client.close_code == 1006)
    peers.assert_free(tap.port)

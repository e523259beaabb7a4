"""Plain HTTP beside WebSockets: who answers, in which order, and how failures show."""

from __future__ import annotations

import http
import re

import pytest

import wslab
from tests import peers
from tests.server.http_rig import Answering, is_closed, read_answer
from tests.server.rig import status_of
from tests.server.test_admission import ask
from wslab.wire.http.message import HttpResponse


def test_what_the_handler_does_not_answer_gets_the_page_on_the_same_connection():
    handler = Answering()
    with wslab.serve(handler) as server, peers.dial(server.port) as sock:
        for method, path, status in (
            ("POST", "/none", 405),
            ("GET", "/none", 404),
            ("POST", "/a", 200),
            ("DELETE", "/none", 405),
        ):
            sock.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1\r\n\r\nx".encode()
            )
            assert read_answer(sock)[0] == status
        assert [refusal.status for refusal in server.refusals] == [405, 405]
        assert server.connections_seen == 0
        assert not server.errors


def test_what_the_handler_refuses_is_a_refusal_also_by_get():
    with wslab.serve(Answering()) as server:
        assert ask(server, "GET", "/no")[0] == 403
        assert [(r.status, r.reason) for r in server.refusals] == [(403, "not you")]


def test_its_page():
    class Silent(Answering):
        async def http(self, request):
            return None

    with wslab.serve(Silent(), page="<h1>My own</h1>") as server:
        status, headers, body = ask(server, "GET")
        assert (status, body) == (200, b"<h1>My own</h1>")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        status, headers, body = ask(server, "HEAD")
        assert (status, headers["Content-Length"], body) == (200, "15", b"")
    with wslab.serve(Silent(), page=None) as server:
        status, headers, _ = ask(server, "GET")
        assert (status, headers["Upgrade"]) == (426, "websocket")


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/fail", "ZeroDivisionError", "one"),
        ("/wrong", "TypeError", "expected http() to return an HttpResponse or None, got str"),
    ],
)
def test_a_handler_that_fails_is_seen_and_the_connection_goes_on(path, kind, message):
    with wslab.serve(Answering()) as server, peers.dial(server.port) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status, text = read_answer(sock)
        assert (status, b"one" in text) == (500, False)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(sock) == (200, b"")
        [error] = server.errors
        assert (error.kind, error.message, error.where) == (kind, message, "http")
        assert [refusal.status for refusal in server.refusals] == [500]


def test_a_header_that_would_be_two_is_not_sent():
    with wslab.serve(Answering()) as server, peers.dial(server.port) as sock:
        sock.sendall(b"GET /split HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = peers.read_head(sock)
        assert head.startswith(b"HTTP/1.1 500 ")
        assert b"C: d" not in head
        assert server.errors[0].where == "http"


def test_the_users_hooks_are_asked_first_for_each_request():
    seen = []

    def process_request(websocket, request):
        seen.append((request.method, websocket.request.path))
        if request.path == "/closed":
            return websocket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "later\n")
        return None

    def process_response(websocket, request, response):
        response.headers["X-Seen"] = request.path

    handler = Answering()
    hooks = {"process_request": process_request, "process_response": process_response}
    with wslab.serve(handler, **hooks) as server, peers.dial(server.port) as sock:
        sock.sendall(b"POST /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"x-seen: /a" in peers.read_head(sock).lower()
        sock.sendall(b"POST /closed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(sock) == (503, b"later\n")
        assert seen == [("POST", "/a"), ("POST", "/closed")]
        assert [request.path for request in handler.asked] == ["/a"]
        assert [(r.status, r.reason) for r in server.refusals] == [(503, "later")]


@pytest.mark.parametrize(
    ("kwargs", "origin", "is_let_in"),
    [
        ({}, None, True),
        ({}, "http://localhost:8888", True),
        ({}, "https://evil.example", False),
        ({}, "null", False),
        ({"origins": ["https://a.example", re.compile(r"https://.*\.lab")]}, "https://b.lab", True),
        ({"origins": ["https://a.example"]}, "http://localhost:8888", False),
        ({"origins": None}, "https://evil.example", True),
    ],
)
def test_the_handler_is_told_whose_pages_are_let_in(kwargs, origin, is_let_in):
    handler = Answering()
    with wslab.serve(handler, **kwargs) as server, peers.dial(server.port) as sock:
        line = f"Origin: {origin}\r\n" if origin else ""
        sock.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n".encode())
        assert read_answer(sock)[0] == 200
        assert handler.asked[0].is_let_in is is_let_in


def test_a_handshake_on_a_connection_that_speaks_http_makes_a_websocket_of_it():
    handler = Answering()
    with wslab.serve(handler) as server, peers.dial(server.port) as sock:
        for _ in range(2):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_answer(sock)[0] == 200
        assert not server.connections
        sock.sendall(peers.request(server.port, path="/room") + peers.frame(1, b"early"))
        assert peers.read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert peers.read_frame(sock) == (0x81, b"early")
        sock.sendall(peers.frame(1, b"hello"))
        assert peers.read_frame(sock) == (0x81, b"hello")
        [connection] = server.connections
        assert connection.path == "/room"
        kinds = [type(event).__name__ for event in server.tape.events]
        assert kinds.count("RequestEvent") == 3
        assert kinds.count("FrameEvent") == 4
        server.stop()
        assert peers.read_frame(sock)[0] == 0x88
        assert not server.errors


def test_a_handshake_there_is_checked_as_any_other():
    with wslab.serve(Answering()) as server:
        for line, status in (("Origin: https://evil.example", 403), ("Content-Length: 3", 400)):
            with peers.dial(server.port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_answer(sock)[0] == 200
                sock.sendall(peers.request(server.port, line))
                assert read_answer(sock)[0] == status
                assert is_closed(sock)
        assert [refusal.status for refusal in server.refusals] == [403, 400]


def test_a_handler_may_refuse_a_handshake():
    class Refusing(Answering):
        def refusal(self, request):
            self.asked.append(request)
            if request.path == "/no":
                return HttpResponse(400, (("Content-Type", "text/html"),), b"Session ID unknown")
            return None

    handler = Refusing()
    with wslab.serve(handler) as server:
        assert status_of(server) == 101
        with peers.dial(server.port, peers.request(server.port, path="/no")) as sock:
            assert read_answer(sock) == (400, b"Session ID unknown")
        assert [request.is_let_in for request in handler.asked] == [True, True]
        assert server.refusals[-1].reason == "Session ID unknown"


def test_a_bound_of_the_handlers_own():
    handler = Answering()
    handler.max_body_bytes = 10
    with wslab.serve(handler) as server, peers.dial(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n")
        assert read_answer(sock) == (
            413,
            b"Expected a body of at most 10 bytes, in at most 10,000 chunks.\n",
        )


def test_a_handler_is_told_when_its_server_closes():
    class Ending(Answering):
        async def end_http(self):
            ended.append(True)

    ended = []
    with wslab.serve(Ending()):
        assert not ended
    assert ended == [True]


def test_what_a_handler_lets_through_then_is_recorded():
    class Failing(Answering):
        async def end_http(self):
            raise ValueError("not today")

    with wslab.serve(Failing()) as server:
        pass
    assert [failure.summary for failure in server.errors] == ["ValueError: not today"]


def test_something_else_that_is_called_http_is_none_of_ours():
    class Other(Answering):
        http = "a client of something"

    with wslab.serve(Other()) as server, peers.dial(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(sock)[0] == 405
        assert is_closed(sock)

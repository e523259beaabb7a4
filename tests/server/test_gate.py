"""Who may open a WebSocket: attempts that must fail, and who gets through."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import wslab
from tests import peers
from tests.server.rig import echo, says
from wslab.errors import HandshakeRefused, Refused
from wslab.identity.identity import Identity


def auth(credentials):
    """Know alice, whose token is old, and mallory, who is not welcome."""
    if credentials.token == "of-mallory":
        raise Refused("mallory is banned")
    return {
        "of-alice": "alice",
        "of-bob": Identity("bob", time.time() + 60),
        "old": Identity("alice", time.time() - 1),
    }.get(credentials.token)


async def says_who(websocket):
    async for _ in websocket:
        await websocket.send(websocket.identity.user_id)


@pytest.fixture
def server():
    with wslab.serve(says_who, auth=auth) as server:
        yield server


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ((), 401, "no token came: bring one as `Authorization: Bearer TOKEN`"),
        (("Authorization: Bearer nobody's",), 401, "the token in the header is not one"),
        (("Authorization: Bearer old",), 401, "expired: come again with new credentials"),
        (("Authorization: Basic b2YtYWxpY2U=",), 401, "no token came"),
        (("Authorization: Bearer of-mallory",), 403, "mallory is banned"),
        (("Authorization: Bearer of-alice",) * 2, 401, "expected one Authorization header, got 2"),
        (("Authorization: Bearer of-alice", "Origin: https://evil.example"), 403, "evil.example"),
        (("Cookie: token=of-alice", "Origin: http://localhost:1"), 401, "no token came"),
    ],
)
def test_attempts_that_fail_before_the_101(server, headers, status, said):
    got, text = peers.refused(server.port, *headers)
    assert got == status
    assert said in text
    assert "101" not in text.splitlines()[0]
    challenge = [line for line in text.splitlines() if line.startswith("WWW-Authenticate")]
    assert bool(challenge) is (status == 401)
    assert server.connections_seen == 0  # the handler never ran
    assert said in server.refusals[-1].reason
    assert not server.errors


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("", {"Authorization": "Bearer of-alice"}),
        ("?access_token=of-alice", {}),
        ("?token=of-alice", {}),
        ("", {"Cookie": "token=of-alice"}),
    ],
)
def test_who_is_known_gets_through(server, path, headers):
    with wslab.connect(f"{server.url}{path}", additional_headers=headers) as client:
        client.send("who?")
        assert client.recv(timeout=5) == "alice"
    assert server.connections_seen == 1


def test_a_page_is_everybodys(server):
    with peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
        assert peers.read_head(sock).startswith(b"HTTP/1.1 200 ")


def test_cookies_count_from_pages_that_are_named():
    origin = "https://app.example"
    given = {"Cookie": "token=of-alice"}
    with (
        wslab.serve(says_who, auth=auth, origins=[origin]) as server,
        wslab.connect(server, origin=origin, additional_headers=given) as client,
    ):
        client.send("who?")
        assert client.recv(timeout=5) == "alice"
    # A browser brings the cookie whoever asks: every page may connect, but not as its reader.
    with wslab.serve(says_who, auth=auth, origins=None) as server:
        assert peers.refused(server.port, f"Origin: {origin}", "Cookie: token=of-alice")[0] == 401


def test_a_function_that_fails_lets_nobody_in():
    def broken(credentials):
        raise LookupError("no such table")

    def odd(credentials):
        return True

    for function, kind in ((broken, "LookupError"), (odd, "TypeError")):
        with wslab.serve(echo, auth=function) as server:
            status, text = peers.refused(server.port, "Authorization: Bearer of-alice")
            assert status == 500
            assert "of-alice" not in text
            assert (server.errors[-1].kind, server.errors[-1].where) == (kind, "auth")
            assert server.connections_seen == 0


def test_a_plain_function_runs_on_a_thread_and_holds_nobody_up():
    asked, may_answer = threading.Event(), threading.Event()

    def slow(credentials):
        if credentials.token == "slow":
            asked.set()
            assert may_answer.wait(10)
        return credentials.token

    with wslab.serve(says_who, auth=slow) as server:
        request = peers.request(server.port, "Authorization: Bearer slow")
        with peers.dial(server.port, request) as sock:
            assert asked.wait(10)
            with wslab.connect(server, token="quick") as client:
                client.send("who?")
                assert client.recv(timeout=5) == "quick"
            may_answer.set()
            assert peers.read_head(sock).startswith(b"HTTP/1.1 101 ")


def test_an_async_function_is_awaited():
    async def later(credentials):
        await asyncio.sleep(0)
        return credentials.token

    with wslab.serve(says_who, auth=later) as server, wslab.connect(server, token="x") as client:
        client.send("who?")
        assert client.recv(timeout=5) == "x"


def test_without_auth_there_is_no_identity():
    async def handler(websocket):
        await websocket.send(repr(websocket.identity))

    with wslab.serve(handler) as server, wslab.connect(server) as client:
        assert client.recv(timeout=5) == "None"


def test_a_handler_that_is_swapped_is_guarded_as_the_one_before():
    hub = wslab.Hub()
    with wslab.serve(hub, auth=auth) as server:
        assert hub.events == ("authenticate",)
        assert peers.refused(server.port)[0] == 401
        server.handler = says_who
        assert peers.refused(server.port)[0] == 401
        server.handler = another = wslab.Hub()
        assert another.events == ("authenticate",)
        assert peers.refused(server.port)[0] == 401


def test_what_auth_may_be():
    with pytest.raises(TypeError, match="expected auth as a function of one argument, the cred"):
        wslab.serve(echo, auth="secret")
    with pytest.raises(TypeError, match=r"auth=auth is for handlers, hubs and hub\.asgi\(\)"):
        wslab.serve(an_application, auth=auth)
    assert not wslab.running()


async def an_application(scope, receive, send):
    raise AssertionError


def test_a_hub_in_an_application_asks_itself():
    hub = wslab.Hub()
    with wslab.serve(hub.asgi(), auth=auth) as server:
        with pytest.raises(HandshakeRefused) as refused:
            wslab.connect(f"{server.url}ws")
        assert refused.value.status == 401
        assert b"no token came" in refused.value.body
        assert dict(refused.value.headers)["www-authenticate"] == "Bearer"
        with wslab.connect(f"{server.url}ws", token="of-alice") as client:
            assert '"user":"alice"' in client.recv(timeout=5)
        assert server.refusals[-1].status == 401


def test_an_object_with_a_method_of_that_name_is_no_hub():
    class Mine:
        async def __call__(self, websocket):
            await websocket.send("hello")

        async def authenticated(self, request):
            raise AssertionError

    with wslab.serve(Mine()) as server:
        assert says(server) == []
        with wslab.connect(server) as client:
            assert client.recv(timeout=5) == "hello"

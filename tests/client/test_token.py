"""A client's token: in the header, from a function, and never in a text."""

from __future__ import annotations

import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.peers import until
from wslab.client.token import Token
from wslab.identity.identity import Identity


@pytest.fixture
def seen():
    return []


@pytest.fixture
def server(seen):
    async def handler(websocket):
        seen.append(websocket.request)
        await websocket.wait_closed()

    with wslab.serve(handler) as server:
        yield server


@pytest.mark.parametrize("additional", [None, {"X-Who": "a"}, [("X-Who", "a")]])
def test_it_travels_in_the_header_beside_others(server, seen, additional):
    with wslab.connect(server, token="the-secret", additional_headers=additional) as client:
        [request] = until(lambda: seen)
        assert request.headers["Authorization"] == "Bearer the-secret"
        assert request.headers.get("X-Who") == (additional and "a")
        assert "secret" not in request.path
        assert "secret" not in repr(client)
        texts = [repr(event) for tape in (server.tape, client.tape) for event in tape.events]
    assert texts
    assert [text for text in texts if "secret" in text] == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (5, TypeError, "expected token as a str, or a function without arguments"),
        ("", ValueError, "expected a token of visible ASCII"),
        ("a b", ValueError, "got 3 characters with others among them"),
        ("a\r\nX: y", ValueError, "expected a token of visible ASCII"),
        (lambda one: one, TypeError, "a function without arguments"),
    ],
)
def test_what_is_no_token(server, given, error, message):
    with pytest.raises(error, match=message):
        wslab.connect(server, token=given)
    assert len(wslab.running()) == 1  # the server


def test_one_place_is_enough(server):
    headers = {"authorization": "Bearer x"}
    with pytest.raises(ValueError, match="leave out one of them"):
        wslab.connect(server, token="y", additional_headers=headers)


def test_a_function_is_asked_on_a_thread_or_awaited(server, seen):
    threads = []

    def plain():
        threads.append(threading.current_thread())
        return "of-a-thread"

    async def later():
        return "of-the-loop"

    for function, token in ((plain, "of-a-thread"), (later, "of-the-loop")):
        with wslab.connect(server, token=function):
            request = until(lambda: seen and seen.pop())
            assert request.headers["Authorization"] == f"Bearer {token}"
    assert threads[0] is not threading.main_thread()
    assert Token(plain, {}).is_renewed
    assert not Token("x", {}).is_renewed


def test_what_a_function_lets_through_is_raised(server):
    def broken():
        raise LookupError("no token for you")

    with pytest.raises(LookupError, match="no token for you"):
        wslab.connect(server, token=broken)
    with pytest.raises(TypeError, match="expected a token as a str, got NoneType"):
        wslab.connect(server, token=lambda: None)


def test_who_has_a_newer_token_comes_back_after_4401():
    asked = []

    def auth(credentials):
        asked.append(credentials.token)
        return Identity("alice", time.time() + (0.2 if credentials.token == "1" else 3600))

    async def handler(websocket):
        await websocket.wait_closed()

    numbers = iter("123")
    quick = wslab.Reconnect(first_delay_s=0)
    with wslab.serve(handler, auth=auth) as server:
        client = wslab.connect(server, token=lambda: next(numbers), reconnect=quick)
        until(lambda: asked == ["1", "2"] and client.state.name == "OPEN")
        client.close()
        asked.clear()
        # The same token again would be refused again.
        client = wslab.connect(server, token="1", reconnect=quick)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 4401
        assert asked == ["1"]


def test_it_is_renewed_on_the_same_connection():
    hub = wslab.Hub()

    @hub.on("authenticate")
    async def authenticate(credentials):
        return Identity(credentials.token.partition("-")[0], time.time() + 3600)

    with wslab.serve(hub) as server, wslab.connect(server, token="alice-1") as client:
        [here] = until(lambda: tuple(hub.clients.values()))
        before = here.expires_at
        told = client.call("authenticate", {"token": "alice-2"})
        assert told == {"user_id": "alice", "expires_at": here.expires_at}
        assert here.expires_at > before
        with pytest.raises(wslab.CallFailed, match="this connection is that of 'alice'") as failed:
            client.call("authenticate", {"token": "bob-1"})
        assert failed.value.code == "forbidden"
        until(lambda: len(client.tape.messages) >= 5)
        texts = [str(message.data) for message in client.tape.messages]
        assert [text for text in texts if "alice-2" in text or "bob-1" in text] == []

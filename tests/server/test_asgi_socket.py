"""What passes between uvicorn and an application is counted, and not changed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from wslab.network.traffic import Traffic
from wslab.server.asgi_socket import AsgiSocket


def made(*incoming, fails=None):
    """Return a socket, what went out, and what it told."""
    sent, told, events = [], [], list(incoming)

    async def receive():
        return events.pop(0)

    async def send(message):
        if fails is not None:
            raise fails
        sent.append(message)

    stream = SimpleNamespace(
        traffic=Traffic("abc"), remote_address=("::1", 5, 0, 0),
        transport=SimpleNamespace(abort=lambda: told.append("aborted")),
    )  # fmt: skip
    scope = {"type": "websocket", "path": "/a b", "query_string": b"x=1"}
    socket = AsgiSocket(
        scope, receive, send, stream, lambda: told.append("opened"),
        lambda _, status, text: told.append((status, text)),
    )  # fmt: skip
    return socket, sent, told


def test_a_conversation():
    text = {"type": "websocket.receive", "text": "hi"}
    end = {"type": "websocket.disconnect", "code": 1000}
    socket, sent, told = made({"type": "websocket.connect"}, text, end)

    async def main():
        assert await socket.receive() == {"type": "websocket.connect"}
        assert not socket.is_open
        await socket.send({"type": "websocket.accept", "subprotocol": "v1"})
        assert socket.is_open
        assert socket.close_code is None
        assert await socket.receive() is text
        await socket.send({"type": "websocket.send", "text": "ho"})
        assert await socket.receive() is end

    asyncio.run(main())
    assert (socket.traffic.received, socket.traffic.sent) == (1, 1)
    assert (socket.is_open, socket.is_told_gone, socket.close_code) == (False, True, 1000)
    assert (socket.request.path, socket.subprotocol) == ("/a%20b?x=1", "v1")
    assert [each["type"] for each in sent] == ["websocket.accept", "websocket.send"]
    assert told == ["opened"]


def test_refusals():
    socket, _, told = made()
    asyncio.run(socket.send({"type": "websocket.close", "code": 1008, "reason": "no"}))
    assert told == [(403, "no")]
    assert socket.close_code is None  # it never opened

    socket, _, told = made()

    async def main():
        await socket.send({"type": "websocket.http.response.start", "status": 401})
        for part in (b"log in", b" first"):
            message = {"type": "websocket.http.response.body", "body": part, "more_body": True}
            await socket.send(message)
        await socket.send({"type": "websocket.http.response.body", "body": b"x" * 9000})

    asyncio.run(main())
    [(status, text)] = told
    assert status == 401
    assert text.startswith("log in firstx")
    assert len(text) == 4096  # a bound


def test_when_the_server_stops():
    socket, sent, _ = made()

    async def main():
        await socket.send({"type": "websocket.accept"})
        await socket.close(1001)
        assert sent[-1] == {"type": "websocket.close", "code": 1001, "reason": ""}
        with pytest.raises(ConnectionAbortedError, match="the server stops"):
            await socket.send({"type": "websocket.send", "text": "late"})

    asyncio.run(main())
    assert (socket.is_served, socket.is_open, socket.is_told_gone) == (False, False, True)
    assert socket.close_code == 1001


def test_one_that_is_not_accepted_yet_is_cut_off():
    socket, sent, told = made()
    asyncio.run(socket.close(1001))
    assert (sent, told) == ([], ["aborted"])


def test_sending_where_the_client_has_gone():
    socket, _, _ = made(fails=ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        asyncio.run(socket.send({"type": "websocket.send", "text": "x"}))
    assert socket.is_told_gone

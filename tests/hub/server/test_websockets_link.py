"""What a hub asks of a websockets connection, against a connection that does nothing by itself."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tests.hub.rig import FakeSocket, aio, listening, speaking, until
from wslab.hub import Hub
from wslab.hub.server.link import Closed, Link
from wslab.hub.server.prepared_message import PreparedMessage
from wslab.hub.server.websockets_link import WebSocketsLink


def frame(code, reason=""):
    return SimpleNamespace(code=code, reason=reason)


@aio
async def test_who_it_is():
    socket = FakeSocket("/chat?name=bob")
    link: Link = WebSocketsLink(socket)
    assert (link.connection, link.id, link.path) == (socket, socket.id, "/chat?name=bob")
    assert link.address == ("127.0.0.1", 1)
    socket.remote_address = ("::1", 5, 0, 0)
    assert link.address == ("::1", 5)
    socket.remote_address = "/a/socket"  # a Unix socket
    assert link.address is None
    socket.request = None
    assert (WebSocketsLink(socket).path, WebSocketsLink(socket).headers) == ("/", {})


@pytest.mark.parametrize(
    ("hinder", "is_open", "is_closing"),
    [
        (lambda socket: socket.pause(), True, False),
        (lambda socket: setattr(socket, "send_in_progress", object()), True, False),
        (lambda socket: setattr(socket.protocol, "state", State.CLOSING), False, True),
        (lambda socket: setattr(socket.transport, "closing", True), True, True),
    ],
)
@aio
async def test_it_writes_whole_messages_and_only_where_websockets_would(
    hinder, is_open, is_closing
):
    socket = FakeSocket()
    link = WebSocketsLink(socket)
    assert link.is_open
    assert not link.is_closing
    assert link.is_writable
    assert link.write(PreparedMessage("text", [b"binary"]))
    assert socket.transport.written == [b"\x81\x04text", b"\x82\x06binary"]
    hinder(socket)
    assert not link.is_writable
    assert (link.is_open, link.is_closing) == (is_open, is_closing)
    assert not link.write(PreparedMessage("more"))
    assert len(socket.transport.written) == 2


@pytest.mark.parametrize(
    ("received", "sent", "is_theirs_first", "closed", "said_goodbye"),
    [
        (None, None, None, None, False),
        (frame(1000, "bye"), frame(1000, "bye"), True, Closed(1000, "bye", True), True),
        (frame(1001), frame(1001), True, Closed(1001, "", True), False),
        (frame(4000), frame(4000), False, Closed(4000, "", False), False),
        (frame(1000), frame(1012), False, Closed(1012, "", False), True),
        (None, frame(1011, "!"), None, Closed(1011, "!", False), False),
    ],
)
@aio
async def test_how_it_was_closed(received, sent, is_theirs_first, closed, said_goodbye):
    socket = FakeSocket()
    socket.protocol.close_rcvd, socket.protocol.close_sent = received, sent
    socket.protocol.close_rcvd_then_sent = is_theirs_first
    link = WebSocketsLink(socket)
    assert (link.closed, link.said_goodbye) == (closed, said_goodbye)


@aio
async def test_it_tells_of_its_end_and_raises_what_it_says():
    socket = FakeSocket()
    link = WebSocketsLink(socket)
    told = []
    link.when_lost(lambda: told.append(link.is_open))
    socket.feed("the last")
    socket.lose()
    assert await link.receive() == "the last"
    with pytest.raises(link.closed_error):
        await link.receive()
    await link.drain()
    assert not told
    await asyncio.sleep(0)
    assert told == [False]
    assert link.closed_error is ConnectionClosed


@aio
async def test_a_write_that_fails_keeps_nobody_in_memory():
    # What asyncio keeps of it would lead, from frame to frame, to all whom the emit was for.
    hub = Hub()
    async with listening(hub) as url, speaking(url), speaking(url) as wire:
        client = hub.clients[wire.id]
        linger = struct.pack("ii", 1, 0)  # closing it resets the connection
        wire.websocket.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        wire.websocket.transport.abort()
        await asyncio.sleep(0)  # it is closed, and the hub's side has not heard of it
        hub.emit("news")
        await until(lambda: len(hub.clients) == 1)
        assert isinstance(client.websocket.connection_exc, OSError)
        assert client.websocket.connection_exc.__traceback__ is None

"""Waiting for what comes on a tape."""

from __future__ import annotations

import asyncio
import threading

import pytest
import websockets

import wslab
from tests.wire.taping import close, masked, websocket
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape


@pytest.fixture
def tape():
    tape = Tape()
    track = websocket(tape)
    for text in ("one", "two", "one"):
        track.client(masked(1, text.encode()))
    track.server(encode_frame(2, b"one"))
    track.server(encode_frame(8, close(1000, "bye")))
    return tape


def test_what_is_there_counts(tape):
    assert tape.wait_for("two").data == "two"
    assert tape.wait_for(b"one").sender == "server"
    assert tape.wait_for("one", count=2).at_s > tape.wait_for("two").at_s
    assert tape.wait_for(kind="close").reason == "bye"
    assert tape.wait_for(lambda event: event.code == 1000, kind="close").sender == "server"
    assert tape.wait_for(sender="server").kind == "response"
    assert tape.wait_for("one", connection="alice", timeout=None).connection_id == "a1"


def test_it_is_woken_by_what_comes(tape):
    track = websocket(tape, "b2")
    began = threading.Barrier(2)

    def later():
        began.wait()
        track.client(masked(1, b"la", fin=False))
        track.client(masked(0, b"ter"))

    thread = threading.Thread(target=later)
    thread.start()
    began.wait()
    assert tape.wait_for("later", connection="b2").fragments == 2
    thread.join()
    assert tape.recorder.listeners == []


def test_what_does_not_come_is_told_with_the_frames(tape):
    with pytest.raises(TimeoutError) as late:
        tape.wait_for("one", sender="client", connection="alice", count=3, timeout=0)
    text = str(late.value)
    assert text.startswith(
        "expected the message 'one' from the client on the connection 'alice' on the tape within "
        "0 s, and saw 2 of 3. What is there:\n"
    )
    assert "alice -> text 'two'\n" in text
    with pytest.raises(TimeoutError, match="an event of kind 'pong' on the tape"):
        tape.wait_for(kind="pong", timeout=0)
    with pytest.raises(TimeoutError, match="an event of kind 'close' that fits <lambda>"):
        tape.wait_for(lambda event: False, kind="close", timeout=0)
    with pytest.raises(TimeoutError, match="an event from the client"):
        Tape().wait_for(sender="client", timeout=0)
    assert tape.recorder.listeners == []


@pytest.mark.parametrize(
    ("wanted", "options", "error"),
    [
        (None, {}, "expected what to wait for"),
        (5, {}, "got int"),
        (None, {"kind": "messages"}, "expected kind to be one of body, close, .* got 'messages'"),
        ("x", {"sender": "me"}, 'expected "client" or "server"'),
        ("x", {"count": 0}, "at least 1"),
    ],
)
def test_what_can_not_be_waited_for(tape, wanted, options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        tape.wait_for(wanted, **options)


@pytest.mark.asyncio
async def test_in_async_code_it_waits_on_a_thread(memory_network):
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    server = await asyncio.to_thread(wslab.serve, echo)
    async with websockets.connect(server.url) as alice:
        waiting = asyncio.create_task(asyncio.to_thread(server.tape.wait_for, "x", sender="server"))
        await alice.send("x")
        assert (await waiting).data == "x"
    await asyncio.to_thread(server.stop)

"""ask() sends bytes as they are; what comes is shown side by side, and stands on a tape."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from wslab.learn.answers import Answer, ask, side_by_side
from wslab.wire.http.building import build_request, build_response

UPGRADE = build_request("/", "127.0.0.1", "dGhlIHNhbXBsZSBub25jZQ==")
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def served(reply: bytes, request: bytes = GET, *, stays: bool = True, **kwargs) -> Answer:
    """Ask a listener that says so, and keeps the connection open or not."""

    async def listener(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if stays:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(listener, "127.0.0.1", 0) as server:
        return await ask(server.sockets[0].getsockname()[1], request, **kwargs)


@pytest.mark.asyncio
async def test_an_answer_ends_where_its_length_says():
    answer = await served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert (answer.status, answer.outcome, answer.body) == (200, "200 OK", b"hi")
    assert str(answer) == "client: 200 OK"


@pytest.mark.asyncio
async def test_an_answer_in_chunks_ends_with_its_last_chunk():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await served(head + b"2\r\nhi\r\n0\r\n\r\n")
    assert answer.body == b"hi"
    assert answer.after == b"2\r\nhi\r\n0\r\n\r\n"


@pytest.mark.asyncio
async def test_one_without_a_length_ends_with_the_connection_or_in_time():
    assert (await served(b"HTTP/1.1 200 OK\r\n\r\nhi", stays=False)).body == b"hi"
    assert (await served(b"HTTP/1.1 200 OK\r\n\r\nhi", wait_s=0.1)).body == b"hi"


@pytest.mark.asyncio
async def test_no_answer_is_told():
    answer = await served(b"", stays=False)
    assert (answer.status, answer.outcome, answer.body) == (None, "no answer", b"")
    assert (await served(b"hello\r\n", stays=False)).lines() == ["hello", ""]
    assert (await served(b"HTTP/1.1 299 Odd\r\n\r\n", stays=False)).outcome == "299"


@pytest.mark.asyncio
async def test_a_101_is_answered_with_a_close_frame():
    async def handler(websocket):
        await websocket.wait_closed()

    server = await asyncio.to_thread(wslab.serve, handler)
    try:
        answer = await ask(server, UPGRADE, name="ann")
        assert answer.outcome == "101 Switching Protocols"
        assert answer.body == b""
        assert [frame.label for frame in server.tape.frames] == ["close", "close"]
        assert server.errors_seen == 0
    finally:
        await asyncio.to_thread(wslab.shutdown)


@pytest.mark.asyncio
async def test_frames_right_behind_a_101_are_there_and_end_it():
    reply = build_response(key="dGhlIHNhbXBsZSBub25jZQ==") + b"\x81\x05hello"
    answer = await served(reply, UPGRADE, stays=False)
    assert answer.after == b"\x81\x05hello"
    assert answer.lines()[-2:] == ["(the empty line)", f"{'81 05 68 65 6c 6c 6f':<24} ..hello"]


@pytest.mark.asyncio
async def test_both_directions_are_on_the_tape():
    tape = wslab.Tape(name="one port")
    await served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", tape=tape, name="ann")
    kinds = [event.kind for event in tape.events]
    assert kinds == ["opened", "request", "response", "ended"]
    assert tape.connections[0].label == "ann"
    inspector = wslab.Inspector(tape)
    assert "ann" in repr(inspector._repr_mimebundle_())
    inspector.close()  # or the flusher keeps it, and who asks for an empty one fails


@pytest.mark.asyncio
async def test_nobody_listens():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    tape = wslab.Tape()
    with pytest.raises(ConnectionRefusedError):
        await ask(port, GET, tape)
    assert tape.events[-1].kind == "ended"


def test_side_by_side_as_text_and_as_html():
    page = Answer("a <page>", GET, b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"<b>" * 66)
    socket = Answer("a socket", UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00")
    shown = side_by_side(page, socket)
    text = repr(shown)
    assert text.index("a <page>") < text.index("200 OK") < text.index("a socket")
    assert "3c 62 3e 3c 62 3e 3c 62" in text
    assert "and 134 bytes more" in text
    html = shown._repr_html_()
    assert html.count("<section") == 2
    assert "a &lt;page&gt;" in html
    assert "<b>" not in html

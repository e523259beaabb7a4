"""What wslab relies on inside websockets: each private name, where it is used, and what it does.

A websockets that has changed fails here, with the name and what stands on it. Names that its
documentation promises are not listed.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import zlib
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.frames import Frame, Opcode
from websockets.http11 import Response

import wslab
from tests.network.rig import turns
from tests.websockets_compat.rig import run
from wslab.network.memory import MemoryNetwork
from wslab.websockets_compat import endings, sending

PACKAGE = Path(wslab.__file__).parent

# Where it is found, and what we take it for.
PRIVATE = {
    "connection.protocol": "the sans-I/O half: its state, what it sends, why it closed",
    "connection.transport": "what asyncio gave it: is_closing(), abort(), write() of whole frames",
    "connection.loop": "the loop that it runs on",
    "connection.paused": "whether the transport's buffer is full",
    "connection.pause_writing": "how the transport says so; it asserts where told twice",
    "connection.resume_writing": "and that there is room again",
    "connection.drain": "waits while it is paused",
    "connection.send_in_progress": "None, or a future: a message in fragments is under way",
    "connection.send_data": "writes what the protocol has to send, a frame a write",
    "connection.process_event": "called with each head and frame that came",
    "connection.pending_pings": "the pings without an answer, by their payload",
    "connection.recv_messages": "the receive queue",
    "connection.recv_messages.frames.queue": "the frames in it",
    "connection.recv_messages.put": "called with each data frame",
    "connection.recv_messages.paused": "whether it is full, so that nothing is read",
    "connection.recv_messages.pause": "stops the reading",
    "connection.recv_messages.resume": "goes on reading; put in its place, ours is called",
    "connection.recv_messages.maybe_pause": "tells this kind of queue from another",
    "connection.connection_lost_waiter": "a future, done when TCP has ended",
    "connection.connection_exc": "what broke TCP, or None",
    "connection.set_connection_exc": "gives a later ConnectionClosed its cause",
    "connection.close_exc": "the ConnectionClosed that recv() would raise",
    "connection.server": "the server that a connection belongs to",
    "connection.protocol.close_rcvd": "the close frame that came, or None",
    "connection.protocol.close_sent": "the close frame that went out, or None",
    "connection.protocol.close_rcvd_then_sent": "who closed first; None where only one did",
    "connection.protocol.events": "where the parser puts heads and frames",
    "connection.protocol.expect_continuation_frame": "whether fragments of ours are to follow",
    "connection.protocol.debug": "whether it logs each frame that it sends",
    "connection.protocol.extensions": "those agreed upon",
    "connection.protocol.handshake_exc": "what the handshake failed of",
    "connection.protocol.parser": "the generator that reads; named discard when it reads no more",
    "connection.protocol.discard": "that generator",
    "connection.protocol.parse": "the generator that reads a head and frames",
    "connection.protocol.reader.buffer": "bytes that wait for the rest of their frame",
    "connection.protocol.reader.eof": "whether the peer has sent its last",
    "connection.protocol.reader.read_line": "reads a head's line, with a bound",
    "connection.protocol.reader.discard": "forgets what waits",
    "connection.protocol.send_response": "called with each answer to a handshake",
    "connection.protocol.send_eof": "sends FIN",
    "connection.request_rcvd": "a future, done when a request's head has come",
    "server.handler": "runs one connection, from its handshake on",
    "server.server": "the asyncio server below",
    "server.handler_tasks": "the set of the tasks that run handlers",
    "server.close_task": "None, or the task that waits for the end",
    "connector.uri": "the URL that was tried last",
    "connector.ws_uri": "the same, parsed",
    "connector.proxy": "True: ask the environment; None; or a proxy's URL",
    "connector.create_connection_kwargs": "what create_connection() is given",
    "deflate.encoder": "the zlib compressor; put in its place, ours is used",
    "deflate.local_max_window_bits": "the window that it compresses for",
    "deflate.local_no_context_takeover": "whether each message is compressed afresh",
    "deflate.compress_settings": "keywords for zlib.compressobj()",
}

# Beyond websockets_compat: who uses them, and why not from there. It may only get shorter.
ELSEWHERE = {
    "client.connection": "a connection's class itself: process_event() of it",
    "client.ending": "close_exc, for a connection that closed an instant ago",
    "hub.server.websockets_link": "asked for each message and client: a call would cost as much",
    "network.recording": "a connection's class itself: process_event() of it",
}
# Also words of others: asyncio's, or everybody's.
COMMON = {
    "debug", "discard", "drain", "eof", "events", "extensions", "frames", "handler", "loop",
    "parse", "parser", "pause", "pause_writing", "paused", "protocol", "proxy", "put", "queue",
    "resume", "resume_writing", "server", "transport", "uri", "buffer", "encoder",
}  # fmt: skip


@pytest.fixture(scope="module")
def there() -> dict[str, bool]:
    """Which of the names there are."""

    async def look(**things):
        found = {}
        for path in PRIVATE:
            start, *owners, name = path.split(".")
            owner = things[start]
            for each in owners:
                owner = getattr(owner, each, None)
            found[path] = inspect.getattr_static(owner, name, look) is not look
        return found

    return run(look)


@pytest.mark.parametrize("path", PRIVATE)
def test_it_is_there(path, there):
    assert there[path], (
        f"websockets {websockets.__version__} has no {path} any more, which wslab takes for this: "
        f"{PRIVATE[path]}. Look for {path.rpartition('.')[2]} in wslab/websockets_compat/"
    )


def _uses(tree: ast.AST) -> set[str]:
    names = {path.rpartition(".")[2] for path in PRIVATE} - COMMON
    return {
        node.attr if isinstance(node, ast.Attribute) else node.name
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.FunctionDef) and node.name in names)
    }


def test_no_other_room_uses_them():
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): uses
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "websockets_compat"
        and (uses := _uses(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found.keys() == ELSEWHERE.keys(), found


# What they do.


def test_one_frame_a_write():
    async def script(connection, **_):
        written = []
        connection.transport.write = written.append
        connection.protocol.send_text(b"one")
        connection.protocol.send_binary(b"two")
        connection.send_data()
        del connection.transport.write
        connection.protocol.extensions = []
        assert [frame[0] & 0x0F for frame in written] == [1, 2]
        connection.transport.abort()

    run(script)


def test_each_event_passes_process_event_and_each_data_frame_the_queue():
    async def script(connection, client, **_):
        events, frames = [], []
        process, put = connection.process_event, connection.recv_messages.put
        connection.process_event = lambda event: (events.append(event), process(event))
        connection.recv_messages.put = lambda frame: (frames.append(frame), put(frame))
        await client.send(["a", "b"])
        await (await client.ping(b"there?"))
        assert [(event.opcode, event.fin) for event in events[:3]] == [
            (Opcode.TEXT, False),
            (Opcode.CONT, False),
            (Opcode.CONT, True),
        ]
        assert (events[-1].opcode, events[-1].data) == (Opcode.PING, b"there?")
        assert [bytes(frame.data) for frame in frames] == [b"a", b"b", b""]
        assert all(isinstance(event, Frame) for event in events)

    run(script)


def test_a_ping_waits_under_its_payload():
    async def script(client, connection, **_):
        waiter = await client.ping(b"there?")
        assert b"there?" in client.pending_pings
        await waiter
        assert b"there?" not in client.pending_pings

    run(script)


def test_a_full_queue_stops_the_reading_and_calls_resume():
    async def script(connection, client, **_):
        queue, resumed = connection.recv_messages, []
        resume = queue.resume
        queue.resume = lambda: (resumed.append(True), resume())
        queue.paused = True
        queue.pause()
        assert not connection.transport.is_reading()
        assert len(queue.frames.queue) == 0
        queue.maybe_resume()
        assert (resumed, queue.paused, connection.transport.is_reading()) == ([True], False, True)

    run(script)


def test_what_waits_for_the_rest_of_its_frame_is_in_the_buffer():
    async def script(connection, client, **_):
        client.transport.write(b"\x82\xfe\x10")  # the beginning of a long frame
        await turns()
        assert len(connection.protocol.reader.buffer) == 1  # the length is still to come
        client.transport.abort()
        await connection.wait_closed()

    run(script)


def test_each_answer_passes_send_response():
    async def main():
        seen = []

        class Noting(websockets.ServerConnection):
            def connection_made(self, transport):
                super().connection_made(transport)
                respond = self.protocol.send_response
                self.protocol.send_response = lambda response: (
                    seen.append(response),
                    respond(response),
                )

        async def refuse(connection, request):
            return connection.respond(403, "no") if request.path == "/no" else None

        async def handler(connection):
            await connection.wait_closed()

        async with serve(
            handler, "127.0.0.1", 80, create_connection=Noting, process_request=refuse
        ):
            async with connect("ws://127.0.0.1/", proxy=None):
                pass
            with pytest.raises(websockets.InvalidStatus):
                await connect("ws://127.0.0.1/no", proxy=None)
        assert [(type(each), each.status_code) for each in seen] == [
            (Response, 101),
            (Response, 403),
        ]

    with MemoryNetwork():
        asyncio.run(main())


def test_the_deflater_can_be_replaced():
    async def script(connection, client, deflate, **_):
        class Deflater:
            def __init__(self, real):
                self.real, self.calls = real, 0

            def compress(self, data):
                self.calls += 1
                return self.real.compress(data)

            def flush(self, mode):
                return self.real.flush(mode)

        assert isinstance(deflate.compress_settings, dict)
        assert 9 <= deflate.local_max_window_bits <= 15
        assert deflate.local_no_context_takeover is False
        deflate.encoder = own = Deflater(
            zlib.compressobj(wbits=-deflate.local_max_window_bits, **deflate.compress_settings)
        )
        await connection.send("hello")
        assert await client.recv() == "hello"
        assert own.calls == 1

    run(script)


def test_a_server_has_its_handlers_tasks_and_the_task_that_closes_it():
    async def script(server, connection, client, **_):
        assert connection.server is server
        assert server.is_serving()
        assert server.server.get_loop() is asyncio.get_running_loop()
        assert server.close_task is None
        [task] = server.handler_tasks
        assert not task.done()
        assert await endings.end_handlers(server, 1.0) == 0
        assert server.handler_tasks == set()
        server.close()
        assert isinstance(server.close_task, asyncio.Task)

    run(script)


@pytest.mark.parametrize("size_bytes", [0, 1, 5, 125, 126, 70_000])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("mask", [True, False])
def test_a_frame_is_put_together_as_websockets_does(mask, opcode, size_bytes, monkeypatch):
    monkeypatch.setattr("secrets.token_bytes", lambda count: b"\x01\x80\xff\x07"[:count])
    payload = bytes(number % 256 for number in range(size_bytes))
    expected = Frame(opcode, payload).serialize(mask=mask)
    assert sending.frame_of(int(opcode), payload, mask=mask) == expected


def test_a_process_request_that_is_cancelled_ends_without_a_word_and_without_a_cut():
    seen = {}

    async def take_over(websocket, request):
        seen.update(websocket=websocket, task=asyncio.current_task())
        raise asyncio.CancelledError

    async def ask():
        async with serve(None, "127.0.0.1", 0, process_request=take_over) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            while not seen:
                await turns(1)
            await asyncio.wait([seen["task"]], timeout=10)
            assert seen["task"].cancelled()
            assert not server.handler_tasks
            seen["websocket"].transport.write(b"ours")
            assert await reader.readexactly(4) == b"ours"
            writer.close()
            await writer.wait_closed()

    asyncio.run(ask())

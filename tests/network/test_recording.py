"""Counting at the transport: what goes through is counted as what it is, and not changed."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import socket
import struct
import threading
import weakref

import pytest
from websockets.asyncio import server as ws_server
from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError

import wslab
from tests import inside, peers
from tests.peers import until
from wslab.network import traffic


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def quiet(websocket):
    await websocket.wait_closed()


def counts(connection):
    return (
        connection.received,
        connection.sent,
        connection.received_bytes,
        connection.sent_bytes,
    )


@pytest.fixture
def opened():
    """A server, a raw client whose every byte is the test's own, and the server's view of it."""
    with wslab.serve(quiet) as server:
        request = peers.request(server.port)
        with peers.dial(server.port, request) as sock:
            head = peers.read_head(sock)
            until(lambda: len(server.connections) == 1)
            [connection] = server.connections
            assert counts(connection) == (0, 0, len(request), len(head))
            yield server, sock, connection, len(request), len(head)


def test_bytes_that_come(opened):
    _, sock, connection, came, went = opened
    whole = peers.frame(1, b"hello")
    parts = peers.frame(2, b"a", fin=False) + peers.frame(0, b"b", fin=False) + peers.frame(0, b"")
    pong = peers.frame(0xA, b"unasked")
    sock.sendall(whole + parts + pong)
    came += len(whole + parts + pong)
    until(lambda: connection.received_bytes == came)
    until(lambda: connection.received == 2)
    assert counts(connection) == (2, 0, came, went)
    # A control frame between two fragments, in as many pieces as there are bytes.
    mixed = peers.frame(1, b"x", fin=False) + peers.frame(9, b"?") + peers.frame(0, b"y")
    for i in range(len(mixed)):
        sock.sendall(mixed[i : i + 1])
    answer = peers.frame(0xA, b"?", masked=False)
    assert peers.read_frame(sock) == (0x8A, b"?")
    until(lambda: connection.received == 3)
    assert counts(connection) == (3, 0, came + len(mixed), went + len(answer))
    assert connection._traffic.last_pong_s is None  # that pong answered no ping (RFC 6455 §5.5.3)


def test_bytes_that_go(opened):
    _, sock, connection, came, went = opened
    websocket = connection.websocket

    async def send():
        await websocket.send("hello")
        await websocket.send(["a", "b", "c"])
        await websocket.ping(b"?")
        broadcast([websocket], b"to all")
        await websocket.send("")

    wslab.run(send)
    frames = [peers.read_frame(sock) for _ in range(8)]
    assert frames == [
        (0x81, b"hello"),
        *[(0x01, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"")],
        (0x89, b"?"),
        (0x82, b"to all"),
        (0x81, b""),
    ]
    went += sum(2 + len(payload) for _, payload in frames)
    assert counts(connection) == (0, 4, came, went)


def test_both_ends_agree_with_compression_and_fragments():
    with (
        wslab.serve(echo, compression="deflate") as server,
        wslab.connect(server, compression="deflate") as client,
    ):
        messages = ["x" * 5000, b"\0" * 70_000, "", "Grüße"]
        for message in messages:
            client.send(message)
            assert client.recv(timeout=5) == message
        client.send(["one ", "two ", "three"])
        assert client.recv(timeout=5) == "one two three"
        client.ping()
        [connection] = server.connections
        received, sent, bytes_in, bytes_out = client.counts
        assert (received, sent) == (5, 5)
        assert counts(connection) == (5, 5, bytes_out, bytes_in)
        assert bytes_out < 3000


def test_a_handlers_send_is_websockets_own_in_every_case():
    """The short way that plain messages take must not be told from the long one."""
    outcomes = []
    done = threading.Event()

    async def sends(websocket):
        await websocket.send("text")
        await websocket.send(b"binary")
        await websocket.send(bytearray(b"array"))
        await websocket.send(memoryview(b"view"))
        await websocket.send("as binary", text=False)
        await websocket.send(b"as text", text=True)
        await websocket.send(["a", "b"])
        for wrong in (None, 1, {"a": 1}):
            try:
                await websocket.send(wrong)
            except TypeError as exc:
                outcomes.append(str(exc))

        async def slow():
            yield "slow"
            await asyncio.sleep(0.02)
            yield "ly"

        await asyncio.gather(websocket.send(slow()), websocket.send("after it"))
        await websocket.close(4000)
        for late in ("x", b"y", ["z"]):
            try:
                await websocket.send(late)
            except Exception as exc:
                outcomes.append(type(exc).__name__)
        done.set()

    with wslab.serve(sends) as server, wslab.connect(server) as client:
        assert [client.recv(timeout=5) for _ in range(9)] == [
            *["text", b"binary", b"array", b"view", b"as binary", "as text", "ab"],
            *["slowly", "after it"],
        ]
        assert done.wait(5)
        assert outcomes[3:] == ["ConnectionClosedError"] * 3
        assert all("data" in text for text in outcomes[:3])
        assert not server.errors


def test_a_handlers_send_waits_where_the_client_does_not_read():
    sent = 0

    async def flood(websocket):
        nonlocal sent
        while True:
            await websocket.send(b"x" * 10_000)
            sent += 1

    with wslab.serve(flood) as server, peers.raw_client(server.port):
        standing = -1
        while standing != sent:
            standing = sent
            threading.Event().wait(0.1)
        assert 0 < sent < 5000
        [connection] = server.connections
        size_bytes = connection.websocket.transport.get_write_buffer_size()
        assert size_bytes < 100_000


def test_a_handlers_send_on_a_connection_that_was_cut_raises_connection_closed():
    caught = []
    done = threading.Event()

    async def cut(websocket):
        await websocket.recv()
        websocket.transport.abort()
        try:
            for _ in range(3):  # the first may come before the loop knows
                await websocket.send("too late")
        except Exception as exc:
            caught.append(type(exc).__name__)
            raise
        finally:
            done.set()

    with wslab.serve(cut) as server, wslab.connect(server) as client:
        client.send("go")
        assert done.wait(5)
        assert caught == ["ConnectionClosedError"]
        until(lambda: client.state.name == "CLOSED")
    assert not server.errors


def test_a_handlers_send_that_waits_when_the_client_breaks_off_raises_connection_closed():
    caught = []
    standing = threading.Event()

    async def flood(websocket):
        try:
            while True:
                sending = asyncio.ensure_future(websocket.send(b"x" * 100_000))
                await asyncio.wait([sending], timeout=0.5)
                if not sending.done():
                    standing.set()
                await sending
        except Exception as exc:
            caught.append(exc)
            raise

    with wslab.serve(flood) as server:
        with peers.raw_client(server.port) as client:
            assert standing.wait(10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
        until(lambda: caught)
        [exc] = caught
        assert type(exc) is ConnectionClosedError
        assert exc.rcvd is exc.sent is None
    assert not server.errors


def test_plain_http_and_writes_of_ones_own_are_no_messages():
    async def raw(websocket):
        websocket.transport.write(b"")
        websocket.transport.writelines([b"\x81\x02", b"hi"])
        await websocket.wait_closed()

    with wslab.serve(raw) as server, wslab.connect(server) as client:
        assert client.recv(timeout=5) == "hi"
        assert server.connections[0].sent == 1
        assert server.connections[0].sent_bytes == client.counts[2]


def test_every_other_thing_about_the_transport_passes():
    seen = {}
    done = threading.Event()

    async def look(websocket):
        transport = websocket.transport
        seen["peer"] = transport.get_extra_info("peername")[0]
        seen["limits"] = transport.get_write_buffer_limits()
        seen["closing"] = transport.is_closing()
        seen["remote"] = websocket.remote_address[0]
        done.set()

    with wslab.serve(look, write_limit=(1000, 10)) as server, wslab.connect(server):
        assert done.wait(5)
    assert seen == {
        "peer": "127.0.0.1",
        "limits": (10, 1000),
        "closing": False,
        "remote": "127.0.0.1",
    }


class Noting(ServerConnection):
    """A connection class of a user's own, with attributes that could get in the way."""

    lost = 0

    def connection_lost(self, exc):
        type(self).lost += 1
        super().connection_lost(exc)


def test_classes_and_factories_of_ones_own_are_recorded_alike():
    classes = []

    async def note(websocket):
        classes.append(type(websocket))
        await echo(websocket)

    for create in (Noting, lambda *a, **k: Noting(*a, **k)):
        before = Noting.lost
        with (
            wslab.serve(note, create_connection=create) as server,
            wslab.connect(server) as client,
        ):
            client.send("x")
            client.recv(timeout=5)
            [connection] = server.connections
            assert counts(connection)[:2] == (1, 1)
        until(lambda before=before: classes[-1].lost + Noting.lost > before)
    for kind in classes:
        assert issubclass(kind, Noting)
        assert kind.__name__ == "Noting"
        assert kind.__qualname__ == "Noting"
        assert kind.__module__ == __name__
    assert classes[0] is classes[1]  # made once: classes are not cheap, and live long


def test_a_closed_connection_leaves_nothing_behind():
    kept, before = [], dict(traffic._ENDS)  # of earlier tests, nothing: `tests/leaks.py` sees to it

    async def note(websocket):
        kept.append(weakref.ref(websocket))
        await websocket.send(await websocket.recv())
        await websocket.wait_closed()

    with wslab.serve(note) as server:
        gc.collect()
        gc.disable()
        try:
            for how in ("close", "abort"):
                kept.clear()
                with peers.raw_client(server.port) as sock:
                    sock.sendall(peers.frame(1, b"x"))
                    assert peers.read_frame(sock) == (0x81, b"x")
                    if how == "close":
                        sock.sendall(peers.close_frame(1000))
                        assert peers.read_frame(sock)[0] == 0x88
                until(lambda: not inside.handler_tasks(server))
                if how == "close":  # websockets' own traceback is a cycle where it breaks off
                    until(lambda: wslab.run(asyncio.sleep, 0) is None and kept[0]() is None)
            assert inside.at_tcp(server) == ()
        finally:
            gc.enable()
        gc.collect()
        assert kept[0]() is None
    assert before == traffic._ENDS


def test_broadcast_to_many_counts_for_each():
    connected = set()

    async def join(websocket):
        connected.add(websocket)
        await websocket.wait_closed()

    with wslab.serve(join) as server:
        clients = [wslab.connect(server) for _ in range(10)]
        until(lambda: len(connected) == 10)
        wslab.run(ws_server.broadcast, connected, "hello")
        for client in clients:
            assert client.recv(timeout=5) == "hello"
        assert [c.sent for c in server.connections] == [1] * 10
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "first",
    [
        peers.frame(0xF, b""),
        peers.frame(8, b"\x03\xe8"),
        b"\x82\xff" + (2**33).to_bytes(8, "big") + b"abcd",
    ],
    ids=["fault", "close", "8 GiB"],
)
def test_what_comes_when_nobody_reads_any_more_costs_the_record_little(first):
    with wslab.serve(quiet) as server:
        with wslab.connect(server, name="innocent", compression=None) as innocent:
            innocent.send("kept")
            with peers.dial(server.port, peers.request(server.port)) as sock:
                peers.read_head(sock)
                sock.sendall(first)
                with contextlib.suppress(OSError):
                    for _ in range(40):
                        sock.sendall(b"\x81\x80abcd" * 2**17)
            until(lambda: len(server.connections) == 1)
            assert "kept" in [message.data for message in server.tape.messages]
            flood = next(track for track in server.tape.connections if track.left_out_bytes)
            until(lambda: flood.ended_s is not None)
            assert flood.left_out_bytes > 2**20
            assert server.tape.dropped.size_bytes == flood.left_out_bytes
            assert server.tape.size_bytes < 2**20


def test_a_flood_leaves_others_their_turn():
    # What one read brings holds the loop for long where it is all tiny frames, and uvloop reads up
    # to 32 times in one turn: a flood of pongs kept everybody else waiting for more than 10 s.
    turns: list[int] = []
    turn = 0

    class Noting(ServerConnection):
        def process_event(self, event):
            turns.append(turn)
            super().process_event(event)

    def count():
        nonlocal turn
        turn += 1
        if not is_over.is_set():
            asyncio.get_running_loop().call_soon(count)

    async def begin():
        asyncio.get_running_loop().call_soon(count)

    async def sink(websocket):
        await websocket.wait_closed()

    is_over = threading.Event()
    with (
        wslab.serve(sink, create_connection=Noting) as server,
        peers.raw_client(server.port) as sock,
    ):
        wslab.run(begin)
        try:
            sock.sendall(peers.frame(10) * 50_000 + peers.close_frame(1000))
            assert peers.read_frame(sock)[0] == 0x88
        finally:
            is_over.set()
    frames = collections.Counter(turns)
    assert len(turns) == 50_002  # the head, the pongs, the close frame: none is lost
    # Of a read of 256 KiB there were 43,690 in one turn. In TURN_S one takes in some hundreds; on a
    # machine that is slow just then, fewer.
    assert max(frames.values()) < 5_000


def test_what_a_full_queue_held_back_goes_on_and_so_does_reading():
    async def count(websocket):
        async for _ in websocket:
            await asyncio.sleep(0)

    with wslab.serve(count) as server, peers.raw_client(server.port) as sock:
        for _ in range(4):
            sock.sendall(peers.frame(2, b"x" * 100) * 3000 + peers.frame(9, b"there?"))
            assert peers.read_frame(sock)[0] == 0x8A

"""The fragments of one message: what may be one, who makes them, and how they go out."""

from __future__ import annotations

import asyncio
import threading

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.protocol import State

import wslab
from tests import peers
from tests.client.rig import echo
from tests.peers import until
from wslab.client.fragments import check_fragments
from wslab.loops import portals


@pytest.fixture
def server(echo_server):
    return echo_server


def test_fragments():
    check_fragments([])
    check_fragments(["a", "b"])
    check_fragments((b"a", bytearray(b"b"), memoryview(b"c")))
    for wrong in ([1], ["a", b"b"], [b"a", "b"], [["a"]], [None]):
        with pytest.raises(TypeError, match="all of them str or all of them bytes"):
            check_fragments(wrong)


def test_fragments_are_frames_of_one_message():
    frames = []

    def script(sock):
        peers.upgrade(sock)
        frames.extend(peers.read_frame(sock) for _ in range(7))
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        client.send(["a", "", "c"])
        client.send(part for part in (b"x", b"y"))
        until(lambda: len(frames) == 7)
        assert frames == [
            *[(0x01, b"a"), (0x00, b""), (0x00, b"c"), (0x80, b"")],
            *[(0x02, b"x"), (0x00, b"y"), (0x80, b"")],
        ]
        assert client.counts[1] == 2
        portals.lab().call(client.websocket.transport.abort)


def test_an_async_iterable_is_sent_in_fragments(server):
    async def parts():
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    with wslab.connect(server) as client:
        client.send(parts())
        assert client.recv(timeout=5) == "ab"


def test_a_generator_runs_where_it_was_called_and_may_block(server):
    threads = []

    with wslab.connect(server) as client, wslab.connect(server) as other:

        def parts():
            threads.append(threading.current_thread())
            yield "a"
            other.send("meanwhile")
            yield other.recv(timeout=5)

        client.send(parts())
        assert client.recv(timeout=5) == "ameanwhile"
        assert threads == [threading.current_thread()]
        # Many fragments, and another thread's messages stay whole between them.
        worker = threading.Thread(target=lambda: [client.send("whole") for _ in range(200)])
        worker.start()
        client.send(str(i % 10) for i in range(500))
        worker.join()
        came = [client.recv(timeout=5) for _ in range(201)]
        assert sorted(came, key=len) == ["whole"] * 200 + ["0123456789" * 50]


def test_a_generator_that_raises():
    class Mine(Exception):
        pass

    def at_once():
        raise Mine
        yield "never"

    def later():
        yield "a"
        raise Mine

    with wslab.serve(echo) as server, wslab.connect(server) as client:
        with pytest.raises(Mine):
            client.send(at_once())
        client.send("unharmed")
        assert client.recv(timeout=5) == "unharmed"
        with pytest.raises(Mine):
            client.send(later())
        # Half a message cannot be taken back (RFC 6455 section 5.4).
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(timeout=5)
        assert closed.value.sent.code == 1011
        assert "error in fragmented message" in client.why_closed


@pytest.mark.parametrize("empty", [[], (), iter(()), (x for x in "")])
def test_no_fragments_are_no_message(server, empty):
    with wslab.connect(server) as client:
        client.send(empty)
        client.send("next")
        assert client.recv(timeout=5) == "next"


def test_a_generator_times_out_where_the_other_side_does_not_read():
    def script(sock):
        peers.upgrade(sock)
        threading.Event().wait(1)
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        with pytest.raises(TimeoutError, match="Part of it is on its way"):
            client.send((bytes(100_000) for _ in range(1000)), timeout=0.2)
        portals.lab().call(client.websocket.transport.abort)
        until(lambda: client.state is State.CLOSED)

"""The network in memory under websockets, servers, clients, hubs and tapes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading

import pytest
import uvloop
import websockets

import wslab
from tests.network.rig import LOOPS, End, run
from tests.peers import until
from wslab.network import exchange as exchanges
from wslab.network.memory import MemoryNetwork


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def network():
    with MemoryNetwork(seed=7) as network:
        yield network


# As asyncio's callers see it.


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_what_it_lacks_it_says(network, loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket() as sock, pytest.raises(ValueError, match="no sock="):
            await loop.create_server(End, sock=sock)
        with pytest.raises(ValueError, match="no ssl="):
            await loop.create_connection(End, "127.0.0.1", 1, ssl=True)
        with pytest.raises(ValueError, match="got no address"):
            await loop.create_connection(End, "127.0.0.1")

    run(main, loop_factory)


@pytest.mark.parametrize("wrong", [{"delay_s": -1}, {"jitter_s": -1}, {"max_chunk_bytes": 0}])
def test_wrong_conditions_are_refused_at_once(wrong):
    with pytest.raises(ValueError, match=f"expected {next(iter(wrong))} to be"):
        MemoryNetwork(**wrong)


def test_a_seed_that_was_chosen_can_be_asked_for():
    assert MemoryNetwork(seed=3).seed == 3
    assert MemoryNetwork().seed != MemoryNetwork().seed


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_before_and_after_it_tcp_is_as_it_was(loop_factory):
    own = [vars(kind).get("create_server") for kind in (asyncio.BaseEventLoop, uvloop.Loop)]

    async def main():
        with pytest.raises(LookupError):
            with MemoryNetwork(), MemoryNetwork():
                raise LookupError
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            [sock] = server.sockets
            assert sock.fileno() >= 0
            async with websockets.connect("ws://{}:{}/".format(*sock.getsockname())) as websocket:
                await websocket.send("over TCP")
                assert await websocket.recv() == "over TCP"

    run(main, loop_factory)
    kinds = (asyncio.BaseEventLoop, uvloop.Loop)
    assert [vars(kind).get("create_server") for kind in kinds] == own


def test_a_call_that_is_awaited_after_the_block_is_answered_by_the_loop():
    async def main():
        with MemoryNetwork():
            waiting = asyncio.get_running_loop().create_server(End, "127.0.0.1", 0)
        server = await waiting
        assert server.sockets[0].fileno() >= 0
        server.close()

    run(main)


def test_the_innermost_counts():
    async def main():
        loop = asyncio.get_running_loop()
        with MemoryNetwork() as outer:
            server = await loop.create_server(End, "127.0.0.1", 80)
            with MemoryNetwork() as inner:
                with pytest.raises(ConnectionRefusedError):
                    await loop.create_connection(End, "127.0.0.1", 80)
                (await loop.create_server(End, "127.0.0.1", 80)).close()
            transport, _ = await loop.create_connection(End, "127.0.0.1", 80)
            assert (len(outer.connections), len(inner.connections)) == (1, 0)
            transport.abort()
            server.close()

    run(main)


def test_what_is_open_at_the_end_is_reset():
    async def main():
        loop = asyncio.get_running_loop()
        with MemoryNetwork():
            server = await loop.create_server(End, "127.0.0.1", 80)
            _, client = await loop.create_connection(End, "127.0.0.1", 80)
        await client.hears("ConnectionResetError")
        await server.wait_closed()

    run(main)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_websockets_own_server_and_client(network, loop_factory):
    async def main():
        async with websockets.serve(echo, "feed.example", 80) as server:
            assert server.sockets[0].getsockname() == ("feed.example", 80)
            async with websockets.connect("ws://feed.example/", compression="deflate") as websocket:
                assert websocket.remote_address == ("feed.example", 80)
                await websocket.send(["in ", "parts"])
                assert await websocket.recv() == "in parts"
                big = os.urandom(3_000_000)
                await websocket.send(big[:900_000])
                assert await websocket.recv() == big[:900_000]
        assert websocket.close_code == 1000
        assert network.connections == ()

    run(main, loop_factory)


def test_two_loops_on_two_threads_meet(network):
    ready, over = threading.Event(), threading.Event()

    async def serve():
        async with websockets.serve(echo, "127.0.0.1", 80):
            ready.set()
            await asyncio.to_thread(over.wait, 10)

    thread = threading.Thread(target=run, args=(serve, uvloop.new_event_loop))
    thread.start()

    async def talk():
        async with websockets.connect("ws://127.0.0.1/", max_size=None) as websocket:
            for size in (1, 1_000_000):
                await websocket.send(bytes(size))
                assert await websocket.recv() == bytes(size)

    try:
        assert ready.wait(5)
        run(talk)
    finally:
        over.set()
        thread.join()


# As servers, clients and hubs of ours meet on it.


def test_the_sync_handles(network, lab_loop):
    with wslab.serve(echo, keep=True) as server:
        assert server.port >= 49_152
        assert (server.browser_url, server.page_url, server.tunnel_id) == ("", "", "")
        with wslab.connect(server, name="alice") as alice:
            until(lambda: server.connections)
            [connection], [other] = network.connections, server.connections
            assert other.remote_address == connection.address
            assert other.label == "alice"
            for message in ("text", b"bytes", ["frag", "ments"], "x" * 1_000_000):
                alice.send(message)
                whole = "".join(message) if isinstance(message, list) else message
                assert alice.recv(timeout=5) == whole
            assert alice.ping(timeout=5) >= 0
        until(lambda: not server.connections)
        frames = [frame.payload for frame in server.tape.frames if frame.opcode < 3]
        assert frames[:4] == [b"text", b"text", b"bytes", b"bytes"]
        with pytest.raises(wslab.PortInUse):
            wslab.serve(echo, port=server.port)
        with pytest.raises(wslab.NobodyListening):
            wslab.connect("ws://127.0.0.1:9/")
    with pytest.raises(wslab.NobodyListening):
        wslab.connect(server.url)


def test_keywords_of_the_loop_are_known_and_typos_are_not(network):
    with wslab.serve(echo, start_serving=False, backlog=5) as server:
        with pytest.raises(wslab.NobodyListening):
            wslab.connect(server)
        server.start_serving()
        wslab.connect(server, happy_eyeballs_delay=None).close()
    with pytest.raises(TypeError, match="did you mean backlog"):
        wslab.serve(echo, backlok=5)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_who_waits_on_the_loop_that_serves_is_told_at_once(network, loop_factory):
    async def main():
        async with websockets.serve(echo, "127.0.0.1", 80):
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(wslab.WrongThread, match="would wait for itself"):
                    wslab.connect(f"ws://{host}/")
            with pytest.raises(wslab.NobodyListening):
                wslab.connect("ws://127.0.0.1:81/")
            client = await asyncio.to_thread(wslab.connect, "ws://127.0.0.1/")
            with pytest.raises(wslab.WrongThread):
                client.recv()
            await asyncio.to_thread(client.close)

    run(main, loop_factory)


def test_a_server_restarts_on_its_port(network, lab_loop):
    with wslab.serve(echo) as server:
        alice, port = wslab.connect(server), server.port
        server.restart()
        until(lambda: alice.close_code)
        assert (alice.close_code, server.port) == (1012, port)
        with wslab.connect(server) as alice:
            alice.send("again")
            assert alice.recv(timeout=5) == "again"


def test_a_hub_with_a_client_that_comes_back(network, lab_loop):
    hub = wslab.Hub(history=100)
    hub.on("say", lambda client, text: hub.emit("said", text) and None)
    heard: list[str] = []
    with wslab.serve(hub) as server:
        with wslab.connect(server, reconnect=True) as alice:
            alice.on("said", heard.append)
            alice.call("say", "one", timeout=5)
            network.connections[0].reset()
            alice.call("say", "two", timeout=5)
            until(lambda: heard == ["one", "two"])
            assert len(alice.reconnects) == 1
            assert alice.gap is None or not alice.gap


def test_a_client_whose_line_is_cut_hears_all_afterwards(network, lab_loop):
    with wslab.serve(echo) as server, wslab.connect(server) as alice:
        until(lambda: server.connections)
        [connection] = network.connections
        connection.cut()
        alice.send("into the silence")
        with pytest.raises(TimeoutError):
            alice.recv(timeout=0.05)
        connection.restore()
        assert alice.recv(timeout=5) == "into the silence"


def test_a_keepalive_finds_out_that_a_line_is_cut(network, lab_loop):
    with wslab.serve(echo, ping_interval=0.05, ping_timeout=0.05) as server:
        alice = wslab.connect(server)
        until(lambda: server.connections)
        network.connections[0].cut()
        until(lambda: not server.connections)
        assert alice.state.name == "OPEN"  # nobody has told it
        network.connections[0].restore()
        until(lambda: alice.state.name == "CLOSED")
        assert alice.close_code == 1011


def test_bytes_in_any_pieces_are_the_same_messages(lab_loop):
    with MemoryNetwork(seed=5, max_chunk_bytes=3, jitter_s=0.0001), wslab.serve(echo) as server:
        with wslab.connect(server) as alice:
            for message in ("text", b"bytes" * 100, ["frag", "ments"]):
                alice.send(message)
                whole = "".join(message) if isinstance(message, list) else message
                assert alice.recv(timeout=5) == whole


def test_exchanges_below_websocket(network):
    async def answer(reader, writer):
        writer.write(b"got " + await reader.read(100))
        writer.close()

    async def main():
        async with exchanges.listening(answer) as listener:
            came = await exchanges.exchange("127.0.0.1", listener.port, b"this")
            assert (came.data, came.ended, listener.errors) == (b"got this", "closed", [])

    wslab.run(main, timeout=10)


def test_what_waits_to_be_read_has_its_bound_in_bytes(network):
    # A server sends without end to a client that reads nothing: it is held at the usual bounds.
    sent = []

    async def flood(websocket):
        while True:
            await websocket.send(bytes(100_000))
            sent.append(100_000)

    with wslab.serve(flood, record=False) as server:
        with wslab.connect(server, record=False, max_waiting=1):
            network.connections[0].client.stop_reading()
            before = -1
            while before != len(sent):
                before = len(sent)
                wslab.run(asyncio.sleep, 0.02)
            assert sum(sent) < 4_000_000
            network.connections[0].client.resume_reading()


def test_importing_wslab_does_not_load_it():
    program = (
        "import sys, wslab; print('wslab.network.memory' in sys.modules, wslab.MemoryNetwork,"
        " 'wslab.network.memory' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False <class 'wslab.network.memory.MemoryNetwork'> True\n", done.stderr

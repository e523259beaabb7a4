"""A client that pings and does not read is held back, under wslab.serve and websockets.serve."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import weakref
from collections.abc import Iterator

import pytest
import websockets

import wslab
from tests import peers
from tests.peers import until
from wslab.websockets_compat import pongs
from wslab.websockets_compat.pongs import MAX_OWED_BYTES, pongs_bounded

PINGS = peers.frame(9, b"x" * 125) * 500
SEEN: list = []  # the connections that the servers have met, in order


async def echo(websocket) -> None:
    SEEN.append(websocket)
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in websocket:
            await websocket.send(message)


async def bounded_echo(websocket) -> None:
    with pongs_bounded(websocket):
        await echo(websocket)


@contextlib.contextmanager
def plain(handler, **kwargs) -> Iterator[int]:
    """Serve with websockets alone, on a loop of its own; give the port."""
    ports: list[int] = []
    stop: list = []

    async def main() -> None:
        async with websockets.serve(handler, "127.0.0.1", 0, **kwargs) as server:
            stop.extend((asyncio.get_running_loop(), asyncio.Event()))
            ports.append(server.sockets[0].getsockname()[1])
            await stop[1].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        yield until(lambda: ports)[0]
    finally:
        stop[0].call_soon_threadsafe(stop[1].set)
        thread.join(20)


@contextlib.contextmanager
def ours(handler, **kwargs) -> Iterator[int]:
    with wslab.serve(handler, **kwargs) as server:
        yield server.port


@pytest.fixture(params=["wslab", "websockets"])
def serving(request):
    SEEN.clear()
    yield (ours, echo) if request.param == "wslab" else (plain, bounded_echo)
    SEEN.clear()


def flood(sock: socket.socket, data: bytes) -> int:
    """Send until nobody takes more; return how many bytes were taken."""
    sock.settimeout(0.5)
    taken = 0
    with pytest.raises(TimeoutError):
        while taken < 200 * 2**20:
            taken += sock.send(data)
    sock.settimeout(10.0)
    return taken


def test_the_flood_is_held_back_and_goes_on_when_it_reads(serving):
    serve, handler = serving
    with serve(handler) as port, peers.dial(port, peers.request(port)) as sock:
        peers.read_head(sock)
        taken = flood(sock, PINGS)
        [connection] = SEEN
        assert connection.pong_debt.is_held
        assert not connection.transport.is_reading()
        # What the transport had been given in one piece is answered before anybody can say stop.
        assert connection.transport.get_write_buffer_size() < 4 * MAX_OWED_BYTES + 2**20
        assert taken < 50 * 2**20
        # It reads, and everything is answered in order.
        rest = PINGS[taken % len(PINGS) :] if taken % len(PINGS) else b""
        sender = threading.Thread(target=sock.sendall, args=(rest + peers.frame(1, b"done"),))
        sender.start()
        answered = 0
        while (frame := peers.read_frame(sock)) == (0x8A, b"x" * 125):
            answered += 1
        sender.join(10)
        assert frame == (0x81, b"done")
        assert answered == -(-taken // len(PINGS)) * 500
        until(lambda: not connection.pong_debt.is_held)
        assert connection.transport.is_reading()


def test_a_full_receive_queue_does_not_let_the_flood_in_again(serving):
    """Messages among the pings: each time the handler takes some, websockets would read on."""
    serve, handler = serving
    mixed = (peers.frame(1, b"m") * 20 + PINGS) * 2
    with serve(handler) as port, peers.dial(port, peers.request(port)) as sock:
        peers.read_head(sock)
        taken = flood(sock, mixed)
        [connection] = SEEN
        assert connection.transport.get_write_buffer_size() < 4 * MAX_OWED_BYTES + 2**20
        assert taken < 50 * 2**20


def test_who_reads_is_never_held_back(serving):
    serve, handler = serving
    with serve(handler) as port, peers.dial(port, peers.request(port)) as sock:
        peers.read_head(sock)
        for _ in range(50):
            sock.sendall(PINGS)
            for _ in range(500):
                assert peers.read_frame(sock) == (0x8A, b"x" * 125)
        [connection] = SEEN
        assert not connection.pong_debt.is_held


def test_who_never_reads_is_cut_off_and_leaves_nothing(serving, monkeypatch):
    monkeypatch.setattr(pongs, "MAX_HELD_S", 1.5)  # longer than the flood waits
    serve, handler = serving
    with serve(handler) as port:
        with peers.dial(port, peers.request(port)) as sock:
            peers.read_head(sock)
            flood(sock, PINGS)
            until(lambda: SEEN[0].close_code == 1006)
    gone = weakref.ref(SEEN.pop())

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    until(is_gone)


def test_a_hub_under_plain_websockets():
    hub = wslab.Hub()

    @hub.on("hello")
    async def hello(client, data) -> str:
        return "yes"

    with plain(hub) as port, peers.dial(port, peers.request(port)) as sock:
        peers.read_head(sock)
        assert flood(sock, PINGS) < 50 * 2**20

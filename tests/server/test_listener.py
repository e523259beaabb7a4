"""The end of a server within a bound, whatever clients and handlers do."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as sync_connect

import wslab
from tests import inside, peers
from tests.peers import until
from tests.server.rig import echo, says
from wslab.loops import portals


def test_fifty_clients_are_told_1001():
    seen = []

    async def note(websocket):
        await websocket.wait_closed()
        seen.append(websocket.close_code)

    with wslab.serve(note) as server:
        clients = [wslab.connect(server) for _ in range(50)]
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2
        for client in clients:
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
        assert {client.close_code for client in clients} == {1001}
        assert seen == [1001] * 50
        assert server.connections == ()
    peers.assert_free(server.port)


def test_a_handler_that_never_ends_is_cancelled():
    cancelled = threading.Event()

    async def endless(websocket):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with wslab.serve(endless) as server, wslab.connect(server) as client:
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        assert cancelled.is_set()
        assert client.close_code == 1001
        assert not server.errors


def test_a_handler_may_clean_up():
    done = threading.Event()

    async def tidy(websocket):
        try:
            await websocket.wait_closed()
        finally:
            await asyncio.sleep(0.05)
            done.set()

    with wslab.serve(tidy) as server, wslab.connect(server):
        server.stop()
        assert done.is_set()


def test_a_handler_that_swallows_cancellation_once_still_ends():
    async def stubborn(websocket):
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    with wslab.serve(stubborn) as server, wslab.connect(server):
        server.stop()
        assert not server.errors
    peers.assert_free(server.port)


def test_a_handler_that_swallows_every_cancellation_is_named():
    enough = threading.Event()

    async def stubborn(websocket):
        while not enough.is_set():
            try:
                await asyncio.sleep(0.01 if enough.is_set() else 60)
            except asyncio.CancelledError:
                pass

    server = wslab.serve(stubborn)
    client = wslab.connect(server)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    [error] = server.errors
    assert "swallows CancelledError" in str(error)
    assert error.where == "stubborn"
    peers.assert_free(server.port)
    assert client.close_code == 1001
    assert server.connections == ()
    enough.set()
    [task] = [t for t in asyncio.all_tasks(portals.lab().loop) if "handler" in repr(t.get_coro())]
    portals.lab().loop.call_soon_threadsafe(task.cancel)
    until(task.done)


@pytest.mark.parametrize("what", ["never answers", "half a handshake", "silent", "half a frame"])
def test_a_client_that_does_not_play_along_is_cut_off(what):
    async def greet(websocket):
        await websocket.send("hello")
        await websocket.wait_closed()

    with wslab.serve(greet) as server:
        if what == "silent":
            sock = peers.dial(server.port)
        elif what == "half a handshake":
            sock = peers.dial(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        else:
            sock = peers.raw_client(server.port)
            assert peers.read_frame(sock) == (0x81, b"hello")
        if what == "half a frame":
            sock.sendall(b"\x81\xff\x00\x00")
        with sock:
            until(lambda: len(inside.at_tcp(server)) == 1)
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 4.5
            peers.assert_free(server.port)
            assert inside.at_tcp(server) == ()
            data = b""
            try:
                while more := sock.recv(1000):
                    data += more
            except ConnectionResetError:
                pass
            if what in ("never answers", "half a frame"):
                assert data.startswith(peers.close_frame(1001, masked=False))


def test_slow_lorises_do_not_hold_up_a_stop():
    with wslab.serve(echo) as server:
        socks = [peers.dial(server.port, b"GET / HTTP/1.1\r\n") for _ in range(20)]
        enough = threading.Event()

        def drip():
            while not enough.wait(0.01):
                for sock in socks:
                    try:
                        sock.sendall(b"X: y\r\n")
                    except OSError:
                        pass

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            until(lambda: len(inside.at_tcp(server)) == 20)
            assert says(server, "x") == ["x"]
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 1
        finally:
            enough.set()
            thread.join()
            for sock in socks:
                sock.close()
    peers.assert_free(server.port)


def test_an_unfinished_tls_handshake_does_not_hold_up_a_stop():
    with wslab.serve(echo, ssl=peers.server_tls(), open_timeout=1.5) as server:
        with peers.dial(server.port):
            assert says(server, "x", ssl=peers.client_tls(), server_hostname="localhost") == ["x"]
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 4.5
            peers.assert_free(server.port)


def test_stop_while_clients_come_and_go():
    with wslab.serve(echo) as server:
        enough = threading.Event()
        unexpected = []

        def hammer():
            while not enough.is_set():
                try:
                    with sync_connect(server.url, proxy=None, open_timeout=5) as client:
                        client.send("x")
                        client.recv(timeout=5)
                except (OSError, ConnectionClosed, InvalidStatus, EOFError):
                    pass
                except websockets.exceptions.InvalidMessage:
                    pass
                except BaseException as exc:
                    unexpected.append(exc)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: server.connections_seen > 10)
            for _ in range(5):
                seen = server.connections_seen
                server.restart()
                until(lambda seen=seen: server.connections_seen > seen + 3)
            server.stop()
            peers.assert_free(server.port)
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        assert unexpected == []
        assert not server.errors

"""A server is held back, started, stopped and started again, from any thread but its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

import wslab
from tests import peers
from tests.peers import until
from tests.server.rig import echo, quiet, says
from wslab.errors import LoopBlocked, PortalClosed, PortInUse, WrongThread
from wslab.loops import portals


def test_its_repr_says_where_it_is_in_its_life():
    let_go = threading.Event()

    async def lingers(websocket):
        await websocket.wait_closed()
        await asyncio.to_thread(let_go.wait, 5)

    server = wslab.serve(lingers, start_serving=False)
    said = [repr(server)]
    server.start_serving()
    with wslab.connect(server):
        said.append(repr(server))
        stopping = server.begin_close()
        assert server.is_stopping
        assert not server.is_serving
        said.append(repr(server))
        let_go.set()
        stopping.result(5)
    assert not server.is_stopping
    said.append(repr(server))
    url = server.url
    assert said == [
        f"<Server 'lingers' at {url}, not serving yet: start_serving()>",
        f"<Server 'lingers' at {url}, 1 connection>",
        f"<Server 'lingers', stopping, was at {url}>",
        f"<Server 'lingers', stopped, was at {url}>",
    ]


def test_start_serving_false():
    with wslab.serve(echo, start_serving=False) as server:
        assert not server.is_serving
        assert "not serving yet" in repr(server)
        with pytest.raises(wslab.errors.NobodyListening, match="not serving now"):
            wslab.connect(server)
        server.start_serving()
        assert server.is_serving
        assert says(server, "x") == ["x"]
    with pytest.raises(PortalClosed, match="restart"):
        server.start_serving()


def test_a_handler_that_blocks_is_named_with_its_line():
    let_go = threading.Event()

    async def block(websocket):
        async for _ in websocket:
            let_go.wait(20)

    server = wslab.serve(block)
    client = wslab.connect(server)
    client.send("x")
    until(lambda: not portals.lab().answers(0.02))
    began = time.monotonic()
    with pytest.raises(LoopBlocked) as blocked:
        server.stop(timeout=0.3)
    assert time.monotonic() - began < 2
    assert "block() at test_life.py:" in str(blocked.value)
    assert "`let_go.wait(20)`" in str(blocked.value)
    assert "It stops as soon as its loop is free" in str(blocked.value)
    assert "let_go.wait(20)" in server.held()
    let_go.set()
    server.stop()
    peers.assert_free(server.port)
    assert server.held() is None
    assert "handler block()" in server.blockages[-1].culprit
    until(lambda: client.state.name == "CLOSED")


def test_too_short_a_timeout_says_so_and_not_that_the_loop_is_blocked():
    with wslab.serve(quiet) as server, peers.raw_client(server.port):
        until(lambda: len(server.connections) == 1)
        with pytest.raises(TimeoutError, match="goes on stopping") as late:
            server.stop(timeout=0.05)
        assert not isinstance(late.value, LoopBlocked)
        server.stop()
        peers.assert_free(server.port)


def test_two_threads_stop_it_at_once():
    with wslab.serve(quiet) as server:
        clients = [wslab.connect(server) for _ in range(5)]
        barrier = threading.Barrier(4)
        failures = []
        lock = threading.Lock()

        def stop():
            barrier.wait()
            try:
                server.stop()
                with lock:
                    peers.assert_free(server.port)
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=stop) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        server.stop()
        for thread in threads:
            thread.join()
        assert failures == []
        until(lambda: all(client.close_code == 1001 for client in clients))


@pytest.mark.parametrize("what", ["stop", "restart"])
def test_a_handler_must_not_wait_for_its_own_server(what):
    async def suicidal(websocket):
        async for _ in websocket:
            try:
                getattr(server, what)()
            except WrongThread as exc:
                await websocket.send(str(exc))

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        for _ in range(2):  # nothing has begun to stop
            client.send("x")
            assert f"await asyncio.to_thread(server.{what})" in client.recv(timeout=5)
        assert server.is_serving


def test_a_handler_may_stop_its_server_from_a_thread():
    async def suicidal(websocket):
        async for _ in websocket:
            await asyncio.to_thread(server.stop)

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        client.send("x")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1001
        server.stop()
        peers.assert_free(server.port)
        assert not server.errors


def test_a_handler_may_restart_its_server_from_a_thread():
    done = threading.Event()

    async def suicidal(websocket):
        async for message in websocket:
            if message == "restart":
                threading.Thread(target=lambda: (server.restart(), done.set())).start()
            await websocket.send(message)

    with wslab.serve(suicidal) as server, wslab.connect(server) as client:
        client.send("restart")
        assert done.wait(5)
        with pytest.raises(ConnectionClosedError, match="service restart"):
            list(client)
        assert says(server, "x") == ["x"]


def test_restart_keeps_the_port_and_tells_1012():
    with wslab.serve(echo) as server:
        port = server.port
        alice = wslab.connect(server)
        for _ in range(3):
            server.restart()
            assert server.port == port
            assert server.is_serving
        with pytest.raises(ConnectionClosed):
            alice.recv(timeout=5)
        assert alice.close_code == 1012
        assert "service restart" in alice.why_closed
        assert says(server, "x") == ["x"]
        assert "restarted on the same port" in server.note
        server.stop()
        peers.assert_free(port)
        server.restart()  # after a stop it starts
        assert server.port == port
        assert says(server, "x") == ["x"]
    assert portals.lab().watchdog.watchers == 0


def test_restart_where_the_port_was_taken_meanwhile():
    server = wslab.serve(echo)
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        with pytest.raises(PortInUse):
            server.restart()
        assert not server.is_serving
        server.stop()
        server.stop()
        assert portals.lab().watchdog.watchers == 0
    server.restart()
    assert says(server, "x") == ["x"]
    server.stop()
    assert portals.lab().watchdog.watchers == 0


def test_stop_after_the_lab_was_shut_down():
    server = wslab.serve(echo)
    client = wslab.connect(server)
    wslab.shutdown()
    assert not server.is_serving
    server.stop()
    client.close()
    assert client.state.name == "CLOSED"
    peers.assert_free(server.port)
    with pytest.raises(PortalClosed):  # a handle of an ended lab is told so
        server.restart()


def linger(told):
    """Return a handler that takes longer to end than handlers get, unless more was asked for."""

    async def lingers(websocket):
        await websocket.wait_closed()
        try:
            await asyncio.sleep(0.8)
            told.append("written")
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    return lingers


def linger_as_application(told):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        try:
            await asyncio.sleep(0.8)
            told.append("written")
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    return app


@pytest.mark.parametrize("kind", [linger, linger_as_application])
@pytest.mark.parametrize(("grace_s", "expected"), [(30.0, "written"), (0, "cancelled")])
def test_handlers_have_their_grace(kind, grace_s, expected):
    told = []
    with wslab.serve(kind(told), handler_grace_s=grace_s) as server:
        wslab.connect(server)
        until(lambda: server.connections_seen == 1)
        server.stop(timeout=5)
        assert told == [expected]
        assert not server.errors


def test_a_grace_comes_on_top_of_the_time_to_stop():
    told = []
    with wslab.serve(linger(told), handler_grace_s=30) as server:
        wslab.connect(server)
        until(lambda: server.connections_seen == 1)
        server.stop(timeout=0.1)
        assert told == ["written"]


@pytest.mark.parametrize("grace_s", [-1, float("inf"), float("nan")])
def test_a_grace_has_an_end(grace_s):
    with pytest.raises(ValueError, match="expected handler_grace_s of 0 or more"):
        wslab.serve(echo, handler_grace_s=grace_s)

"""Handlers and what they let through: as under websockets, and recorded."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time

import pytest
import websockets
from websockets.asyncio import server as ws_server
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close
from websockets.sync.client import connect as sync_connect

import wslab
from tests import inside, peers
from tests.peers import until
from tests.server.rig import echo, failing, says


async def receiver(websocket):
    while True:
        await websocket.send(await websocket.recv())


async def receiver_that_catches(websocket):
    while True:
        try:
            message = await websocket.recv()
        except websockets.exceptions.ConnectionClosedOK:
            break
        await websocket.send(message)


async def both_with_gather(websocket):
    queue = asyncio.Queue()

    async def consumer_handler():
        async for message in websocket:
            await queue.put(message)

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    await asyncio.gather(consumer_handler(), producer_handler())


async def both_with_wait(websocket):
    queue = asyncio.Queue()

    async def consumer_handler():
        async for message in websocket:
            await queue.put(message)

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    _done, pending = await asyncio.wait(
        [asyncio.create_task(consumer_handler()), asyncio.create_task(producer_handler())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    for task in pending:
        task.cancel()


async def both_with_a_task_group(websocket):
    queue = asyncio.Queue()

    async def producer_handler():
        while True:
            await websocket.send(await queue.get())

    async with asyncio.TaskGroup() as group:
        producer = group.create_task(producer_handler())
        async for message in websocket:
            await queue.put(message)
        producer.cancel()


class Echo:
    async def __call__(self, websocket):
        await echo(websocket)

    async def method(self, websocket):
        await echo(websocket)

    @staticmethod
    async def static(websocket):
        await echo(websocket)


async def with_prefix(prefix, websocket):
    await echo(websocket)


def logged(handler):
    @functools.wraps(handler)
    def wrapper(websocket):
        return handler(websocket)

    return wrapper


def as_task(websocket):
    return asyncio.ensure_future(echo(websocket))


HANDLERS = [
    echo,
    receiver,
    receiver_that_catches,
    both_with_gather,
    both_with_wait,
    both_with_a_task_group,
    Echo(),
    Echo().method,
    Echo.static,
    functools.partial(with_prefix, "x"),
    logged(echo),
    as_task,
    lambda websocket: echo(websocket),
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda h: getattr(h, "__name__", repr(type(h))))
def test_any_handler_works_unchanged(handler):
    with wslab.serve(handler) as server:
        assert says(server, "hello", b"\x00\xff") == ["hello", b"\x00\xff"]
        # A client that goes away without a word ends it, and that is nobody's mistake.
        peers.raw_client(server.port).close()
        with peers.raw_client(server.port) as client:
            until(lambda: len(server.connections) == 1)
            client.sendall(peers.close_frame(1000))
            assert peers.read_frame(client) == (0x88, b"\x03\xe8")
        until(lambda: not server.connections)
    assert not server.errors


def test_broadcast_with_a_set():
    connected = set()

    async def chat(websocket):
        connected.add(websocket)
        try:
            async for message in websocket:
                ws_server.broadcast(connected, message)
        finally:
            connected.remove(websocket)

    with (
        wslab.serve(chat) as server,
        wslab.connect(server) as alice,
        wslab.connect(server) as bob,
        wslab.connect(server) as carol,
    ):
        everybody = (alice, bob, carol)
        until(lambda: len(connected) == 3)
        for client in everybody:
            client.send("hello")
        for client in everybody:
            assert [client.recv(timeout=5) for _ in everybody] == ["hello"] * 3
        assert sorted(c.sent for c in server.connections) == [3, 3, 3]
        assert not server.errors


def test_an_exception_is_kept_with_its_traceback_and_the_client_gets_1011():
    async def divide(websocket):
        async for message in websocket:
            await websocket.send(str(1 / int(message)))

    with wslab.serve(divide) as server, wslab.connect(server) as client:
        before = time.time()
        client.send("2")
        assert client.recv(timeout=5) == "0.5"
        client.send("0")
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        [error] = server.errors
        assert (error.kind, error.message) == ("ZeroDivisionError", "division by zero")
        assert error.where == "divide"
        assert before <= error.at <= time.time()
        assert error.address == client.websocket.local_address[:2]
        assert str(error) == f"ZeroDivisionError: division by zero (in divide, for {error.who})"
        assert error.traceback.startswith("Traceback (most recent call last)")
        assert "str(1 / int(message))" in error.traceback
        assert os.path.join("server", "server.py") not in error.traceback
        assert os.path.join("loops", "watchdog.py") not in error.traceback
        assert ", 1 error>" in repr(server)
        assert "handler raised ZeroDivisionError: division by zero" in client.why_closed
        assert says(server, "4") == ["0.25"]


@pytest.mark.parametrize("exc", [SystemExit(1), KeyboardInterrupt("x"), GeneratorExit()])
def test_what_would_end_the_process_ends_one_connection(exc):
    with wslab.serve(failing(exc)) as server, wslab.connect(server) as client:
        with wslab.connect(server) as other:
            client.send("x")
            with pytest.raises(ConnectionClosedError):
                client.recv(timeout=5)
            assert client.close_code == 1011
            assert [error.kind for error in server.errors] == [type(exc).__name__]
            assert other.ping() > 0


def test_what_a_handler_awaited_was_cancelled():
    async def confused(websocket):
        task = asyncio.create_task(asyncio.sleep(60))
        await websocket.recv()
        task.cancel()
        await task

    with wslab.serve(confused) as server, wslab.connect(server) as client:
        client.send("x")
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        [error] = server.errors
        assert error.kind == "asyncio.exceptions.CancelledError"
        assert "await task" in error.traceback


def test_the_end_of_ones_own_connection_is_no_error_and_of_another_one_is():
    both = []
    ended = threading.Semaphore(0)

    async def relay(websocket):
        both.append(websocket)
        try:
            async for message in websocket:
                await both[0].send(message)
        finally:
            ended.release()

    with wslab.serve(relay) as server:
        alice = wslab.connect(server)
        until(lambda: len(both) == 1)
        bob = wslab.connect(server)
        until(lambda: len(both) == 2)
        alice.websocket.loop.call_soon_threadsafe(alice.websocket.transport.abort)
        assert ended.acquire(timeout=5)
        until(lambda: both[0].state.name == "CLOSED")
        assert not server.errors
        bob.send("are you there?")
        with pytest.raises(ConnectionClosedError):
            bob.recv(timeout=5)
        assert bob.close_code == 1011
        [error] = server.errors
        assert error.kind == "websockets.exceptions.ConnectionClosedError"


def test_a_group_of_nothing_but_the_end_of_ones_own_connection_is_no_error():
    ended = threading.Event()

    async def grouped(websocket):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(websocket.recv())
        finally:
            ended.set()

    with wslab.serve(grouped) as server:
        with peers.raw_client(server.port):
            until(lambda: len(server.connections) == 1)
        assert ended.wait(5)
        until(lambda: not inside.handler_tasks(server))
        assert not server.errors


def test_another_connections_end_is_an_error_even_when_ones_own_has_ended():
    async def confused(websocket):
        await websocket.wait_closed()
        raise ConnectionClosedError(Close(4000, "another"), None)

    with wslab.serve(confused) as server:
        with wslab.connect(server):
            pass
        until(lambda: len(server.errors) == 1)


def test_a_handler_that_returns_closes_with_1000():
    async def brief(websocket):
        await websocket.send("bye")

    with wslab.serve(brief) as server, wslab.connect(server) as client:
        assert list(client) == ["bye"]
        assert client.close_code == 1000


def test_a_handler_that_is_none_after_all():
    def returns_a_number(websocket):
        return 42

    with wslab.serve(returns_a_number) as server, wslab.connect(server) as client:
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)
        assert client.close_code == 1011
        assert "returned int" in str(server.errors[0])


def test_errors_are_bounded_and_counted():
    with wslab.serve(failing(ValueError("again"))) as server:
        for _ in range(60):
            with sync_connect(server.url, proxy=None) as client:
                client.send("x")
                with pytest.raises(ConnectionClosedError):
                    client.recv(timeout=5)
        assert len(server.errors) == 50
        assert server.errors_seen == 60
        assert "60 errors" in repr(server)


def test_what_a_hubs_handler_lets_through_is_the_servers_to_show():
    hub = wslab.Hub()

    @hub.on("boom")
    async def boom(client, data):
        raise ValueError("out of dice")

    with wslab.serve(hub) as server, wslab.connect(server) as alice:
        with pytest.raises(wslab.errors.CallFailed, match="ValueError: out of dice"):
            alice.call("boom")
        (error,) = server.errors
        assert error.message == "out of dice"
        assert error.who == server.connections[0].id
        assert error.traceback.count("File") == 1
        server.restart()
    assert not hub.errors.has_listeners

"""Connections of a class or a factory of the user's, and their end."""

from __future__ import annotations

import functools
import gc
import weakref

import pytest
from websockets.asyncio import server as ws_server

import wslab
from tests import inside
from tests.peers import until
from tests.server.rig import echo, on_loop, says


class Shouting(ws_server.ServerConnection):
    async def send(self, message, **kwargs):
        await super().send(message.upper(), **kwargs)


class Slotted(ws_server.ServerConnection):
    __slots__ = ("note",)


def test_create_connection():
    made = []

    def factory(*args, **kwargs):
        made.append(Shouting(*args, **kwargs))
        return made[-1]

    for create in (Shouting, factory, functools.partial(Shouting)):
        with wslab.serve(echo, create_connection=create) as server, wslab.connect(server) as alice:
            alice.send("hello")
            assert alice.recv(timeout=5) == "HELLO"
            [connection] = server.connections
            assert isinstance(connection.websocket, Shouting)
            assert type(connection.websocket).__name__ == "Shouting"
            assert (connection.received, connection.sent) == (1, 1)
            assert connection.received_bytes == alice.counts[3]
    assert len(made) == 1
    for create in (Slotted, lambda *a, **k: Slotted(*a, **k)):
        with wslab.serve(echo, create_connection=create) as server:
            assert says(server, "x") == ["x"]


def test_a_create_connection_that_raises_is_recorded():
    def factory(*args, **kwargs):
        raise LookupError("no connection today")

    with wslab.serve(echo, create_connection=factory) as server:
        with pytest.raises(wslab.errors.ConnectFailed):
            wslab.connect(server, open_timeout=2)
        assert server.errors[0].where == "create_connection"
        assert str(server.errors[0]) == "LookupError: no connection today (in create_connection)"


def test_a_closed_connection_is_freed_without_the_collector():
    kept = []

    class Plain(ws_server.ServerConnection):
        pass

    async def note(websocket):
        kept.append(weakref.ref(websocket))
        await websocket.wait_closed()

    with wslab.serve(note, create_connection=Plain) as server:
        gc.collect()
        gc.disable()
        try:
            with wslab.connect(server) as client:
                until(lambda: kept)
                theirs = weakref.ref(client.websocket)
            until(lambda: not inside.handler_tasks(server))
            del client
            # The loop forgets its last callbacks when it has turned once more.
            until(lambda: wslab.run(on_loop, None) is None and kept[0]() is None)
            until(lambda: wslab.run(on_loop, None) is None and theirs() is None)
        finally:
            gc.enable()

"""A handler that begins and ends with its server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import wslab


class Made:
    """As much of a Hub as a server looks at."""

    errors = None

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.told: list[str] = []

    async def __call__(self, websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)
        await asyncio.sleep(0)
        self.told.append("connection ended")

    async def _note(self, what: str) -> None:
        if what == self.fails_at:
            raise RuntimeError(f"{what} failed")
        self.told.append(what)

    async def start(self) -> None:
        await self._note("start")

    async def end_http(self) -> None:
        await self._note("end_http")

    async def close(self) -> None:
        await self._note("close")


def test_it_is_told_before_anybody_comes_and_when_the_last_has_gone() -> None:
    made = Made()
    server = wslab.serve(made, page=False)
    with wslab.connect(server) as client:
        client.send("hello")
        assert client.recv() == "hello"
        assert made.told == ["start"]
        server.stop()
    assert made.told == ["start", "end_http", "connection ended", "close"]
    server.start()
    server.stop()
    assert made.told[4:] == ["start", "end_http", "close"]


def test_what_cannot_start_is_not_served() -> None:
    with pytest.raises(RuntimeError, match="start failed"):
        wslab.serve(Made("start"), page=False)


def test_what_cannot_end_is_recorded() -> None:
    server = wslab.serve(Made("close"), page=False)
    server.stop()
    assert [(each.where, each.message) for each in server.errors] == [("close", "close failed")]


def test_it_ends_where_the_port_is_taken() -> None:
    made = Made()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(wslab.PortInUse):
        wslab.serve(made, port=taken.getsockname()[1], page=False)
    assert made.told == ["start", "close"]


def test_functions_know_no_such_thing() -> None:
    class Starts:
        async def __call__(self, websocket: Any) -> None:
            await websocket.send("served")

        async def start(self) -> None:
            raise AssertionError("it was never meant for that")

    with wslab.serve(Starts(), page=False) as server, wslab.connect(server) as client:
        assert client.recv() == "served"

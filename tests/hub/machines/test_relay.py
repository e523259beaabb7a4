"""The rig's relay passes on, holds one way or both, hangs up and cuts off."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.hub.machines.relay import Relay
from tests.hub.rig import aio

BOUND_S = 10.0


@contextlib.asynccontextmanager
async def echoing():
    async def echo(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Relay(lambda: server.sockets[0].getsockname()[1]) as relay:
        yield relay


@aio
async def test_what_is_held_comes_when_it_is_released_and_what_is_cut_ends():
    async with asyncio.timeout(BOUND_S), echoing() as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        for ways in ({"outward": False}, {"inward": False}, {}):
            relay.hold(**ways)
            writer.write(b"two")
            read = asyncio.ensure_future(reader.readexactly(3))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(read), 0.05)
            relay.release()
            assert await read == b"two"
        relay.is_refusing = True
        other, other_writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await other.read() == b""
        relay.cut()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        for each in (writer, other_writer):
            each.close()

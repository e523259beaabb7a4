"""A relay carries to the first target that lives, holds while it is cut, and has a bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from wslab.network.relay import Relay
from wslab.wire.tape.tape import Tape

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that sends back what comes, until its client's end."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
            writer.write(b"end")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[:2]


@contextlib.asynccontextmanager
async def relayed(*targets, **kwargs) -> AsyncIterator[Relay]:
    relay = Relay(targets, **kwargs)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.close()
        assert relay.connections == 0


@contextlib.asynccontextmanager
async def client(relay):
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_it_carries_both_ways_ends_included_and_records_it():
    tape = Tape()
    async with echo() as target, relayed(target, tape=tape, label="one") as relay:
        async with client(relay) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            port = writer.get_extra_info("sockname")[1]
            assert relay.ports == {port: target}
            writer.write_eof()
            assert await reader.read() == b"end"
        chunks = [(each.what, each.data) for each in tape.chunks() if each.data]
        assert chunks == [("client", b"hello"), ("server", b"hello"), ("server", b"end")]
        assert [track.label for track in tape.connections] == ["one"]


async def test_the_first_target_that_lives_is_taken():
    async with echo() as gone:
        pass
    async with echo() as there, relayed(gone, there) as relay, client(relay) as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        assert list(relay.ports.values()) == [there]


async def test_where_nobody_listens_the_client_is_cut_off():
    async with echo() as gone:
        pass
    async with relayed(gone) as relay, client(relay) as (reader, _):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_cut_holds_and_a_restore_lets_pass():
    async with echo() as target, relayed(target) as relay, client(relay) as (reader, writer):
        writer.write(b"a")
        await reader.readexactly(1)
        relay.cut()
        writer.write(b"b")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.readexactly(1)
        relay.restore()
        assert await reader.readexactly(1) == b"b"
        assert [note.what for note in relay.notes] == ["cut", "joined"]


async def test_a_reset_loses_what_was_held_and_new_connections_pass():
    async with echo() as target, relayed(target) as relay:
        async with client(relay) as (reader, writer):
            writer.write(b"a")
            await reader.readexactly(1)
            relay.cut()
            writer.write(b"lost")
            one = next(iter(relay._carried))
            async with asyncio.timeout(5):
                while not one.held_bytes:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            relay.reset()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert relay.notes[-1][1:] == ("reset", 4)
        async with client(relay) as (reader, writer):
            writer.write(b"b")
            assert await reader.readexactly(1) == b"b"


async def test_a_filter_decides_what_goes_on_to_the_target():
    async with echo() as target, relayed(target) as relay, client(relay) as (reader, writer):
        relay.filter = lambda _id, data: data.replace(b"x", b"")
        writer.write(b"axb")
        assert await reader.readexactly(2) == b"ab"


async def test_a_client_that_sends_and_never_reads_makes_it_hold_no_more_than_its_bound():
    async with echo() as target, relayed(target) as relay, client(relay) as (_, writer):
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 * 2**20:
                writer.write(bytes(2**16))
                sent += 2**16
                async with asyncio.timeout(0.5):
                    await writer.drain()
        one = next(iter(relay._carried))
        waiting = sum(end.transport.get_write_buffer_size() for end in one.ends)
        assert one.held_bytes + waiting < 2**20
        writer.transport.abort()

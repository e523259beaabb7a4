"""An end in memory beside an end over TCP: each script is played on both, and they hear the same.

On asyncio's own loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.network.rig import LOOPS, End, connected, run, turns
from wslab.network.conditions import BUFFER_BYTES
from wslab.network.memory import MemoryNetwork

pytestmark = pytest.mark.parametrize("loop_factory", LOOPS)


def both(script, loop_factory) -> tuple[list[object], list[object]]:
    """Play a script over TCP and over memory; what the client and the server heard."""
    heard = []
    for network in (contextlib.nullcontext(), MemoryNetwork(seed=1)):

        async def main(network=network):
            with network:
                client, server = await connected()
                await script(client, server)
                for end in (client, server):
                    if not end.lost.is_set():
                        end.transport.abort()
                    await end.lost.wait()
                heard.append((client.heard, server.heard))

        run(main, loop_factory)
    assert heard[1] == heard[0]
    return heard[0]


def test_bytes_both_ways_and_a_close(loop_factory):
    async def script(client, server):
        client.transport.write(b"hello")
        client.transport.writelines([b" ", bytearray(b"wor"), memoryview(b"ld")])
        client.transport.write(b"")
        await server.hears(b"hello world")
        server.transport.write(b"bye")
        server.transport.close()
        server.transport.close()
        server.transport.write(b"unsaid")
        await client.lost.wait()

    assert both(script, loop_factory) == ([b"bye", "eof", "lost"], [b"hello world", "lost"])


def test_an_end_that_is_half_closed_still_hears(loop_factory):
    async def script(client, server):
        server.keeps_open = True
        client.transport.write(b"question")
        assert client.transport.can_write_eof()
        client.transport.write_eof()
        client.transport.write_eof()
        with pytest.raises(RuntimeError):
            client.transport.write(b"more")
        await server.hears(b"question", "eof")
        assert not server.transport.is_closing()
        server.transport.write(b"answer")
        server.transport.close()
        await client.lost.wait()

    heard = ([b"answer", "eof", "lost"], [b"question", "eof", "lost"])
    assert both(script, loop_factory) == heard


def test_an_abort(loop_factory):
    async def script(client, server):
        client.transport.write(b"x")
        await server.hears(b"x")
        client.transport.abort()
        client.transport.abort()
        assert client.transport.is_closing()
        await server.lost.wait()

    assert both(script, loop_factory) == (["lost"], [b"x", "eof", "lost"])


def test_an_end_that_closes_with_bytes_unread_resets(loop_factory):
    async def script(client, server):
        server.transport.pause_reading()
        client.transport.write(b"never read")
        await asyncio.sleep(0.02)
        server.transport.close()
        await client.lost.wait()

    assert both(script, loop_factory) == (["ConnectionResetError"], ["lost"])


def test_who_writes_to_an_end_that_is_gone_finds_out(loop_factory):
    async def script(client, server):
        client.keeps_open = True
        server.transport.close()
        await client.hears("eof")
        client.transport.write(b"anybody there?")
        await asyncio.sleep(0.02)
        client.transport.write(b"and now?")
        await client.lost.wait()

    assert both(script, loop_factory) == (["eof", "BrokenPipeError"], ["lost"])


def test_what_was_written_before_a_close_arrives_however_much(loop_factory):
    data = bytes(range(256)) * 40_000

    async def script(client, server):
        client.transport.set_write_buffer_limits(high=2**30)
        server.transport.pause_reading()
        client.transport.write(data)
        client.transport.close()
        await asyncio.sleep(0.02)
        assert client.heard == []  # it is not done
        server.transport.resume_reading()
        await server.lost.wait()

    assert both(script, loop_factory) == (["lost"], [data, "eof", "lost"])


def test_who_waits_to_write_to_an_end_that_breaks_off_finds_out(loop_factory):
    async def script(client, server):
        client.transport.set_write_buffer_limits(high=2**30)
        server.transport.pause_reading()
        client.transport.write(bytes(10_000_000))
        await asyncio.sleep(0.02)
        client.transport.pause_reading()
        server.transport.abort()
        await client.lost.wait()

    assert both(script, loop_factory) == (["ConnectionResetError"], ["lost"])


def test_an_end_whose_protocol_fails_ends(loop_factory):
    async def script(client, server):
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        server.data_received = lambda data: 1 / 0
        server.transport.set_protocol(server)  # uvloop keeps the method that it calls
        client.transport.write(b"x")
        await client.lost.wait()
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError]
        await server.lost.wait()

    client, server = both(script, loop_factory)
    assert (client, server) == (["eof", "lost"], ["ZeroDivisionError"])


def test_limits_are_those_of_asyncio(loop_factory):
    async def script(client, server):
        transport = client.transport
        limits = []
        for kwargs in ({"high": 100}, {"low": 25}, {"high": 0}, {"high": 10, "low": 3}, {}):
            transport.set_write_buffer_limits(**kwargs)
            limits.append(transport.get_write_buffer_limits())
        with pytest.raises(ValueError, match="low"):
            transport.set_write_buffer_limits(high=1, low=2)
        with pytest.raises(TypeError):
            transport.write("text")
        server.heard.append(tuple(limits))
        transport.close()
        await server.lost.wait()

    both(script, loop_factory)


class Buffered(End, asyncio.BufferedProtocol):
    """As an end, but it lends its own memory to the transport."""

    def get_buffer(self, sizehint):
        self.buffer = bytearray(4)
        return self.buffer

    def buffer_updated(self, size_bytes):
        End.data_received(self, bytes(self.buffer[:size_bytes]))


def test_a_protocol_with_a_buffer_of_its_own(loop_factory):
    async def main():
        client, server = await connected(kind=Buffered)
        client.transport.write(b"hello world")
        client.transport.close()
        await server.lost.wait()
        return server.heard

    with MemoryNetwork():
        assert run(main, loop_factory) == [b"hello world", "eof", "lost"]


def test_a_writer_waits_while_nobody_reads(loop_factory):
    async def main():
        client, server = await connected()
        transport = client.transport
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        transport.write(bytes(BUFFER_BYTES))
        assert transport.get_write_buffer_size() == 0
        transport.write(bytes(100_000))
        assert (transport.get_write_buffer_size(), client.heard) == (100_000, ["pause"])
        server.transport.resume_reading()
        await client.hears("pause", "resume")
        transport.close()
        await server.lost.wait()
        assert len(server.heard[0]) == BUFFER_BYTES + 100_000

    with MemoryNetwork():
        run(main, loop_factory)


def test_a_small_buffer_is_full_sooner(loop_factory):
    async def main():
        client, server = await connected()
        server.transport.pause_reading()
        client.transport.write(bytes(1_000))
        assert client.transport.get_write_buffer_size() == 900
        network.connections[0].server.buffer_bytes = 1_000
        assert client.transport.get_write_buffer_size() == 0

    with MemoryNetwork(buffer_bytes=100) as network:
        run(main, loop_factory)


def test_who_aborts_loses_what_is_not_yet_in_flight(loop_factory):
    async def main():
        client, server = await connected()
        server.transport.pause_reading()
        client.transport.write(b"a" * BUFFER_BYTES + b"b" * 1_000)
        client.transport.abort()
        await client.lost.wait()
        server.transport.resume_reading()
        await server.hears(b"a" * BUFFER_BYTES, "eof", "lost")

    with MemoryNetwork():
        run(main, loop_factory)


def test_a_slow_reader_reads_when_it_is_let(loop_factory):
    async def main():
        client, server = await connected()
        [connection] = network.connections
        connection.server.stop_reading()
        server.transport.resume_reading()  # that is the program's wish, and not the network's
        client.transport.write(bytes(BUFFER_BYTES + 2**17))
        await turns()
        assert (client.heard, server.heard) == (["pause"], [])
        connection.server.resume_reading()
        await client.hears("pause", "resume")

    with MemoryNetwork() as network:
        run(main, loop_factory)


def test_a_cut_line_says_nothing_and_delivers_in_order_when_it_is_whole_again(loop_factory):
    async def main():
        client, server = await connected()
        [connection] = network.connections
        connection.cut()
        client.transport.write(b"a")
        client.transport.write(b"b")
        client.transport.close()
        server.transport.write(b"c")
        await client.lost.wait()
        await turns()
        assert server.heard == []
        assert network.connections == (connection,)
        connection.restore()
        await server.lost.wait()
        assert server.heard == [b"ab", "eof", "lost"]
        assert network.connections == ()

    with MemoryNetwork() as network:
        run(main, loop_factory)


def test_a_reset_ends_both_and_loses_what_is_under_way(loop_factory):
    async def main():
        client, server = await connected()
        client.transport.write(b"lost")
        network.connections[0].reset()
        for end in (client, server):
            await end.hears("ConnectionResetError")
        assert network.connections == ()
        assert "closed" in repr(client.transport)

    with MemoryNetwork(delay_s=0.01) as network:
        run(main, loop_factory)


def test_what_is_late_takes_as_long_as_was_asked_for(loop_factory):
    async def main():
        client, server = await connected()
        began_s = loop_time()
        client.transport.write(b"late")
        await server.hears(b"late")
        assert 0.045 < loop_time() - began_s < 3.0
        network.connections[0].server.delay_s = 60.0
        client.transport.write(b"later")
        network.connections[0].reset()  # nobody waits for it
        await server.hears(b"late", "ConnectionResetError")

    def loop_time():
        return asyncio.get_running_loop().time()

    with MemoryNetwork(delay_s=0.05) as network:
        run(main, loop_factory)


def test_pieces_are_no_longer_than_was_asked_for(loop_factory):
    async def main():
        client, server = await connected()
        sizes = []
        server.data_received = lambda data: sizes.append(len(data))
        client.transport.write(bytes(2_000))
        client.transport.close()
        await server.lost.wait()
        return sizes

    def sizes(seed):
        with MemoryNetwork(seed=seed, max_chunk_bytes=50):
            return run(main, loop_factory)

    assert sum(sizes(3)) == 2_000
    assert max(sizes(3)) <= 50
    assert sizes(3) == sizes(3) != sizes(4)


def test_so_many_bytes_pass_in_a_second(loop_factory):
    async def main():
        client, server = await connected()
        began_s = asyncio.get_running_loop().time()
        client.transport.write(bytes(5_000))
        client.transport.close()
        await server.lost.wait()
        assert asyncio.get_running_loop().time() - began_s >= 0.049
        assert server.heard == [bytes(5_000), "eof", "lost"]

    with MemoryNetwork(bytes_per_s=100_000):
        run(main, loop_factory)

"""A line between a protocol and its transport, over TCP and over memory, on both kinds of loop."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.hub.rig import until
from tests.network.rig import LOOPS, End, connected, run, turns
from wslab.network.conditions import Conditions
from wslab.network.line import Line
from wslab.network.memory import MemoryNetwork

NETWORKS = [
    pytest.param(contextlib.nullcontext, id="tcp"),
    pytest.param(lambda: MemoryNetwork(seed=1), id="memory"),
]
pytestmark = [
    pytest.mark.parametrize("loop_factory", LOOPS),
    pytest.mark.parametrize("network", NETWORKS),
]


class Lined:
    """An end with a line under it, and what is set there."""

    def __init__(self, end: End) -> None:
        self.sending, self.receiving = Conditions(), Conditions()
        self.ended: list[Line] = []
        self.line = end.transport = Line(
            end.transport,
            end,
            sending=self.sending,
            receiving=self.receiving,
            seed="7",
            is_new=False,
            is_full=False,
            ended=self.ended.append,
        )

    def cut(self) -> None:
        self.sending.cut()
        self.receiving.cut()
        self.line.look()

    def restore(self) -> None:
        self.sending.restore()
        self.receiving.restore()
        self.line.look()


def play(script, loop_factory, network) -> None:
    """Play a script between an end with a line under it, and another; nothing is left behind."""

    async def main() -> None:
        client, server = await connected()
        lined = Lined(client)
        await script(client, server, lined)
        lined.line.end()
        for end in (client, server):
            if not end.lost.is_set():
                end.transport.abort()
            await end.lost.wait()
        await until(lambda: lined.ended)
        assert lined.line.held_bytes == 0

    with network():
        run(main, loop_factory)


async def heard(end: End, count: int) -> bytes:
    """Wait until an end has heard so many bytes."""
    while sum(len(what) for what in end.heard if isinstance(what, bytes)) < count:
        end._news.clear()
        await end._news.wait()
    return b"".join(what for what in end.heard if isinstance(what, bytes))


def test_where_nothing_is_set_all_passes_at_once(loop_factory, network):
    async def script(client, server, lined):
        client.transport.write(b"hello")
        client.transport.writelines([b" ", b"world"])
        assert lined.line.held_bytes == 0
        await server.hears(b"hello world")
        server.transport.write(b"bye")
        server.transport.close()
        await client.hears(b"bye", "eof", "lost")

    play(script, loop_factory, network)


def test_a_cut_line_says_nothing_and_delivers_in_order_when_it_is_whole_again(
    loop_factory, network
):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(b"a")
        client.transport.write(b"b")
        server.transport.write(b"c")
        server.transport.write_eof()
        await until(lambda: lined.line.held_bytes == 3)
        await turns()
        assert (client.heard, server.heard) == ([], [])
        client.keeps_open = True
        lined.restore()
        await server.hears(b"ab")
        await client.hears(b"c", "eof")

    play(script, loop_factory, network)


def test_who_closes_while_it_is_cut_is_gone_and_the_other_hears_of_it_later(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(b"last words")
        client.transport.close()
        await client.hears("lost")
        await turns()
        assert (server.heard, lined.ended) == ([], [])
        lined.restore()
        await server.hears(b"last words", "eof", "lost")

    play(script, loop_factory, network)


def test_who_gives_up_while_it_is_cut_is_gone_as_well(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(bytes(lined.sending.buffer_bytes) + b"never in a kernel's buffer")
        client.transport.abort()
        await client.hears("lost")
        await turns()
        assert (server.heard, lined.ended) == ([], [])
        lined.restore()
        assert len(await heard(server, lined.sending.buffer_bytes)) == lined.sending.buffer_bytes
        await server.lost.wait()
        assert server.heard[1:] == ["eof", "lost"]

    play(script, loop_factory, network)


def test_who_closes_with_bytes_unread_resets(loop_factory, network):
    async def script(client, server, lined):
        client.transport.pause_reading()
        lined.receiving.delay_s = 0.001  # so that the line reads ahead
        server.transport.write(b"never read")
        client.transport.resume_reading()
        lined.receiving.is_stopped = True
        lined.line.data_received(b"never read")
        await asyncio.sleep(0.002)
        client.transport.close()
        await server.hears("ConnectionResetError")

    play(script, loop_factory, network)


def test_when_both_have_given_it_up_nothing_is_held(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(b"lost")
        client.transport.abort()
        await client.hears("lost")
        assert lined.ended == []
        server.transport.abort()
        await until(lambda: lined.ended)

    play(script, loop_factory, network)


def test_an_end_learns_of_rst_when_the_line_lets_it(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        server.transport.write(b"x")
        await until(lambda: lined.line.held_bytes)
        server.transport.abort()
        await server.lost.wait()
        await turns()
        assert client.heard == []
        lined.restore()
        await client.hears(b"x", "eof", "lost")

    play(script, loop_factory, network)


def test_rst_ends_both_also_where_it_is_cut(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(b"lost")
        lined.line.void()
        for end in (client, server):
            await end.hears("ConnectionResetError")

    play(script, loop_factory, network)


def test_who_does_not_read_is_waited_for(loop_factory, network):
    async def script(client, server, lined):
        lined.receiving.is_stopped = True
        lined.line.look()
        server.transport.set_write_buffer_limits(high=0)
        while "pause" not in server.heard:
            server.transport.write(bytes(2**20))
            await asyncio.sleep(0)
        assert client.heard == []
        assert lined.line.held_bytes == 0
        lined.receiving.is_stopped = False
        lined.line.look()
        await until(lambda: "resume" in server.heard)

    play(script, loop_factory, network)


def test_what_is_held_is_bounded_however_much_the_peer_sends(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        server.transport.set_write_buffer_limits(high=0)
        sent = 0
        most = 0
        while sent < 64 * 2**20 and "pause" not in server.heard:
            server.transport.write(bytes(2**18))
            sent += 2**18
            await turns(3)
            most = max(most, lined.line.held_bytes)
        assert "pause" in server.heard
        for _ in range(200):
            await asyncio.sleep(0)
            most = max(most, lined.line.held_bytes)
        # One read more than the buffer, since asyncio reads so much at once.
        assert lined.receiving.buffer_bytes <= most <= lined.receiving.buffer_bytes + 2**18
        client.heard.clear()
        lined.restore()
        assert len(await heard(client, sent)) == sent

    play(script, loop_factory, network)


def test_who_writes_to_a_cut_line_has_to_wait_at_last(loop_factory, network):
    async def script(client, server, lined):
        lined.cut()
        client.transport.write(bytes(lined.sending.buffer_bytes))
        assert (client.transport.get_write_buffer_size(), client.heard) == (0, [])
        client.transport.write(bytes(100_000))
        assert client.transport.get_write_buffer_size() == 100_000
        assert client.heard == ["pause"]
        lined.restore()
        await client.hears("pause", "resume")
        assert len(await heard(server, lined.sending.buffer_bytes + 100_000)) > 0

    play(script, loop_factory, network)


def test_what_is_late_takes_as_long_as_was_asked_for_each_way(loop_factory, network):
    async def script(client, server, lined):
        loop = asyncio.get_running_loop()
        lined.sending.delay_s, lined.receiving.delay_s = 0.02, 0.05
        began_s = loop.time()
        client.transport.write(b"out")
        await server.hears(b"out")
        assert loop.time() - began_s >= 0.019
        began_s = loop.time()
        server.transport.write(b"in")
        await client.hears(b"in")
        assert loop.time() - began_s >= 0.049

    play(script, loop_factory, network)


def test_so_many_bytes_pass_in_a_second(loop_factory, network):
    async def script(client, server, lined):
        loop = asyncio.get_running_loop()
        lined.sending.bytes_per_s = 100_000
        began_s = loop.time()
        client.transport.write(b"x" * 5_000)
        await heard(server, 5_000)
        assert loop.time() - began_s >= 0.049

    play(script, loop_factory, network)


def test_clearing_lets_all_pass_that_waits_for_its_time(loop_factory, network):
    async def script(client, server, lined):
        lined.sending.delay_s = 60.0
        client.transport.write(b"early")
        lined.sending.delay_s = 0.0
        lined.line.hasten()
        client.transport.write(b", and then")
        await server.hears(b"early, and then")

    play(script, loop_factory, network)


def test_a_protocol_that_fails_ends(loop_factory, network):
    async def script(client, server, lined):
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        client.data_received = lambda data: 1 / 0
        server.transport.write(b"x")
        await client.hears("ZeroDivisionError")
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError]
        await server.lost.wait()

    play(script, loop_factory, network)


@pytest.mark.parametrize("does", ["reads", "writes"])
def test_who_reads_nothing_learns_of_rst_when_it_reads_or_writes(loop_factory, network, does):
    async def script(client, server, lined):
        client.transport.pause_reading()
        lined.line.void()
        lined.line.void()
        await server.hears("ConnectionResetError")
        await turns()
        assert client.heard == []
        if does == "reads":
            client.transport.resume_reading()
        else:
            client.transport.write(b"anybody there?")
        await client.hears("ConnectionResetError")

    play(script, loop_factory, network)


def test_a_line_that_leaves_lets_the_transport_read_on(loop_factory, network):
    async def script(client, server, lined):
        lined.receiving.is_stopped = True
        lined.line.look()
        await turns()
        lined.receiving.is_stopped = False  # as from another thread: the line is about to hear it
        lined.line._departures.look()
        assert lined.line.is_out
        lined.receiving.is_stopped = True  # of the line that comes after it
        lined.line.look()
        await turns()
        server.transport.write(b"read")
        await client.hears(b"read")

    play(script, loop_factory, network)

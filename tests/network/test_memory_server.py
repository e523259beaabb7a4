"""A server in memory: addresses, and what asyncio's own servers do."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tests.network.rig import LOOPS, End, connected, run, turns
from wslab.network.memory import MemoryNetwork

pytestmark = pytest.mark.parametrize("loop_factory", LOOPS)


@pytest.fixture(autouse=True)
def network():
    with MemoryNetwork(seed=7) as network:
        yield network


def test_addresses_are_those_of_a_socket(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        for host, family, client_host in (
            ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
            ("::1", socket.AF_INET6, "::1"),
            ("feed.example", socket.AF_INET, "feed.example"),
            (None, socket.AF_INET, "localhost"),
        ):
            server = await loop.create_server(End, host, 0)
            [sock] = server.sockets
            assert (sock.family, sock.fileno()) == (family, -1)
            port = sock.getsockname()[1]
            transport, _ = await loop.create_connection(End, client_host, port)
            there = transport.get_extra_info("peername")
            here = transport.get_extra_info("sockname")
            assert there[:2] == (client_host.replace("localhost", "127.0.0.1"), port)
            assert len(here) == len(there) == (4 if family is socket.AF_INET6 else 2)
            assert here[1] != there[1]
            assert transport.get_extra_info("socket") is None
            transport.abort()
            server.close()
            assert server.sockets == ()

    run(main, loop_factory)


def test_several_addresses_have_one_port(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(End, ["a.example", "b.example"], 80)
        assert [sock.getsockname() for sock in server.sockets] == [
            ("a.example", 80),
            ("b.example", 80),
        ]
        for host in ("a.example", "b.example"):
            (await loop.create_connection(End, host, 80))[0].abort()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(End, "c.example", 80)
        server.close()

    run(main, loop_factory)


def test_a_port_is_taken_until_its_server_closes(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        first = await loop.create_server(End, "127.0.0.1", 8765)
        with pytest.raises(OSError, match="8765.*already in use"):
            await loop.create_server(End, "127.0.0.1", 8765)
        first.close()
        first.close()
        second = await loop.create_server(End, "127.0.0.1", 8765)
        first.close()  # it is another's port now
        (await loop.create_connection(End, "127.0.0.1", 8765))[0].abort()
        second.close()

    run(main, loop_factory)


def test_nobody_is_let_in_before_and_after_it_serves(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(End, "127.0.0.1", 80, start_serving=False)
        assert (server.is_serving(), server.get_loop()) == (False, loop)
        with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
            await loop.create_connection(End, "127.0.0.1", 80)
        await server.start_serving()
        (await loop.create_connection(End, "127.0.0.1", 80))[0].abort()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(End, "127.0.0.1", 80)
        with pytest.raises(RuntimeError, match="is closed"):
            await server.start_serving()

    run(main, loop_factory)


def test_it_serves_until_it_is_cancelled(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(End, "127.0.0.1", 80, start_serving=False)
        task = loop.create_task(server.serve_forever())
        await turns()
        assert server.is_serving()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.sockets == ()

    run(main, loop_factory)


@pytest.mark.parametrize("end", ["close_clients", "abort_clients"])
def test_it_is_over_when_its_connections_are(loop_factory, end):
    async def main():
        loop = asyncio.get_running_loop()
        other = End()
        server = await loop.create_server(lambda: other, "127.0.0.1", 80)
        _, client = await loop.create_connection(End, "127.0.0.1", 80)
        await other.made.wait()
        server.close()
        over = loop.create_task(server.wait_closed())
        await asyncio.sleep(0)
        assert not over.done()
        getattr(server, end)()
        await over
        await client.hears("eof", "lost")

    run(main, loop_factory)


def test_a_factory_that_fails_lets_nobody_wait(loop_factory):
    async def main():
        loop = asyncio.get_running_loop()
        told = []
        loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
        server = await loop.create_server(lambda: 1 / 0, "127.0.0.1", 80)
        _, client = await loop.create_connection(End, "127.0.0.1", 80)
        await client.hears("eof", "lost")
        assert [type(exc) for exc in told] == [ZeroDivisionError]
        server.close()

    run(main, loop_factory)


def test_who_gives_up_connecting_leaves_nothing(loop_factory, network):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(End, "127.0.0.1", 80)
        task = loop.create_task(loop.create_connection(End, "127.0.0.1", 80))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await turns()
        assert network.connections == ()
        server.close()

    run(main, loop_factory)


def test_its_ends_are_freed_with_the_last_word(loop_factory):
    import gc
    import weakref

    async def main():
        client, server = await connected()
        gone = [weakref.ref(end) for end in (client, server)]
        client.transport.close()
        await server.lost.wait()
        await client.lost.wait()
        gc.disable()
        try:
            del client, server
            await asyncio.sleep(0.001)
            return [ref() for ref in gone]
        finally:
            gc.enable()

    assert run(main, loop_factory) == [None, None]

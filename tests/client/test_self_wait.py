"""Calls that would wait for themselves are refused, and told what to write instead."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import websockets
from websockets.protocol import State

import wslab
from tests.client.rig import echo
from tests.peers import until
from wslab.errors import WrongThread
from wslab.loops.portal import Portal


@pytest.fixture
def server(echo_server):
    return echo_server


@pytest.mark.parametrize("what", ["send", "recv", "ping", "close"])
def test_calls_on_the_labs_own_loop_are_refused(server, what):
    async def call():
        getattr(client, what)(*(["x"] if what == "send" else []))

    with wslab.connect(server) as client:
        with pytest.raises(WrongThread):
            wslab.run(call)
        assert client.state is State.OPEN
        assert client.ping() > 0

    async def connect():
        wslab.connect(server)

    with pytest.raises(WrongThread):
        wslab.run(connect)


@pytest.mark.parametrize("uvloop", [False, True])
def test_who_waits_on_the_loop_that_serves_is_told_at_once(uvloop):
    async def main():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            url = f"ws://localhost:{server.sockets[0].getsockname()[1]}/"
            with pytest.raises(WrongThread, match=r"connect\(\) would wait for itself"):
                wslab.connect(url.replace("localhost", "127.0.0.1"))
            with pytest.raises(WrongThread):
                wslab.connect(url)
            client = await asyncio.to_thread(wslab.connect, url.replace("localhost", "127.0.0.1"))
            client.send("one")
            for wait in (client.recv, lambda: client.recv(timeout=10), client.ping):
                with pytest.raises(WrongThread, match=r"asyncio\.to_thread"):
                    wait()
            with pytest.raises(WrongThread, match=r"call\(\)"):
                client.call("x")
            with pytest.raises(TimeoutError):
                client.recv(timeout=0)  # a look, in between
            assert await asyncio.to_thread(client.recv, 5) == "one"
            client.send("two")
            await asyncio.to_thread(until, lambda: client.waiting)
            assert client.recv() == "two"  # it is here: nobody waits
            await asyncio.to_thread(client.close)
        # Another loop's server may be waited for, as a notebook's cell does all the time.
        with wslab.serve(echo) as other, wslab.connect(other.url) as bob:
            bob.send("x")
            assert bob.recv(timeout=5) == "x"
            with sync_server() as port, wslab.connect(f"ws://127.0.0.1:{port}/") as carol:
                carol.send("y")
                assert carol.recv(timeout=5) == "y"

    began_s = time.monotonic()
    runner = pytest.importorskip("uvloop") if uvloop else asyncio
    runner.run(main())
    assert time.monotonic() - began_s < 8  # and not after one of 10 s


@contextlib.contextmanager
def sync_server():
    """A server on a loop and thread of its own, of which wslab knows nothing."""
    runner = Portal("another")
    try:
        server = runner.call(lambda: websockets.serve(echo, "127.0.0.1", 0))
        yield server.sockets[0].getsockname()[1]
        server.close()
        runner.call(server.wait_closed)
    finally:
        runner.close()

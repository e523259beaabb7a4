"""Why a connection has closed, in words."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Close
from websockets.protocol import State

import wslab
from tests import peers
from tests.peers import until
from wslab.client.close_diagnosis import closed
from wslab.failures import Failure
from wslab.loops import portals
from wslab.loops.watchdog import Blockage


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@contextlib.contextmanager
def connected(handler, *, serve=None, **kwargs):
    with wslab.serve(handler, **(serve or {})) as server:
        client = wslab.connect(server, **kwargs)
        yield server, client
        client.close()


def end(client):
    """Read to the end of the connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=15)


def test_the_server_stopped():
    with connected(echo) as (server, client):
        server.stop()
        end(client)
        assert client.why_closed == (
            "The server closed it with 1001 (going away: a server shuts down, or the user left the "
            "page)."
        )


def test_the_server_restarted():
    with connected(echo) as (server, client):
        server.restart()
        end(client)
        assert client.why_closed.startswith("The server closed it with 1012 (service restart")


def test_the_server_gave_its_own_reason():
    async def leave(websocket):
        await websocket.close(4001, "x")

    with connected(leave) as (_, client):
        end(client)
        assert client.why_closed == (
            "The server closed it with 4001 (private use: the application gives it a meaning) and "
            'the reason "x".'
        )


def test_the_server_gave_no_code():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.frame(8, masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        assert list(client) == []
        assert client.close_code == 1005
        assert "1005 (no status received" in client.why_closed


def test_this_client_closed():
    with connected(echo) as (_, client):
        client.ping()
        client.close(4000, "done")
        assert client.why_closed.startswith(
            "This client closed it with 4000 (private use: the application gives it a meaning) and "
            'the reason "done". The last ping was answered 0.'
        )


def test_a_pong_that_nobody_asked_for_answers_no_ping():
    def script(sock):  # RFC 6455 §5.5.3: it may come as a heartbeat of the other side's own
        peers.upgrade(sock)
        sock.sendall(peers.frame(0xA, b"alive", masked=False))
        sock.sendall(peers.close_frame(1000, masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        assert list(client) == []
        assert "ping" not in client.why_closed


def test_it_broke_off():
    async def cut(websocket):
        websocket.transport.abort()

    with connected(cut) as (_, client):
        end(client)
        assert client.close_code == 1006
        assert client.why_closed.startswith("The connection broke off: TCP ended without a close")
        assert "1006" in client.why_closed


def test_the_handler_raised():
    async def fail(websocket):
        await websocket.recv()
        raise LookupError("no such room")

    with connected(fail) as (server, client), wslab.connect(server) as other:
        client.send("x")
        end(client)
        assert client.why_closed == (
            "The server closed it with 1011 (internal error: something unexpected happened, such "
            "as an exception in a handler). The server's handler raised LookupError: no such room "
            f"(in fail, for {server.errors[0].who}); see server.errors."
        )
        other.close()
        assert "LookupError" not in other.why_closed


def test_a_handlers_error_is_told_to_its_own_client_only(tmp_path):
    async def fail(websocket):
        await websocket.recv()
        raise LookupError("no such room")

    # Over a Unix socket no client has an address that could tell it from another.
    with wslab.serve(fail, unix=True, path=str(tmp_path / "s")) as server:
        bad, good = wslab.connect(server), wslab.connect(server)
        bad.send("x")
        end(bad)
        good.close()
        assert "LookupError" not in good.why_closed
        assert "1011" in bad.why_closed


def test_an_error_of_an_earlier_client_on_the_same_port_is_not_this_ones():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        for at in (client._life.began_at - 1, client._life.began_at + 1):
            address = client._life.connection.traffic.address
            error = Failure.of(KeyError(at), where="echo", who="abc123", address=address, at=at)
            server.errors.append(error)
            client.close()
            assert ("handler raised KeyError" in client.why_closed) is (at > client._life.began_at)


def test_its_cell_ran_again():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        client.begin_close(replaced=True).result(5)
        assert client.why_closed == (
            "Its cell ran again, so wslab closed it: the new client took its place."
        )


def test_the_server_broke_the_protocol():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(b"\x83\x00")  # a reserved opcode
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        until(lambda: client.state is State.CLOSING)
        client.close(timeout=0.2)
        assert "This client closed it with 1002 (protocol error" in client.why_closed
        assert "invalid opcode" in client.why_closed


def test_this_client_broke_the_protocol():
    with wslab.serve(echo) as server:
        client = wslab.connect(server)
        portals.lab().call(client.websocket.transport.write, b"\x83\x80\0\0\0\0")
        end(client)
        assert client.close_code == 1002
        assert "The server closed it with 1002 (protocol error" in client.why_closed


def test_too_big_for_the_server():
    with connected(echo) as (_, client):
        client.send("x" * (2**20 + 1))
        end(client)
        assert client.close_code == 1009
        assert "The server closed it with 1009 (message too big" in client.why_closed
        assert "1048577" in client.why_closed


def test_too_big_for_this_client():
    async def large(websocket):
        await websocket.send("x" * 2000)
        await websocket.wait_closed()

    with connected(large, max_size=1000) as (_, client):
        end(client)
        assert "This client closed it with 1009" in client.why_closed
        assert "connect(max_size=...) takes larger ones" in client.why_closed


def test_bad_utf8():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.frame(1, b"\xff", masked=False))
        assert peers.read_frame(sock)[1][:2] == b"\x03\xef"
        sock.sendall(peers.close_frame(1007, masked=False))

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        end(client)
        assert "This client closed it with 1007 (invalid payload data" in client.why_closed


# The keepalive.


def test_a_server_that_answers_no_ping():
    def script(sock):
        peers.upgrade(sock)
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(
            f"ws://127.0.0.1:{port}/", ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05
        )
        end(client)
        assert client.why_closed.startswith("This client closed it with 1011 (internal error: ")
        assert "the server's pong did not come in time" in client.why_closed
        assert "No ping was ever answered." in client.why_closed


def test_a_client_that_answers_no_ping():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(peers.close_frame(1011, "keepalive ping timeout", masked=False))
        peers.read_frame(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        end(client)
        assert (
            "It had sent a ping, and this client's pong did not come in time" in client.why_closed
        )


def test_a_handler_that_blocks_the_loop_it_shares_with_the_client_is_the_cause():
    async def sleeper(websocket):
        await websocket.recv()
        # A ping needs a turn of the loop at the other end and its pong one more at this end.
        while websocket.close_code is None:
            time.sleep(0.3)  # noqa: ASYNC251 (this is what must be named)
            await asyncio.sleep(0)

    keepalive = {"ping_interval": 0.05, "ping_timeout": 0.2, "close_timeout": 0.1}
    with connected(sleeper, serve=keepalive, **keepalive) as (server, client):
        client.send("go")
        end(client)
        assert "1011" in client.why_closed
        assert (
            "keepalive ping timeout" in client.why_closed
            or "pong did not come" in client.why_closed
        )
        assert "The event loop was blocked for " in client.why_closed
        assert "by the handler sleeper() of server 'sleeper'" in client.why_closed
        assert "That is the likely cause." in client.why_closed
        assert "sleeper()" in server.blockages[-1].culprit
        assert 0.29 < server.blockages[-1].duration_s < 5


BLOCKED_SERVER = """
import sys, threading, time, wslab

async def sleeper(websocket):
    await websocket.recv()
    time.sleep(float(sys.argv[1]))

server = wslab.serve(sleeper, ping_interval=None)
print(server.url, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def blocked_server(seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED_SERVER, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_a_handler_that_blocks_in_another_process():
    with blocked_server(30) as url:
        client = wslab.connect(url, ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1)
        until(lambda: client._life.connection.traffic.last_pong_s is not None)
        client.send("go")
        end(client)
        assert "This client closed it with 1011" in client.why_closed
        assert "the server's pong did not come in time" in client.why_closed
        assert "The last ping was answered 0." in client.why_closed
        assert "The server did not answer" not in client.why_closed


def test_the_clients_own_loop_was_blocked():
    def script(sock):
        # As a server's keepalive: a ping, and where no pong comes in time, 1011.
        peers.upgrade(sock)
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.sendall(peers.frame(9, b"?", masked=False))
                peers.read_frame(sock)
        sock.settimeout(10)
        sock.sendall(peers.close_frame(1011, "keepalive ping timeout", masked=False))
        closed.set()
        peers.read_frame(sock)

    def hog():
        closed.wait(10)
        # Long enough to be remembered as a blockage, and until the frames are there.
        time.sleep(0.4)

    closed = threading.Event()
    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        portals.lab().loop.call_soon_threadsafe(hog)
        end(client)
        until(lambda: "The event loop was blocked for" in client.why_closed)
        assert "The server closed it with 1011" in client.why_closed
        assert "by something on the lab's loop" in client.why_closed
        assert "That is the likely cause." in client.why_closed


def test_messages_that_nobody_took_kept_the_pong_from_being_read():
    async def flood(websocket):
        for number in range(200_000):
            await websocket.send(f"{number}" + "x" * 1000)
            await asyncio.sleep(0)

    with wslab.serve(flood, ping_interval=None) as server:
        client = wslab.connect(
            server, max_waiting=50, ping_interval=0.1, ping_timeout=0.3, close_timeout=0.1
        )
        assert client._life.gone.wait(20)
        assert "This client closed it with 1011" in client.why_closed
        assert "messages had come that no recv() took" in client.why_closed
        assert "max_waiting=..." in client.why_closed
        count = 0
        with pytest.raises(ConnectionClosedError):
            for message in client:
                assert message.startswith(str(count))
                count += 1
        assert count >= 50


# The text by itself.


def told(exc, **kwargs):
    given = {
        "replaced": False,
        "last_pong_s": None,
        "ended_s": 100.0,
        "blockages": [],
        "handler_error": None,
        "unsent": 0,
        **kwargs,
    }
    return closed(exc, **given)


KEEPALIVE = ConnectionClosedError(None, Close(1011, "keepalive ping timeout"), None)
NORMAL = ConnectionClosedError(Close(1000, ""), Close(1000, ""), True)


def test_the_longest_blockage_is_named():
    blockages = [
        Blockage(90.0, 0.3, "one()"),
        Blockage(96.0, 3.0, "two()"),
        Blockage(95.0, 0.5, "three()"),
    ]
    text = told(KEEPALIVE, blockages=blockages, last_pong_s=95.5)
    assert "The last ping was answered 4.5 s before the end." in text
    assert (
        "The event loop was blocked for 3.0 s, until 1.0 s before the end, by two(): meanwhile "
        "nothing on it could read, answer or ping. That is the likely cause."
    ) in text
    assert "until the end" in told(KEEPALIVE, blockages=[Blockage(97.0, 2.8, "two()")])


def test_a_short_blockage_is_no_news_where_it_explains_nothing():
    assert "blocked" not in told(NORMAL, blockages=[Blockage(99.0, 0.3, "one()")])
    long = told(NORMAL, blockages=[Blockage(95.0, 2.0, "one()")])
    assert "blocked for 2.0 s" in long
    assert "likely cause" not in long


def test_counts_in_words():
    assert "The message sent last did not" in told(NORMAL, unsent=1)
    assert "The 2 messages sent last did not" in told(NORMAL, unsent=2)
    assert "1 message that came while" in told(NORMAL, discarded=1)
    assert "3 messages that came while" in told(NORMAL, discarded=3)
    assert "recv()" not in told(NORMAL, untaken=60)
    assert "60 messages had come that no recv() took" in told(KEEPALIVE, untaken=60)

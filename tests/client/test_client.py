"""The handle of a client: its states in words, closing it, and what ends with it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
import time
import weakref

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.protocol import State

import wslab
from tests import peers
from tests.client.rig import Flood, held
from tests.peers import until
from wslab.errors import LoopBlocked
from wslab.loops import portals


@pytest.fixture
def server(echo_server):
    return echo_server


def test_states_and_texts(server):
    def script(sock):
        peers.upgrade(sock)
        assert peers.read_frame(sock)[0] == 0x88
        closing.set()
        answer.wait(10)
        sock.sendall(peers.close_frame(4321, masked=False))

    closing, answer = threading.Event(), threading.Event()
    with peers.raw_server(script) as port:
        url = f"ws://127.0.0.1:{port}/?token=abc"
        client = wslab.connect(url, name="alice")
        shown = url.replace("abc", "[redacted]")
        assert client.state is State.OPEN
        assert client.close_code is None
        assert client.close_reason is None
        assert repr(client) == f"<Client 'alice' to {shown}, OPEN, 0 sent, 0 received>"
        assert client.why_closed == "'alice' is OPEN, not closed"
        thread = threading.Thread(target=client.close, args=(4000, "enough"))
        thread.start()
        assert closing.wait(5)
        until(lambda: client.state is State.CLOSING)
        assert repr(client) == f"<Client 'alice' to {shown}, CLOSING, 0 sent, 0 received>"
        assert client.why_closed == "'alice' is CLOSING, not closed"
        answer.set()
        thread.join()
        assert client.state is State.CLOSED
        assert client.close_code == 4321
        assert repr(client) == (
            f"<Client 'alice' to {shown}, CLOSED with 4321, 0 sent, 0 received>"
        )
    with wslab.connect(server, name="bob") as client:
        client.send("x")
        until(lambda: client.waiting == 1)
        assert repr(client).endswith("OPEN, 1 sent, 1 received, 1 waiting>")


def test_close_sends_what_was_sent_before():
    came = []

    async def count(websocket):
        async for message in websocket:
            came.append(message)

    with wslab.serve(count) as server:
        for size in (1, 5000):
            came.clear()
            client = wslab.connect(server)
            messages = [f"{n}".ljust(size, "x") for n in range(1000)]
            for message in messages:
                client.send(message)
            client.close(4000, "done")
            until(lambda: len(came) == 1000)
            assert came == messages
            assert (client.close_code, client.close_reason) == (4000, "done")
            assert client.state is State.CLOSED


def test_close_is_idempotent_and_may_be_called_at_once(server):
    client = wslab.connect(server)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for future in [pool.submit(client.close, 4000 + n) for n in range(5)]:
            future.result(timeout=5)
    assert client.state is State.CLOSED
    code = client.close_code
    assert 4000 <= code < 4005
    client.close(1000)
    assert client.close_code == code
    with client:
        pass


def test_close_after_the_other_side_has_closed_and_the_lab_has_ended():
    with wslab.serve(Flood(0)) as server:
        client = wslab.connect(server)
        assert list(client) == []
    wslab.shutdown()
    client.close()
    assert client.close_code == 1000


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
def test_a_close_code_that_may_not_be_sent(server, code):
    with wslab.connect(server) as client:
        with pytest.raises(ValueError, match=f"close code {code} may not be sent"):
            client.close(code)
        assert client.state is State.OPEN


def test_a_close_reason_has_its_bound(server):
    with wslab.connect(server) as client:
        with pytest.raises(ValueError, match="at most 123 bytes, got 124"):
            client.close(1000, "ü" * 62)
        assert client.state is State.OPEN
        client.close(1000, "x" * 123)
        assert client.close_reason == "x" * 123


@pytest.mark.parametrize("what", ["reads and never answers", "does not even read"])
def test_close_is_bounded(what):
    enough = threading.Event()

    def script(sock):
        peers.upgrade(sock)
        if what == "does not even read":
            enough.wait(10)
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        if what == "does not even read":
            with contextlib.suppress(TimeoutError):
                for _ in range(1000):
                    client.send(bytes(30_000), timeout=0.1)
            client.send(b"last")
        began = time.monotonic()
        client.close(timeout=0.2)
        assert time.monotonic() - began < 2
        assert client.state is State.CLOSED
        if what == "does not even read":
            assert "close() cut it off after 0.2 s" in client.why_closed
            assert "sent last did not go out before the end" in client.why_closed
        else:
            assert "This client closed it with 1000" in client.why_closed
            assert "did not answer the close frame" in client.why_closed
        enough.set()


def test_close_while_the_loop_is_held(server):
    client = wslab.connect(server)
    with held():
        with pytest.raises(LoopBlocked, match=r"hold\(\) at rig.py"):
            client.close(timeout=-0.9)  # it waits a second longer than that
    client.close()
    assert client.state is State.CLOSED


def test_another_close_that_waits_longer_is_no_blocked_loop():
    def script(sock):
        peers.upgrade(sock)
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        thread = threading.Thread(target=client.close, kwargs={"timeout": 2.0})
        thread.start()
        until(lambda: client.state is State.CLOSING)
        with pytest.raises(TimeoutError, match="still waits") as late:
            client.close(timeout=-0.9)  # it waits a second longer than that
        assert not isinstance(late.value, LoopBlocked)
        thread.join()
        assert client.state is State.CLOSED


def test_sending_on_a_closing_or_closed_connection():
    answer = threading.Event()

    def script(sock):
        peers.upgrade(sock)
        peers.read_frame(sock)
        answer.wait(10)
        sock.sendall(peers.close_frame(1000, masked=False))

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        thread = threading.Thread(target=client.close)
        thread.start()
        until(lambda: client.state is State.CLOSING)
        threading.Timer(0.05, answer.set).start()
        for message in ("x", ["a"], bytes(100_000), iter("ab")):
            with pytest.raises(ConnectionClosedOK) as closed:
                client.send(message)
            assert closed.value.__notes__ == [client.why_closed]
        thread.join()


def test_a_client_is_a_context_manager(server):
    with pytest.raises(ZeroDivisionError), wslab.connect(server) as client:
        raise ZeroDivisionError
    assert client.state is State.CLOSED


def test_the_lab_ends_while_somebody_waits(server):
    client = wslab.connect(server)
    outcomes = []

    def wait():
        try:
            outcomes.append(client.recv())
        except ConnectionClosed as exc:
            outcomes.append(exc.sent.code if exc.sent else None)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: client._life.incoming.queue._readers == 1)
    wslab.shutdown()
    thread.join(5)
    assert outcomes == [1001]


def test_a_reader_does_not_wait_for_ever_where_the_loop_ends_without_a_word(server):
    with wslab.connect(server) as client:
        client.websocket.loop.call_soon_threadsafe(client._life._task.cancel)
        for _ in range(2):
            with pytest.raises(ConnectionClosedError):
                client.recv(timeout=5)
        assert "loop was closed" in client.why_closed
        portals.lab().call(client.websocket.transport.abort)


def test_a_closed_client_is_freed_without_the_collector(server):
    gc.collect()
    gc.disable()
    try:
        client = wslab.connect(server)
        client.send("x")
        assert client.recv(timeout=5) == "x"
        client.close()
        client, freed = None, weakref.ref(client)
        until(lambda: wslab.run(asyncio.sleep, 0) is None and freed() is None)
    finally:
        gc.enable()


def test_it_works_from_any_other_thread(server):
    def talk():
        with wslab.connect(server) as client:
            client.send("hello")
            return client.recv(timeout=5), client.ping() > 0

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(talk) for _ in range(20)]:
            assert future.result(timeout=10) == ("hello", True)

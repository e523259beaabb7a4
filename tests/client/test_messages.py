"""Messages: what is sent arrives in order, what comes is not lost, an interrupt harms nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import signal
import socket
import threading
import types

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.protocol import State

import wslab
from tests import peers
from tests.client.rig import Flood, held, interrupt_soon
from tests.peers import until
from wslab.calls import waiting
from wslab.client import messages, receive_queue
from wslab.errors import LoopBlocked
from wslab.loops import portals


@pytest.fixture
def server(echo_server):
    return echo_server


def label(value):
    """Name a case; the same in each process of a run, and short."""
    return re.sub(r" at 0x\w+", "", f"{value!r:.60}")


@pytest.mark.parametrize(
    ("message", "came"),
    [
        ("hello", "hello"),
        ("", ""),
        ("Grüße, 世界 \U0001f30d", "Grüße, 世界 \U0001f30d"),
        (b"\x00\xff", b"\x00\xff"),
        (b"", b""),
        (bytearray(b"mutable"), b"mutable"),
        (memoryview(b"viewed")[1:4], b"iew"),
        (memoryview(b"a-b-c-")[::2], b"abc"),
        ("x" * 500_000, "x" * 500_000),
        (bytearray(500_000), bytes(500_000)),
        (["a", "b", "c"], "abc"),
        ((b"a", bytearray(b"b"), memoryview(b"c")), b"abc"),
        (iter(["a", "b"]), "ab"),
        ({"a": 1}.keys(), "a"),
    ],
    ids=label,
)
def test_what_can_be_sent(server, message, came):
    with wslab.connect(server, max_size=None) as client:
        client.send(message)
        received = client.recv(timeout=5)
        assert received == came
        assert type(received) is type(came)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (None, "NoneType"),
        (42, "int"),
        (1.5, "float"),
        ({"a": 1}, "dict"),
        (types.MappingProxyType({"a": 1}), "mappingproxy"),
        (object(), "object"),
        ([1, 2], "got int"),
        (["a", b"b"], "got bytes as well"),
        ((b"a", None), "got NoneType as well"),
        (iter([1]), "got int"),
    ],
    ids=label,
)
def test_what_cannot_be_sent_is_refused_and_harms_nothing(server, message, word):
    with wslab.connect(server) as client:
        with pytest.raises(TypeError, match=word):
            client.send(message)
        client.send("unharmed")
        assert client.recv(timeout=5) == "unharmed"


def test_a_str_that_utf8_cannot_carry(server):
    with wslab.connect(server) as client:
        with pytest.raises(UnicodeEncodeError):
            client.send("\ud800")
        client.send("unharmed")
        assert client.recv(timeout=5) == "unharmed"


def test_a_message_that_is_under_way_says_so():
    reading = threading.Event()
    sizes = []

    def script(sock):
        peers.upgrade(sock)
        reading.wait(30)
        sizes.append(len(peers.read_frame(sock)[1]))
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        with pytest.raises(TimeoutError, match="on its way"):
            client.send(bytes(20_000_000), timeout=0.1)
        reading.set()
        until(lambda: sizes == [20_000_000])
        portals.lab().call(client.websocket.transport.abort)


def test_an_interrupt_while_sending_leaves_the_client_usable():
    reading = threading.Event()
    total = 0

    def script(sock):
        nonlocal total
        peers.upgrade(sock)
        reading.wait(30)
        while True:
            first, payload = peers.read_frame(sock)
            if first == 0x88:
                sock.sendall(peers.frame(8, payload, masked=False))
                return
            total += len(payload)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        client.send(b"x")
        timer = interrupt_soon(0.1)
        with pytest.raises(KeyboardInterrupt):
            client.send(bytes(20_000_000))
        timer.join()
        reading.set()
        client.send(b"y")
        client.close()
        assert client.close_code == 1000
    assert total == 20_000_002


def test_recv_times_out_and_loses_nothing(server):
    with wslab.connect(server, name="alice") as client:
        with pytest.raises(TimeoutError, match="'alice' got no message within 0.01 s"):
            client.recv(timeout=0.01)
        for timeout in (0, 0.0, -1):
            with pytest.raises(TimeoutError):
                client.recv(timeout=timeout)
        client.send("late")
        until(lambda: client.waiting == 1)
        assert client.recv(timeout=0) == "late"


def test_no_message_is_lost_at_thousands_of_random_timeouts():
    count = 3000

    async def burst(websocket):
        rng = random.Random(1)
        for number in range(count):
            await asyncio.sleep(rng.random() * 0.0006)
            await websocket.send(str(number))
        await websocket.wait_closed()

    with wslab.serve(burst) as server, wslab.connect(server) as client:
        rng = random.Random(2)
        came = []
        timeouts = 0
        while len(came) < count:
            try:
                came.append(client.recv(timeout=rng.random() * 0.0004))
            except TimeoutError:
                timeouts += 1
                assert timeouts < 1_000_000
        assert came == [str(number) for number in range(count)]
        assert timeouts > 100


def test_an_interrupt_in_recv_leaves_the_client_usable(server):
    with wslab.connect(server) as client:
        timer = interrupt_soon(0.05)
        with pytest.raises(KeyboardInterrupt):
            client.recv()
        timer.join()
        client.send("still here")
        assert client.recv(timeout=5) == "still here"
        timer = interrupt_soon(0.05)
        with pytest.raises(KeyboardInterrupt):
            for _ in client:
                pass
        timer.join()
        client.send("still here")
        assert next(iter(client)) == "still here"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_interrupts_at_a_thousand_random_moments_lose_no_message():
    async def count_up(websocket):
        for number in itertools.count():
            await websocket.send(str(number))
            await asyncio.sleep(0)

    class Interrupted(BaseException):
        pass

    is_armed = False  # once a round: on a machine that stands still, two come at once

    def interrupt(_number, frame):
        nonlocal is_armed
        # Not in a finalizer that happens to run: what is raised there is only reported.
        files = (__file__, messages.__file__, receive_queue.__file__, waiting.__file__)
        if is_armed and frame.f_code.co_filename in files:
            is_armed = False
            raise Interrupted

    rng = random.Random(3)
    interrupts = expected = 0
    message = None
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with wslab.serve(count_up) as server, wslab.connect(server, max_waiting=50) as client:
            recv = client.recv
            while interrupts < 1000:
                try:
                    is_armed = True
                    signal.setitimer(signal.ITIMER_REAL, rng.random() * 0.001 + 0.0001, 0.1)
                    while True:
                        message = recv(5)
                        if message is not None:
                            assert message == str(expected)
                            message = None
                            expected += 1
                except Interrupted:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    interrupts += 1
                    if message is not None:  # it had been handed out
                        assert message == str(expected)
                        message = None
                        expected += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert expected > 1000


def test_an_interrupt_in_ping_and_close():
    def script(sock):
        peers.upgrade(sock)
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        timer = interrupt_soon(0.05)
        with pytest.raises(KeyboardInterrupt):
            client.ping()
        timer.join()
        assert client.state is State.OPEN
        timer = interrupt_soon(0.05)
        with pytest.raises(KeyboardInterrupt):
            client.close(timeout=1)
        timer.join()
        client.close()
        assert client.state is State.CLOSED


def test_what_came_before_the_end_can_be_taken_after_it():
    flood = Flood(500)
    with wslab.serve(flood) as server:
        client = wslab.connect(server, max_waiting=10)
        until(lambda: client.waiting >= 10)
        until(lambda: flood.sent == 500)
        # The close frame is behind what nobody has taken: the client cannot know of it yet.
        assert client.state is State.OPEN
        assert list(client) == [f"{n}:" for n in range(500)]
        assert client.state is State.CLOSED


def test_a_connection_that_breaks_while_messages_wait():
    def script(sock):
        peers.upgrade(sock)
        sock.sendall(b"".join(peers.frame(1, b"%d" % n, masked=False) for n in range(5000)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/", max_waiting=10)
        until(lambda: client.waiting >= 10)
        came = []
        with pytest.raises(ConnectionClosedError):
            for message in client:
                came.append(int(message))
        assert came == list(range(len(came)))
        assert len(came) > 10
        assert client.close_code == 1006
        assert "broke off" in client.why_closed


def test_the_end_is_known_while_messages_wait():
    async def flood(websocket):
        for number in range(2000):
            await websocket.send(str(number))
        await websocket.wait_closed()

    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=10) as client:
        until(lambda: client.waiting >= 10)
        portals.lab().call(client.websocket.transport.abort)
        until(lambda: client.state is State.CLOSED)
        assert "broke off" in client.why_closed
        assert client._life.gone.wait(5)
        came = []
        with pytest.raises(ConnectionClosedError):
            for message in client:
                came.append(message)
        assert came == [str(n) for n in range(len(came))]
        assert client.discarded == 0


@pytest.mark.parametrize(("code", "is_normal"), [(1000, True), (1001, True), (1011, False)])
def test_iteration_ends_on_a_normal_close_and_raises_on_another(code, is_normal):
    async def three(websocket):
        for number in range(3):
            await websocket.send(str(number))
        await websocket.close(code)

    with wslab.serve(three) as server, wslab.connect(server) as client:
        came = []
        outcome = contextlib.nullcontext() if is_normal else pytest.raises(ConnectionClosedError)
        with outcome:
            for message in client:
                came.append(message)
        assert came == ["0", "1", "2"]
        kind = ConnectionClosedOK if is_normal else ConnectionClosedError
        for _ in range(2):
            with pytest.raises(kind) as closed:
                client.recv()
            assert closed.value.rcvd.code == code
            assert closed.value.__notes__ == [client.why_closed]


def test_iteration_from_two_other_threads(server):
    with wslab.connect(server, max_waiting=10_000) as client:
        came = [[], []]
        threads = [threading.Thread(target=lambda i=i: came[i].extend(client)) for i in (0, 1)]
        for thread in threads:
            thread.start()
        for number in range(2000):
            client.send(str(number))
        until(lambda: len(came[0]) + len(came[1]) == 2000)
        client.close()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()
        assert sorted(map(int, came[0] + came[1])) == list(range(2000))
        assert [int(m) for m in came[0]] == sorted(int(m) for m in came[0])


def test_ping(server):
    with wslab.connect(server) as client:
        assert 0 < client.ping() < 5
        client.close()
        with pytest.raises(ConnectionClosed) as closed:
            client.ping()
        assert closed.value.__notes__ == [client.why_closed]


def test_a_ping_that_nobody_answers():
    def script(sock):
        peers.upgrade(sock)
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        with pytest.raises(TimeoutError, match=r"no pong came within 0\.05 s"):
            client.ping(timeout=0.05)
        with held(), pytest.raises(LoopBlocked, match="hold"):
            client.ping(timeout=0.05)
        client.close(timeout=0.05)

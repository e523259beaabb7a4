"""connect() and Client: what is sent arrives in order, what comes is not lost, closing ends it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import inspect
import itertools
import logging
import os
import random
import re
import signal
import socket
import threading
import time
import types
import weakref

import pytest
import websockets
from websockets.asyncio import client as ws_client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.protocol import State

import wslab
from tests import peers
from tests.peers import until
from wslab import waiting
from wslab.client import messages, receive_queue, send_queue
from wslab.errors import LoopBlocked, WrongThread
from wslab.loops import fork, portals
from wslab.loops.portal import Portal


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def quiet(websocket):
    await websocket.wait_closed()


@pytest.fixture
def server():
    with wslab.serve(echo) as server:
        yield server
        assert not server.errors


@contextlib.contextmanager
def held(let_go=None):
    """Hold the lab's loop while the block runs, as a handler that blocks would."""
    let_go = let_go or threading.Event()
    begun = threading.Event()

    def hold():
        begun.set()
        let_go.wait(30)

    portals.lab().loop.call_soon_threadsafe(hold)
    assert begun.wait(5)
    try:
        yield let_go
    finally:
        let_go.set()


def let_loop_write(client):
    """Let the loop write whatever is sent, as where the socket takes no more."""
    portals.lab().call(client.websocket.writes.stop)


def interrupt_soon(delay_s):
    """Send this process SIGINT from another thread, as Jupyter's stop button does."""
    timer = threading.Timer(delay_s, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    return timer


# Opening.


def test_no_keyword_is_kept_back(server, monkeypatch):
    seen = {}
    real = ws_client.connect

    @functools.wraps(real)  # its keywords are asked for
    def spy(url, **kwargs):
        seen.update(kwargs)
        return real(url, **kwargs)

    given = {
        "origin": "http://localhost:8888",
        "extensions": [],
        "subprotocols": None,
        "compression": "deflate",
        "additional_headers": {"X-Who": "alice"},
        "user_agent_header": "me",
        "proxy": None,
        "process_exception": lambda exc: exc,
        "open_timeout": 1.5,
        "ping_interval": 2.5,
        "ping_timeout": 3.5,
        "close_timeout": 4.5,
        "reconnect_delays": lambda: iter([0.1]),
        "max_size": 123,
        "max_queue": (4, 2),
        "write_limit": (8192, 1024),
        "logger": logging.getLogger("mine"),
        "local_addr": ("127.0.0.1", 0),
    }
    signature = inspect.signature(real.__init__).parameters
    missing = set(signature) - {"self", "uri", "kwargs", "create_connection"} - set(given)
    assert not missing
    monkeypatch.setattr(ws_client, "connect", spy)
    with wslab.connect(server, **given) as client:
        assert client.ping() > 0
        websocket = client.websocket
        assert websocket.request.headers["X-Who"] == "alice"
        assert websocket.request.headers["User-Agent"] == "me"
        assert websocket.request.headers["Origin"] == "http://localhost:8888"
        assert websocket.transport.get_write_buffer_limits() == (1024, 8192)
        assert (websocket.max_queue_high, websocket.max_queue_low) == (4, 2)
    for name, value in given.items():
        assert seen[name] is value
    with pytest.raises(TypeError, match="unknown"):
        wslab.connect(server, unknown=1)


class Shouting(ws_client.ClientConnection):
    async def send(self, message, **kwargs):
        await super().send(message.upper(), **kwargs)

    async def recv(self, decode=None):
        return f"<{await super().recv(decode)}>"


def label(value):
    """Name a case; the same in each process of a run, and short."""
    return re.sub(r" at 0x\w+", "", f"{value!r:.60}")


@pytest.mark.parametrize("create", [Shouting, lambda *a, **k: Shouting(*a, **k)])
def test_create_connection(server, create):
    with wslab.connect(server, create_connection=create) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "<HELLO>"
        assert client.counts[:2] == (1, 1)
        assert type(client.websocket).__name__ == "Shouting"


def test_sock(server):
    sock = socket.create_connection(("127.0.0.1", server.port))
    with wslab.connect("ws://example.org/", sock=sock) as client:
        assert client.ping() > 0


def test_another_host_than_the_urls(server):
    with wslab.connect("ws://example.org/", host="127.0.0.1", port=server.port, proxy=None) as one:
        assert one.websocket.request.headers["Host"] == "example.org"
        assert one.ping() > 0


def test_max_waiting_is_checked(server):
    with pytest.raises(ValueError, match="max_waiting of at least 1"):
        wslab.connect(server, max_waiting=0)


def test_names_and_labels(server):
    with wslab.connect(server) as one, wslab.connect(server, name="alice") as two:
        number = int(one.name.removeprefix("client "))
        assert two.name == "alice"
        until(lambda: len(server.connections) == 2)
        assert [c.label for c in server.connections] == [f"client {number}", "alice"]
        assert one.id != two.id
        assert len(one.id) == 6


def test_a_redirect_keeps_the_label_and_leaves_nothing(server):
    location = f"Location: {server.url}room"
    with (
        peers.raw_server(peers.answer("302 Found", b"", location)) as port,
        wslab.connect(f"ws://127.0.0.1:{port}/", name="moved") as client,
    ):
        client.send("x")
        assert client.recv(timeout=5) == "x"
        [connection] = server.connections
        assert (connection.label, connection.path) == ("moved", "/room")
        client.close()
        assert "1000" in client.why_closed
    until(lambda: not fork.closed_in_child or len(fork.closed_in_child) == 1)  # the server's own


def test_an_interrupt_while_it_connects_leaves_nothing():
    with peers.raw_server(peers.hold) as port:
        timer = interrupt_soon(0.1)
        with pytest.raises(KeyboardInterrupt):
            wslab.connect(f"ws://127.0.0.1:{port}/")
        timer.join()


def test_open_timeout_none_waits_and_can_be_interrupted():
    with peers.raw_server(peers.hold) as port:
        timer = interrupt_soon(0.1)
        with pytest.raises(KeyboardInterrupt):
            wslab.connect(f"ws://127.0.0.1:{port}/", open_timeout=None)
        timer.join()


# Sending.


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


def test_fragments_are_frames_of_one_message():
    frames = []

    def script(sock):
        peers.upgrade(sock)
        frames.extend(peers.read_frame(sock) for _ in range(7))
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        client.send(["a", "", "c"])
        client.send(part for part in (b"x", b"y"))
        until(lambda: len(frames) == 7)
        assert frames == [
            *[(0x01, b"a"), (0x00, b""), (0x00, b"c"), (0x80, b"")],
            *[(0x02, b"x"), (0x00, b"y"), (0x80, b"")],
        ]
        assert client.counts[1] == 2
        portals.lab().call(client.websocket.transport.abort)


def test_an_async_iterable_is_sent_in_fragments(server):
    async def parts():
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    with wslab.connect(server) as client:
        client.send(parts())
        assert client.recv(timeout=5) == "ab"


def test_a_generator_runs_where_it_was_called_and_may_block(server):
    threads = []

    with wslab.connect(server) as client, wslab.connect(server) as other:

        def parts():
            threads.append(threading.current_thread())
            yield "a"
            other.send("meanwhile")
            yield other.recv(timeout=5)

        client.send(parts())
        assert client.recv(timeout=5) == "ameanwhile"
        assert threads == [threading.current_thread()]
        # Many fragments, and another thread's messages stay whole between them.
        worker = threading.Thread(target=lambda: [client.send("whole") for _ in range(200)])
        worker.start()
        client.send(str(i % 10) for i in range(500))
        worker.join()
        came = [client.recv(timeout=5) for _ in range(201)]
        assert sorted(came, key=len) == ["whole"] * 200 + ["0123456789" * 50]


def test_a_generator_that_raises():
    class Mine(Exception):
        pass

    def at_once():
        raise Mine
        yield "never"

    def later():
        yield "a"
        raise Mine

    with wslab.serve(echo) as server, wslab.connect(server) as client:
        with pytest.raises(Mine):
            client.send(at_once())
        client.send("unharmed")
        assert client.recv(timeout=5) == "unharmed"
        with pytest.raises(Mine):
            client.send(later())
        # Half a message cannot be taken back (RFC 6455 section 5.4).
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(timeout=5)
        assert closed.value.sent.code == 1011
        assert "error in fragmented message" in client.why_closed


@pytest.mark.parametrize("empty", [[], (), iter(()), (x for x in "")])
def test_no_fragments_are_no_message(server, empty):
    with wslab.connect(server) as client:
        client.send(empty)
        client.send("next")
        assert client.recv(timeout=5) == "next"


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


def test_a_buffer_may_be_changed_after_it_was_sent(server):
    with wslab.connect(server) as client:
        buffer = bytearray(b"first")
        parts = ["a", "b"]
        with held():
            client.send(buffer)
            buffer[:] = b"other"
        assert client.recv(timeout=5) == b"first"
        client.send(parts)
        parts[:] = ["x"]
        assert client.recv(timeout=5) == "ab"


def test_many_threads_send_at_once(server):
    sizes = (1, 10, 70_000)

    def body(thread, number):
        return f"{thread}:{number}:" + "x" * sizes[number % 3]

    with wslab.connect(server, max_size=None, max_waiting=10_000) as client:

        def work(thread):
            for number in range(100):
                text = body(thread, number)
                client.send([text[:3], text[3:]] if number % 7 == 0 else text)

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(work, thread) for thread in range(6)]
            came = [client.recv(timeout=10) for _ in range(600)]
            for future in futures:
                future.result()
    seen = {thread: itertools.count() for thread in range(6)}
    for text in came:
        thread = int(text.split(":")[0])
        assert text == body(thread, next(seen[thread]))


def test_sending_waits_where_the_other_side_does_not_read():
    reading = threading.Event()
    count = 0

    def script(sock):
        nonlocal count
        peers.upgrade(sock)
        reading.wait(30)
        while True:
            first, payload = peers.read_frame(sock)
            if first == 0x88:
                sock.sendall(peers.frame(8, payload, masked=False))
                return
            assert payload == b"%05d" % count + b"x" * 1000
            count += 1

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        sent = 0
        with pytest.raises(TimeoutError, match="the other side does not read") as late:
            while sent < 50_000:
                client.send(b"%05d" % sent + b"x" * 1000, timeout=0.2)
                sent += 1
        assert 10 < sent < 40_000
        if "taken back" not in str(late.value):
            assert "on its way" in str(late.value)
            sent += 1
        assert client._life.connection.send_queue._waiting_bytes <= 2 * send_queue.MAX_UNSENT_BYTES
        reading.set()
        client.send(b"%05d" % sent + b"x" * 1000)
        client.close()
        assert client.close_code == 1000
    assert count == sent + 1


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


def test_a_generator_times_out_where_the_other_side_does_not_read():
    def script(sock):
        peers.upgrade(sock)
        threading.Event().wait(1)
        peers.hold(sock)

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        with pytest.raises(TimeoutError, match="Part of it is on its way"):
            client.send((bytes(100_000) for _ in range(1000)), timeout=0.2)
        portals.lab().call(client.websocket.transport.abort)
        until(lambda: client.state is State.CLOSED)


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


def test_sending_costs_no_wait_for_the_loop(server):
    with wslab.connect(server) as client:
        with held():
            for number in range(100):
                client.send(str(number))  # would hang otherwise
        assert [client.recv(timeout=5) for _ in range(100)] == [str(n) for n in range(100)]


def test_what_is_handed_over_while_the_loop_is_held_is_bounded(server):
    for message in ("", b"x" * 1000):
        with wslab.connect(server, max_waiting=100_000) as client:
            let_loop_write(client)
            with held(), pytest.raises(TimeoutError):
                for _ in range(100_000):
                    client.send(message, timeout=0.1)
            waiting = len(client._life.connection.send_queue._waiting)
            assert waiting <= 1 + send_queue.MAX_UNSENT_BYTES // send_queue.UNSENT_OVERHEAD_BYTES


# Receiving.


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

    def interrupt(_number, frame):
        # Not in a finalizer that happens to run: what is raised there is only reported.
        files = (__file__, messages.__file__, receive_queue.__file__, waiting.__file__)
        if frame.f_code.co_filename in files:
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


class Flood:
    """A handler that sends numbered messages as fast as it may, and counts them."""

    def __init__(self, total, body=""):
        self.total, self.body = total, body
        self.sent = 0

    async def __call__(self, websocket):
        for number in range(self.total):
            await websocket.send(f"{number}:{self.body}")
            self.sent += 1
            await asyncio.sleep(0)  # or a free socket would let it hold the loop

    def stands_still(self):
        before = self.sent
        return not threading.Event().wait(0.15) and self.sent == before


def test_messages_are_kept_up_to_a_count_and_then_the_sender_waits():
    flood = Flood(8_000, "x" * 5000)
    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=100) as client:
        until(lambda: client.waiting >= 100)
        until(flood.stands_still)
        assert flood.sent < 7_000  # what fits into the sockets' buffers is the system's choice
        assert 100 <= client.waiting <= 102
        for number in range(8_000):
            assert client.recv(timeout=5) == f"{number}:{flood.body}"
        assert flood.sent == 8_000
        assert list(client) == []
        assert client.close_code == 1000


def test_messages_are_kept_up_to_a_size_and_then_the_sender_waits():
    flood = Flood(100, "x" * 999_000)
    with wslab.serve(flood) as server, wslab.connect(server) as client:
        until(lambda: client.waiting >= 17)
        until(flood.stands_still)
        assert flood.sent < 100  # the rest of it is in the system's buffers, of whatever size
        assert client.waiting <= 19
        assert [message.split(":")[0] for message in client] == [str(n) for n in range(100)]


def test_a_server_that_floods_while_it_is_closed_fills_no_more_than_a_bound():
    # Only their number was bounded: with large messages a close() took what came in its 5 s.
    def script(sock):
        peers.upgrade(sock)
        data = peers.frame(2, b"x" * 900_000, masked=False)
        for _ in range(100):  # 90 MB, and then it closes
            sock.sendall(data)
        sock.sendall(peers.close_frame(1000, masked=False))
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        until(lambda: client.waiting >= 10)
        client.close(timeout=20)
        assert sum(map(len, client)) <= 34 * 2**20
        assert client.discarded >= 50


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


def test_received_keeps_the_latest_only():
    count = 1500
    with wslab.serve(Flood(count)) as server:
        client = wslab.connect(server, max_waiting=2000)
        messages = list(client)
        assert client.received == tuple(messages[-1000:])
        assert client.received_dropped == 500
        assert client.waiting == 0
        assert client.counts[0] == count
    with wslab.serve(Flood(10, "x" * 999_000)) as server:
        client = wslab.connect(server)
        messages = list(client)
        assert client.received == tuple(messages[-4:])
        assert client.received_dropped == 6
    with wslab.serve(Flood(2, "x" * 5_000_000)) as server:
        client = wslab.connect(server, max_size=None)
        messages = list(client)
        assert client.received == tuple(messages[-1:])  # the last one, however large


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


# Closing.


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
        with pytest.raises(LoopBlocked, match=r"hold\(\) at test_client.py"):
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


def test_what_was_handed_over_after_the_end_is_counted(server):
    client = wslab.connect(server)
    let_loop_write(client)
    loop = client.websocket.loop
    with held():
        # It ends on the loop before the turn of what is sent now.
        loop.call_soon_threadsafe(client.websocket.transport.abort)
        for _ in range(7):
            client.send("into the void")
        large = threading.Thread(target=self_closing_send, args=(client, bytes(200_000)))
        large.start()
    large.join(5)
    until(lambda: client.state is State.CLOSED)
    until(lambda: client._life.connection.send_queue.unsent == 7)
    assert "The 7 messages sent last did not go out before the end." in client.why_closed


def self_closing_send(client, message):
    with pytest.raises(ConnectionClosed):
        client.send(message)


def test_messages_that_come_while_it_closes():
    async def flood(websocket):
        await websocket.recv()
        for number in range(3000):
            await websocket.send(str(number))
        await websocket.wait_closed()

    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=100) as client:
        client.send("go")
        until(lambda: client.waiting >= 100)
        client.close()
        assert client.close_code == 1000
        came = list(client)
        assert came[:100] == [str(n) for n in range(100)]
        assert len(came) <= 201
        assert len(came) + client.discarded == client.counts[0]
        if client.discarded:
            assert f"{client.discarded} messages that came while" in client.why_closed


def test_a_client_is_a_context_manager(server):
    with pytest.raises(ZeroDivisionError), wslab.connect(server) as client:
        raise ZeroDivisionError
    assert client.state is State.CLOSED


# Where it must not wait.


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


def test_it_works_from_any_other_thread(server):
    def talk():
        with wslab.connect(server) as client:
            client.send("hello")
            return client.recv(timeout=5), client.ping() > 0

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(talk) for _ in range(20)]:
            assert future.result(timeout=10) == ("hello", True)


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

"""One connection after another: what survives when one breaks off anywhere, and what is final."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import random
import select
import socket
import struct
import threading
import time

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.protocol import State

import wslab
from tests import peers
from tests.client.rig import AT_ONCE, cut
from tests.peers import until
from wslab.client.backoff import Reconnect
from wslab.errors import NobodyListening
from wslab.hub import Hub
from wslab.notebook import cells
from wslab.widgets.panels import model, static_html

LATER = Reconnect(first_delay_s=60, max_delay_s=60, random=lambda: 1.0)


@pytest.fixture
def server(hub_server):
    return hub_server


def test_the_first_connection_is_tried_once():
    with pytest.raises(NobodyListening):
        wslab.connect(f"ws://127.0.0.1:{peers.free_port()}/", reconnect=True)
    with pytest.raises(TypeError, match="expected reconnect=True"):
        wslab.connect("ws://127.0.0.1:1/", reconnect=3)
    with pytest.raises(ValueError, match="no sock= with reconnect"):
        wslab.connect("ws://127.0.0.1:1/", reconnect=True, sock=object())


def test_the_same_client_survives_its_connection(server, hub):
    with wslab.connect(server, name="alice", reconnect=AT_ONCE) as alice:
        came = []
        alice.on("heard", came.append)
        hub_id, first = alice.call("echo") or alice.hub_id, alice.id
        sent_before = alice.counts[1]
        for n in range(3):
            cut(alice)
            assert alice.call("add", [n, 1]) == n + 1
        assert alice.id != first
        assert alice.hub_id != hub_id  # ids are the connections'; the session goes on
        assert [attempt.outcome for attempt in alice.reconnects] == ["open"] * 3
        assert alice.counts[1] >= sent_before + 3
        alice.emit("shout", "x")
        until(lambda: came == ["x"])
        assert (alice.gap, alice.state) == (None, State.OPEN)
        assert len(hub.clients) == 1
    assert alice.close_code == 1000
    assert alice.why_closed == (
        "This client closed it with 1000 (normal closure: the purpose of the connection has been "
        "fulfilled)."
    )


def test_while_there_is_no_connection(server, hub):
    with wslab.connect(server, name="alice", reconnect=LATER) as alice:
        assert alice.call("echo", 1) == 1
        cut(alice)
        until(lambda: alice.state is State.CONNECTING)
        until(lambda: "next in" in alice.status)
        assert alice.status.startswith("reconnecting, attempt 1, next in ")
        assert "reconnecting, attempt 1, next in " in repr(alice)
        assert (alice.close_code, alice.close_reason) == (None, None)
        assert "broke off" in alice.why_closed
        assert "It is reconnecting, attempt 1" in alice.why_closed
        with pytest.raises(TimeoutError, match="not sent within 0.05 s: 'alice' is reconnecting"):
            alice.send("x", timeout=0.05)
        with pytest.raises(TimeoutError, match="no ping was sent within"):
            alice.ping(timeout=0.05)
        alice.recv(timeout=5)  # the welcome
        with pytest.raises(TimeoutError, match="the connection is reconnecting, attempt 1"):
            alice.recv(timeout=0.05)
        with pytest.raises(TimeoutError, match="not sent, and has been taken back; the connection"):
            alice.call("echo", timeout=0.05)
        for n in range(1000):
            alice.emit("x", n)
        with pytest.raises(TimeoutError, match=r"1,000 packets .* are kept .* is reconnecting"):
            alice.emit("x", timeout=0.05)
        began_s = time.monotonic()
        alice.close()  # ends the delay of a minute
        assert time.monotonic() - began_s < 2
    assert alice.state is State.CLOSED
    assert alice.close_code == 1006
    assert "close() ended it at attempt 1 to come back." in alice.why_closed
    assert "1,000 of its events may not have arrived" in alice.why_closed
    with pytest.raises(ConnectionClosedError):
        alice.emit("x")


def test_what_is_kept_is_sent_in_order_when_it_is_back(hub):
    got = []
    hub.on("x", lambda client, data: got.append(data))
    with wslab.serve(hub, port=peers.free_port()) as server:
        alice = wslab.connect(server, reconnect=Reconnect(first_delay_s=0.01, max_delay_s=0.02))
        alice.call("echo")
    with alice:
        for n in range(500):
            alice.emit("x", n)
        until(lambda: alice.reconnects)  # nobody listens
        with wslab.serve(hub, port=server.port):
            alice.emit("x", 500)
            assert alice.call("echo", 7) == 7
            assert got == list(range(501))
            assert alice.gap is None  # the hub is still the same
            assert {attempt.has_opened for attempt in alice.reconnects} == {True, False}
            alice.close()


def test_a_hub_that_has_forgotten(hub):
    with wslab.serve(hub, port=peers.free_port()) as server:
        alice = wslab.connect(server, reconnect=Reconnect(first_delay_s=0.01, max_delay_s=0.02))
        assert alice.call("echo", 1) == 1
    other = Hub(history=10)
    other.on("echo", lambda client, data: ["other", data])
    with wslab.serve(other, port=server.port), alice:
        assert alice.call("echo", 2, timeout=20) == ["other", 2]
        assert alice.gap == "session unknown"
        assert alice.call("echo", 3) == ["other", 3]


def test_raw_messages_wait_for_the_connection():
    came = []

    async def peer(websocket):
        async for message in websocket:
            came.append(message)
            await websocket.send(message)

    with wslab.serve(peer) as server, wslab.connect(server, reconnect=AT_ONCE) as alice:
        for n in range(20):
            alice.send(str(n))
            assert alice.recv(timeout=5) == str(n)
            cut(alice)
            until(lambda n=n: alice.state is State.CONNECTING or len(alice.reconnects) > n)
        assert came == [str(n) for n in range(20)]
        paths = {connection.path.partition("=")[0] for connection in server.connections}
        assert paths <= {"/?session"}


def test_iteration_goes_on_over_connections_to_any_server():
    counter = iter(range(100))

    async def feed(websocket):
        for _ in range(10):
            await websocket.send(str(next(counter, "end")))
        await websocket.close(1012)

    with wslab.serve(feed) as server, wslab.connect(server, reconnect=AT_ONCE) as alice:
        came = []
        for message in alice:
            came.append(message)
            if message == "end":
                break
        assert came[:100] == [str(n) for n in range(100)]
        assert alice.gap is None


@pytest.mark.parametrize("code", [1000, 1002, 1008, 1009, 3000, 4000, 4409])
def test_what_is_final(code):
    async def goodbye(websocket):
        await websocket.close(code, "that was it")

    with wslab.serve(goodbye) as server:
        alice = wslab.connect(server, reconnect=AT_ONCE)
        until(lambda: alice.state is State.CLOSED)
        assert (alice.close_code, alice.reconnects) == (code, ())
        with pytest.raises(ConnectionClosed):
            alice.recv(timeout=5)


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013])
def test_what_may_pass(code):
    count = iter(range(3))

    async def goodbye(websocket):
        await websocket.close(code if next(count, None) is not None else 4000)

    with wslab.serve(goodbye) as server:
        alice = wslab.connect(server, reconnect=AT_ONCE)
        until(lambda: alice.state is State.CLOSED)
        assert alice.close_code == 4000
        assert len(alice.reconnects) == 3


def test_a_refusal_ends_it():
    def refuse(connection, request):
        return connection.respond(403, "go away") if is_closed else None

    is_closed = False
    with wslab.serve(lambda ws: ws.wait_closed(), process_request=refuse) as server:
        alice = wslab.connect(server, reconnect=AT_ONCE)
        is_closed = True
        cut(alice)
        until(lambda: alice.state is State.CLOSED)
        assert alice.close_code == 1006
        assert "Attempt 1 to come back failed in a way that another one would not" in (
            alice.why_closed
        )
        assert "got 403 Forbidden" in alice.why_closed
        assert "session=" not in repr(alice) + alice.why_closed


def test_it_gives_up_after_so_many():
    with wslab.serve(lambda ws: ws.wait_closed()) as server:
        alice = wslab.connect(server, reconnect=Reconnect(first_delay_s=0, attempts=3))
        server.stop()
        with pytest.raises(ConnectionClosedError) as closed:
            alice.recv(timeout=5)
        assert (
            "It tried 3 times to come back, the last one: nothing listens"
            in (closed.value.__notes__[0])
        )


def test_a_call_to_a_server_without_sessions_is_not_asked_twice():
    calls = []

    async def deaf(websocket):
        async for message in websocket:
            calls.append(json.loads(message))

    with wslab.serve(deaf) as server, wslab.connect(server, reconnect=AT_ONCE) as alice:
        alice._events.dispatcher.session.be_plain()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(alice.call, "x", timeout=30)
            until(lambda: calls)
            cut(alice)
            with pytest.raises(ConnectionClosedError) as lost:
                call.result(timeout=5)
        assert any("whether it was handled nobody knows" in note for note in lost.value.__notes__)
        until(lambda: alice.state is State.OPEN)
        assert len(calls) == 1


def test_no_session_where_none_is_wanted():
    paths = []

    async def peer(websocket):
        paths.append(websocket.request.path)
        await websocket.wait_closed()

    policy = Reconnect(first_delay_s=0, session=False)
    with wslab.serve(peer) as server, wslab.connect(server.url + "?a=1", reconnect=policy) as alice:
        cut(alice)
        until(lambda: len(paths) == 2)
        assert paths == ["/?a=1"] * 2


def test_the_session_is_a_secret(server):
    with wslab.connect(server, reconnect=AT_ONCE) as alice:
        alice.call("echo")
        cut(alice)
        alice.call("echo")
        token = alice.session
        assert len(token) >= 16
        assert token not in repr(alice) + alice.url
        for tape in (alice.tape, server.tape):
            heads = [event for event in tape.events if "session=" in repr(event)]
            assert heads
            shown = [e for e in tape.events if token in repr(e) and "welcome" not in repr(e)]
            assert shown == []


def test_another_connection_with_its_session_ends_it(server):
    with wslab.connect(server, reconnect=AT_ONCE) as alice:
        alice.call("echo")

        async def steal():
            async with websockets.connect(f"{server.url}?session={alice.session}") as websocket:
                await websocket.recv()

        wslab.run(steal)
        until(lambda: alice.state is State.CLOSED)
        assert alice.close_code == 4409
        assert alice.reconnects == ()


def test_shutdown_and_a_rerun_end_the_attempts(server):
    for end in (
        lambda client: client.begin_close(replaced=True).result(5),
        lambda client: cells.close_all(5.0),
    ):
        with wslab.serve(lambda ws: ws.wait_closed()) as other:
            alice = wslab.connect(other, reconnect=LATER)
        until(lambda alice=alice: "next in" in alice.status)
        end(alice)
        assert alice.state is State.CLOSED
        assert alice not in cells.things()
        with pytest.raises(ConnectionClosed):
            alice.send("x")


def test_many_clients_leave_nothing(server):
    # The fixture that every test has counts what is left.
    for n in range(200):
        alice = wslab.connect(server, reconnect=AT_ONCE if n % 2 else LATER)
        alice.on("heard", print)
        alice.call("echo", n)
        cut(alice)
        if n % 2:
            alice.call("echo", n)
        alice.close()
    assert cells.things() == (server,)
    assert wslab.run(lambda: len(asyncio.all_tasks())) < 10


def test_the_panel_says_that_it_reconnects_and_what_failed(server, hub):
    with wslab.connect(server, name="alice", reconnect=LATER) as alice:
        done = threading.Event()

        @alice.on("x")
        def x(data):
            done.set()
            raise ValueError("not this")

        assert alice.call("echo", 1) == 1
        assert model.client_trouble(alice) == []
        hub.emit("x")
        until(lambda: alice.errors)
        cut(alice)
        until(lambda: "next in" in alice.status)
        view, trouble = model.client_view(alice), model.client_trouble(alice)
        assert view["state"] == "connecting"
        assert view["since"].startswith("again, attempt 1, next in ")
        assert [item["title"] for item in trouble] == ["Why it reconnects", "An event failed"]
        assert "broke off" in trouble[0]["text"]
        assert "attempt" not in trouble[0]["text"]  # it counts down; this stands still
        assert trouble[1]["text"] == "the handler of 'x' raised ValueError: not this"
        assert "raise ValueError" in trouble[1]["details"]
        assert "connecting again, attempt 1" in static_html.to_text(view, trouble, ())


def test_the_panel_says_that_it_came_back(server, hub):
    async def silent(websocket):
        await websocket.wait_closed()

    with wslab.connect(server, reconnect=AT_ONCE) as alice, wslab.serve(silent) as other:
        assert alice.call("echo", 1) == 1
        assert (alice.reconnected, model.client_trouble(alice)) == (0, [])
        for nth, title in ((1, "Came back"), (2, "Came back 2 times, the last")):
            cut(alice)
            until(lambda: alice.reconnected == nth)  # noqa: B023
            assert alice.call("echo", nth) == nth
            [told] = model.client_trouble(alice)
            assert (told["kind"], told["title"]) == ("back", title)
            assert told["text"] == "the session went on where it had stopped"
            assert told["at"] == int(alice.reconnects[-1].at)
        assert "Came back 2 times" in static_html.to_text(model.client_view(alice), [told], ())
        with wslab.connect(other, reconnect=AT_ONCE) as bob:
            cut(bob)
            until(lambda: bob.reconnected)
            [told] = model.client_trouble(bob)
            assert "may be lost" in told["text"]


def test_the_panel_says_that_on_open_failed(server):
    calls = []

    def subscribe(client):
        calls.append(client)
        if len(calls) > 1:
            raise ValueError("no")

    again = Reconnect(first_delay_s=0, on_open=subscribe)
    with wslab.connect(server, reconnect=again) as alice:
        cut(alice)
        until(lambda: alice.errors)
        told = model.client_trouble(alice)[-1]
        assert told["title"] == "on_open failed"
        assert told["text"].endswith("subscribe raised ValueError: no")


class Cutter:
    """Carries bytes to a server and back, and cuts each connection after a number of bytes.

    Where that is, chance says: in the handshake, in the middle of a frame, between a packet and
    the word that it has come.
    """

    def __init__(self, port, seed):
        self.random = random.Random(seed)
        self.is_cutting = False
        self.cuts = 0
        self._port = port
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends, self._end = socket.socketpair()
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._start(self._accept)

    def _start(self, func, *args):
        thread = threading.Thread(target=func, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            ready, _, _ = select.select([self._listener, self._ends], [], [])
            if self._ends in ready:
                return
            self._start(self._carry, self._listener.accept()[0])

    def _carry(self, client):
        left = self.random.choice([300, 1000, 3000]) * self.random.random()
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            to = {client: server, server: client}
            while True:
                ready, _, _ = select.select([client, server, self._ends], [], [])
                if self._ends in ready:
                    return
                for one in ready:
                    try:
                        data = one.recv(self.random.choice([1, 64, 4096]))
                        is_over = not data or (self.is_cutting and len(data) > left)
                        to[one].sendall(data[: int(left)] if self.is_cutting else data)
                    except OSError:
                        is_over = True
                    if self.is_cutting:
                        left -= len(data)
                    if is_over:
                        self.cuts += 1
                        if self.random.random() < 0.5:  # a reset, which loses what is under way
                            linger = struct.pack("ii", 1, 0)
                            for side in to:
                                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        return

    def close(self):
        self._end.close()
        for thread in self._threads:
            thread.join(5)
        self._ends.close()
        self._listener.close()


@contextlib.contextmanager
def cutting(server, seed):
    cutter = Cutter(server.port, seed)
    try:
        yield cutter
    finally:
        cutter.close()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_wherever_the_connection_is_cut(seed):
    count, chance = 150, random.Random(seed)
    hub = Hub(history=5000)
    got, runs, came, read = [], [], [], []

    @hub.on("up")
    async def up(client, data):
        got.append(data)

    @hub.on("ask")
    async def ask(client, data):
        runs.append(data)
        if data % 3 == 0:
            await asyncio.sleep(0.002)  # so that some cuts fall into the handler
        return ["answer", data]

    def some(n):
        return {"n": n, "blob": [bytes([n % 256]) * (n % 40)] * (n % 3)}

    with wslab.serve(hub) as server, cutting(server, seed) as cutter:
        with wslab.connect(cutter.url, reconnect=AT_ONCE) as alice:
            if seed % 2:
                alice.on("down", came.append)
            alice.call("ask", -1)
            cutter.is_cutting = True

            def emit():
                for n in range(count):
                    alice.emit("up", some(n), timeout=30)

            def call():
                return [alice.call("ask", n, timeout=60) for n in range(count // 3)]

            def down():
                for n in range(count):
                    hub.emit("down", some(n))
                    if chance.random() < 0.2:
                        wslab.run(asyncio.sleep, 0.001)

            def take():
                while len(read) < count:
                    packet = json.loads(alice.recv(timeout=30))
                    if packet["event"] == "down":
                        blobs = [alice.recv(timeout=30) for _ in range(packet.get("binary", 0))]
                        read.append({"n": packet["data"]["n"], "blob": blobs})

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                asked = pool.submit(call)
                work = [pool.submit(emit), pool.submit(down)]
                if not seed % 2:
                    work.append(pool.submit(take))
                for done in work:
                    done.result(timeout=90)
                assert asked.result(timeout=90) == [["answer", n] for n in range(count // 3)]
            down = came if seed % 2 else read
            until(lambda: len(down) >= count and len(got) >= count, within_s=60)
            cutter.is_cutting = False
            assert alice.call("ask", -2, timeout=60) == ["answer", -2]
            assert got == [some(n) for n in range(count)]
            assert down == [some(n) for n in range(count)]
            assert runs == [-1, *range(count // 3), -2]
            assert alice.gap is None
            assert alice.errors == ()
            assert alice.dropped == alice.unhandled == 0
            assert alice.waiting == 0
            assert cutter.cuts >= 10
            until(lambda: alice._events.dispatcher.session.kept == 0)

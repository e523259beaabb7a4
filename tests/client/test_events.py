"""Events of a Client: emit, call, on; and what survives when the connection breaks off anywhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import json
import os
import random
import select
import signal
import socket
import struct
import threading
import time
import weakref

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.protocol import State

import wslab
from tests import peers
from tests.peers import until
from wslab.client.backoff import Reconnect
from wslab.errors import CallFailed, NobodyListening, Refused, WrongThread
from wslab.hub import Hub
from wslab.hub.protocol.reserved_events import OF_SOCKET_IO
from wslab.loops import portals
from wslab.notebook import cells
from wslab.widgets.panels import model, static_html

AT_ONCE = Reconnect(first_delay_s=0)
LATER = Reconnect(first_delay_s=60, max_delay_s=60, random=lambda: 1.0)


@pytest.fixture
def hub():
    """A hub that answers, repeats, fails and refuses."""
    hub = Hub(history=10_000)
    hub.on("add", lambda client, data: sum(data))
    hub.on("echo", lambda client, data: data)

    @hub.on("shout")
    async def shout(client, data):
        hub.emit("heard", data)

    @hub.on("fail")
    async def fail(client, data):
        raise ZeroDivisionError("nothing to divide by")

    @hub.on("refuse")
    async def refuse(client, data):
        raise Refused("not today")

    @hub.on("never")
    async def never(client, data):
        await asyncio.Event().wait()

    return hub


@pytest.fixture
def server(hub):
    with wslab.serve(hub) as server:
        yield server
        # Nothing but what a handler of the hub let through, which the server shows as well.
        assert [(error.at, error.where) for error in server.errors] == [
            (failure.at, failure.where) for failure in hub.errors
        ]


def cut(client):
    """Break the connection off from this side, as if the cable were pulled."""
    portals.lab().call(client.websocket.transport.abort)


# Calling and emitting.


def test_a_call_returns_what_the_handler_returns(server):
    with wslab.connect(server) as alice:
        assert alice.call("add", [1, 2, 3]) == 6
        assert alice.call("echo") is None
        files = {"name": "ü", "parts": [b"\x00\xff", b""]}
        assert alice.call("echo", files) == files
        assert alice.call("echo", b"x" * 100_000) == b"x" * 100_000


@pytest.mark.parametrize(
    ("event", "code", "told"),
    [
        ("fail", "failed", "ZeroDivisionError: nothing to divide by"),
        ("refuse", "refused", "not today"),
        ("unknown", "unknown-event", "nobody handles 'unknown' here"),
    ],
)
def test_a_call_that_fails(server, event, code, told):
    with wslab.connect(server) as alice:
        with pytest.raises(CallFailed, match=told) as failed:
            alice.call(event)
        assert failed.value.code == code
        assert alice.errors == ()  # it was raised
        assert alice.state is State.OPEN


def test_many_calls_at_once(server):
    with wslab.connect(server) as alice, concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(alice.call, "echo", n, timeout=20) for n in range(200)]
        assert [call.result() for call in calls] == list(range(200))


def test_what_an_emit_looks_like():
    frames = []

    async def peer(websocket):
        async for message in websocket:
            frames.append(message)

    with wslab.serve(peer) as server, wslab.connect(server) as alice:
        alice.emit("chat", "hi")
        alice.emit("typing")
        alice.emit("file", {"name": "x", "data": b"abc"})
        until(lambda: len(frames) == 4)
    assert frames == [
        '{"event":"chat","data":"hi"}',
        '{"event":"typing"}',
        '{"event":"file","data":{"name":"x","data":{"$binary":0}},"binary":1}',
        b"abc",
    ]


@pytest.mark.parametrize("reconnect", [False, AT_ONCE])
def test_nothing_comes_between_the_frames_of_a_packet(reconnect):
    came = []

    async def peer(websocket):
        async for message in websocket:
            came.append(message)

    with wslab.serve(peer) as server, wslab.connect(server, reconnect=reconnect) as alice:

        def raw():
            for _ in range(300):
                alice.send("raw")
                alice.send(b"\xff" * 30_000)

        def emit():
            for n in range(300):
                alice.emit("file", [bytes([n % 250]), bytes([n % 250]) * (40_000 if n % 9 else 1)])

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(raw), pool.submit(emit), pool.submit(emit)]:
                done.result(timeout=30)
        until(lambda: len(came) == 600 + 2 * 900)
    places = [n for n, message in enumerate(came) if message[:2] in ("{", '{"')]
    assert len(places) == 600
    for place in places:
        first, second = came[place + 1 : place + 3]
        assert first[:1] == second[:1] < b"\xfa"


@pytest.mark.parametrize("what", ["emit", "call"])
@pytest.mark.parametrize(
    ("event", "data", "error", "told"),
    [
        ("connect", None, ValueError, "means something else"),
        ("error", None, ValueError, "means something else"),
        ("", None, ValueError, "1 to 128 characters, got 0"),
        (7, None, TypeError, "expected an event's name"),
        ("x", {1, 2}, TypeError, "expected data that JSON can hold"),
        ("x", float("nan"), ValueError, "JSON"),
    ],
)
def test_what_cannot_be_sent(server, what, event, data, error, told):
    with wslab.connect(server) as alice:
        with pytest.raises(error, match=told):
            getattr(alice, what)(event, data)
        assert alice.call("echo", "unharmed") == "unharmed"


# Handlers.


def test_handlers_get_the_data(server, hub):
    with wslab.connect(server) as alice:
        came, threads = [], set()

        @alice.on("heard")
        def heard(data):
            threads.add(threading.get_ident())
            came.append(data)

        assert heard.__name__ == "heard"  # a decorator gives the function back
        alice.emit("shout", {"text": "hi", "file": b"abc"})
        until(lambda: came)
        assert came == [{"text": "hi", "file": b"abc"}]
        # A plain one runs on a thread, where it may block; never on the loop, nor on this one.
        assert not threads & {portals.lab().thread_id, threading.get_ident()}

        async def instead(data):
            came.append(asyncio.get_running_loop() is portals.lab().loop)

        with pytest.warns(match="'heard' had the handler heard, and instead takes its") as told:
            assert alice.on("heard", instead) is instead
        assert told[0].filename == __file__
        alice.emit("shout", "x")
        until(lambda: len(came) == 2)
        assert came[1] is True
        assert alice.unhandled == 0


class Callable:
    def __init__(self):
        self.came = []

    async def __call__(self, data):
        await asyncio.sleep(0)
        self.came.append(data)

    async def method(self, data):
        self.came.append(data)

    async def named(self, prefix, data):
        self.came.append(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda one: one,
        lambda one: one.method,
        lambda one: functools.partial(one.named, "x"),
        lambda one: lambda data: one.method(data),
    ],
)
def test_whatever_can_be_called_is_a_handler(server, make):
    one = Callable()
    with wslab.connect(server) as alice:
        alice.on("heard", make(one))
        alice.emit("shout", 1)
        until(lambda: one.came == [1])


def test_handlers_run_one_at_a_time_in_order(server, hub):
    with wslab.connect(server) as alice:
        came, running = [], []

        async def slow(data):
            assert not running
            running.append(data)
            for _ in range(random.Random(data).randrange(4)):
                await asyncio.sleep(0)
            came.append(running.pop())

        def plain(data):
            assert not running
            running.append(data)
            time.sleep(0)
            came.append(running.pop())

        alice.on("slow", slow)
        alice.on("plain", plain)
        alice.call("echo")
        for n in range(300):
            hub.emit(random.Random(n).choice(["slow", "plain"]), n)
        until(lambda: len(came) == 300)
        assert came == list(range(300))
        assert alice.errors == ()


@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_handler_returns_answers_the_hub(server, hub, is_async):
    async def answer(data):
        return {"twice": data * 2}

    with wslab.connect(server) as alice:
        alice.on("ask", answer if is_async else lambda data: {"twice": data * 2})
        [client] = hub.clients.values()
        assert wslab.run(client.call, "ask", b"ab") == {"twice": b"abab"}
        with pytest.raises(CallFailed, match="nobody handles 'other' here; there are 'ask'"):
            wslab.run(client.call, "other")
        assert alice.unhandled == 1


def test_what_a_handler_raises_is_kept_and_answers_the_hub(server, hub):
    with wslab.connect(server, name="alice") as alice:

        @alice.on("ask")
        async def ask(data):
            raise KeyError(data)

        @alice.on("odd")
        def odd(data):
            return object()

        @alice.on("no")
        def no(data):
            raise Refused("not today")

        @alice.on("worse")
        async def worse(data):
            raise SystemExit(3)

        [client] = hub.clients.values()
        with pytest.raises(CallFailed, match="KeyError: 'x'"):
            wslab.run(client.call, "ask", "x")
        with pytest.raises(CallFailed, match="expected data that JSON can hold"):
            wslab.run(client.call, "odd")
        with pytest.raises(CallFailed, match="not today") as refused:
            wslab.run(client.call, "no")
        assert refused.value.code == "refused"
        with pytest.raises(CallFailed, match="SystemExit: 3"):
            wslab.run(client.call, "worse")
        assert [error.event for error in alice.errors] == ["ask", "odd", "worse"]
        first = alice.errors[0]
        assert (first.kind, first.where) == ("KeyError", ask.__qualname__)
        assert "raise KeyError(data)" in first.traceback
        assert str(first) == "the handler of 'ask' raised KeyError: 'x'"
        assert first.at == pytest.approx(time.time(), abs=60)
        assert "3 errors" in repr(alice)
        assert wslab.run(asyncio.sleep, 0, "alive") == "alive"


def test_an_error_that_the_hub_reports_is_visible(server):
    with wslab.connect(server) as alice:
        alice.emit("unknown", 1)
        # Without a handler it also comes as the message that it is.
        until(lambda: alice.errors)
        assert '"code":"unknown-event"' in [alice.recv(timeout=5), alice.recv(timeout=5)][1]
        [error] = alice.errors
        assert (error.event, error.code, error.kind) == ("unknown", "unknown-event", "")
        assert str(error).startswith("the hub said about 'unknown': nobody handles")
        told = []
        alice.on("error", told.append)
        alice.emit("fail")
        until(lambda: told)
        assert told[0]["code"] == "failed"
        assert told[0]["event"] == "fail"
        assert alice.errors_seen == 2
        assert alice.waiting == 0


def test_what_no_event_can_be_called(server):
    with wslab.connect(server) as alice:
        with pytest.raises(ValueError, match=r"expected the name of an event, got 'message'.*recv"):
            alice.on("message")
        with pytest.raises(ValueError, match="got 'disconnect'"):
            alice.on("disconnect", print)
        with pytest.raises(TypeError, match="expected an event's name"):
            alice.on(print)
        with pytest.raises(TypeError, match="expected a function of one argument"):
            alice.on("x", 5)
        with pytest.raises(LookupError, match="has no handler of 'x'"):
            alice.off("x")
        alice.on("x", print)
        alice.off("x")
        with pytest.raises(LookupError):
            alice.off("x")


def test_a_handler_may_call_the_hub(server, hub):
    with wslab.connect(server) as alice:
        came = []

        @alice.on("heard")
        def heard(data):
            came.append(alice.call("add", [data, 1]))

        @alice.on("async")
        async def refused(data):
            for waits in (lambda: alice.call("add", [1]), lambda: alice.emit("shout")):
                with pytest.raises(WrongThread):
                    waits()
            alice.on("later", came.append)  # does not wait
            came.append(await asyncio.to_thread(alice.call, "add", [data, 2]))

        alice.emit("shout", 1)
        until(lambda: came == [2])
        hub.emit("async", 1)
        until(lambda: came == [2, 3])
        hub.emit("later", "x")
        until(lambda: came == [2, 3, "x"])
        assert alice.errors == ()


# What comes to recv(), and what does not.


def test_without_a_handler_events_are_messages(server, hub):
    with wslab.connect(server) as alice:
        assert alice.call("add", [1]) == 1
        alice.call("shout", "hi")
        hub.broadcast("raw")
        came = [json.loads(alice.recv(timeout=5)) for _ in range(2)]
        assert [packet["event"] for packet in came] == ["welcome", "heard"]
        assert alice.recv(timeout=5) == "raw"
        assert len(alice.received) == 5  # the answers are there, too


def test_with_a_handler_only_raw_messages_are(server, hub):
    with wslab.connect(server) as alice:
        came = []
        hub.emit("heard", "early")
        hub.emit("other", "early")
        hub.broadcast("raw")
        until(lambda: alice.waiting == 4)
        alice.on("heard", came.append)
        # What waits of that name is handled now; what is of the hub itself waits for nobody.
        until(lambda: came == ["early"])
        assert alice.waiting == 2
        hub.emit("heard", {"b": b"x"})
        hub.emit("other", {"b": b"x"})
        hub.broadcast(b"raw")
        until(lambda: alice.waiting == 3)
        until(lambda: came == ["early", {"b": b"x"}])
        assert alice.unhandled == 1
        alice.on("other", came.append)
        until(lambda: came[2:] == ["early"])
        assert alice.recv(timeout=5) == "raw"
        assert alice.recv(timeout=5) == b"raw"
        assert alice.waiting == 0


def test_a_handler_of_all_other_events(server, hub):
    with wslab.connect(server) as alice:
        came = []
        hub.emit("early", 0)
        until(lambda: alice.waiting == 2)
        alice.on("heard", lambda data: came.append(data))

        @alice.on("*")
        def others(event, data):
            came.append((event, data))
            return "mine"

        until(lambda: came == [("early", 0)])
        hub.emit("late", 1)
        hub.emit("heard", 2)
        until(lambda: len(came) == 3)
        assert came[1:] == [("late", 1), 2]
        [client] = hub.clients.values()
        assert wslab.run(client.call, "ask", 3) == "mine"
        alice.off("*")
        hub.emit("late", 4)
        until(lambda: alice.unhandled)
        assert len(came) == 4
        with pytest.raises(TypeError, match="two arguments, the event's name and its data"):
            alice.on("*", came.append)


@pytest.mark.parametrize("word", sorted(OF_SOCKET_IO))
def test_words_of_socket_io_say_what_to_write(server, word):
    with wslab.connect(server) as alice:
        for register in (lambda: alice.on(word), lambda: alice.on(word, print)):
            with pytest.raises(ValueError, match=f"got '{word}': .*\\w"):
                register()
        with pytest.raises(ValueError, match="of your own"):
            alice.emit(word)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("has_talked", [False, True])
def test_an_event_whose_binary_frames_come_after_on_is_handled(before, has_talked):
    go_on = threading.Event()

    async def hub(websocket):
        await websocket.send('{"event":"other","data":1}')
        await websocket.send('{"event":"x","data":[{"$binary":0},{"$binary":1}],"binary":2}')
        for nth in range(2):
            if nth == before:
                await asyncio.to_thread(go_on.wait, 10)
            await websocket.send(b"%d" % nth)
        await websocket.send(b"raw")
        await websocket.wait_closed()

    with wslab.serve(hub) as server, wslab.connect(server) as alice:
        if has_talked:
            alice.emit("hello")
        # A client that has talked keeps the frames together itself.
        until(lambda: len(alice.received) == 2 + before)
        came = []
        alice.on("x", came.append)
        go_on.set()
        until(lambda: came)
        assert came == [[b"0", b"1"]]
        assert alice.recv(timeout=5) == '{"event":"other","data":1}'
        assert alice.recv(timeout=5) == b"raw"
        assert (alice.waiting, alice.unhandled) == (0, 0)


def test_a_beginning_that_is_never_continued_stays_a_message():
    async def hub(websocket):
        await websocket.send('{"event":"x","data":{"$binary":0},"binary":1}')
        await websocket.send('{"event":"y","data":{"$binary":0},"binary":1}')

    with wslab.serve(hub) as server, wslab.connect(server) as alice:
        until(lambda: alice.state is State.CLOSED)
        until(lambda: alice._life.gone.is_set())
        alice.on("x", print)
        alice.on("y", print)
        assert [json.loads(alice.recv(timeout=5))["event"] for _ in range(2)] == ["x", "y"]
        with pytest.raises(ConnectionClosed):
            alice.recv(timeout=5)


def test_who_it_is_to_the_hub(server, hub):
    with wslab.connect(server) as alice, wslab.connect(server, reconnect=True) as bob:
        for client in (alice, bob):
            assert client.recv(timeout=5)
            assert client.hub_id in hub.clients
            assert client.session == hub.clients[client.hub_id].session
            assert client.user_id == hub.clients[client.hub_id].user_id
            assert (client.gap, client.dropped, client.reconnects) == (None, 0, ())
        for n in range(1100):
            hub.broadcast(str(n))
        assert [alice.recv(timeout=5) for _ in range(1100)] == [str(n) for n in range(1100)]
        assert alice.received_dropped
        assert alice.hub_id in hub.clients
    with wslab.serve(Hub()) as plain, wslab.connect(plain) as carol:
        carol.recv(timeout=5)
        assert carol.session is None
        assert carol.user_id == carol.hub_id

    async def chatty(websocket):
        await websocket.send('{"welcome": "to my server"}')
        await websocket.wait_closed()

    with wslab.serve(chatty) as server, wslab.connect(server, reconnect=AT_ONCE) as dave:
        assert dave.recv(timeout=5)
        assert dave.hub_id is None
        assert dave.user_id is None
        assert dave.session is None


def test_dropped_events_are_counted():
    async def hub(websocket):
        await websocket.send('{"event":"dropped","data":{"count":3}}')
        await websocket.send('{"event":"dropped","data":{"count":4}}')
        await websocket.send('{"event":"x"}')
        await websocket.wait_closed()

    with wslab.serve(hub) as server, wslab.connect(server, reconnect=AT_ONCE) as alice:
        came = []
        alice.on("dropped", came.append)
        alice.on("x", came.append)
        until(lambda: len(came) == 3 or alice.unhandled)
        assert alice.dropped == 7
        assert came[:2] == [{"count": 3}, {"count": 4}]


# Waiting, and not waiting.


@pytest.mark.parametrize("what", ["emit", "call"])
def test_it_refuses_to_wait_on_the_loop(server, what):
    async def there():
        getattr(alice, what)("echo")

    with wslab.connect(server) as alice:
        with pytest.raises(WrongThread):
            wslab.run(there)


def test_a_call_that_nobody_answers(server):
    with wslab.connect(server, name="alice", max_waiting=2) as alice:
        with pytest.raises(TimeoutError, match=r"'alice' got no answer to 'never' within 0.05 s; "):
            alice.call("never", timeout=0.05)


def test_messages_that_nobody_takes_hold_the_answer_back():
    async def flood(websocket):
        call = json.loads(await websocket.recv())
        for n in range(100):
            await websocket.send(str(n))
        await websocket.send(f'{{"answer":{call["id"]},"data":"late"}}')
        await websocket.wait_closed()

    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=10) as alice:
        with pytest.raises(TimeoutError, match=r"messages wait that no recv\(\) took, and hold"):
            alice.call("echo", timeout=0.3)
        assert [alice.recv(timeout=5) for _ in range(100)] == [str(n) for n in range(100)]


def test_a_handler_that_hangs_holds_the_rest_back(server, hub):
    with wslab.connect(server) as alice:
        let_go = threading.Event()
        seen = []
        alice.on("slow", lambda data: let_go.wait(20))
        alice.on("last", seen.append)
        hub.emit("slow")
        for n in range(1500):
            hub.emit("slow", n)
            if n % 100 == 0:
                wslab.run(asyncio.sleep, 0.001)  # let the hub's backlog go out
        hub.emit("last", "x")
        until(lambda: alice._events.dispatcher.queue.is_at_limit)
        with pytest.raises(TimeoutError, match="events wait for the handler of 'slow', which has"):
            alice.call("echo", timeout=0.3)
        let_go.set()
        until(lambda: seen == ["x"])
        assert alice.call("echo", 5) == 5


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_hub_that_floods_a_slow_handler_fills_no_more_than_a_bound(is_closed):
    # A thousand events might wait, whatever their size: 1 GB, and more as values.
    text = json.dumps({"event": "big", "data": "x" * 500_000})

    async def flood(websocket):
        await websocket.recv()
        for _ in range(60):
            await websocket.send(text)
        await websocket.wait_closed()

    let_go, seen = threading.Event(), []

    def big(data):
        let_go.wait(20)
        seen.append(len(data))

    with wslab.serve(flood) as server, wslab.connect(server) as alice:
        alice.on("big", big)
        alice.send("go")
        until(lambda: alice._events.dispatcher.queue.is_at_limit)
        queue = alice._events.dispatcher.queue
        if is_closed:
            closing = threading.Thread(target=alice.close, kwargs={"timeout": 10})
            closing.start()
            until(lambda: alice.discarded)
        # One may come beyond the bound on the short way, and one that websockets had put together.
        assert queue.size_bytes <= (4 + 4 * is_closed) * 2**20 + 2 * len(text)
        let_go.set()
        if is_closed:
            closing.join(10)
            assert len(seen) + queue.unhandled + alice.discarded == alice.counts[0]
        else:
            until(lambda: len(seen) == 60)
        assert not queue.size_bytes


def test_a_call_ends_with_the_connection(server, hub):
    with wslab.connect(server, name="alice") as alice:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(alice.call, "never", timeout=30)
            until(lambda: alice.counts[1] == 1)
            cut(alice)
            with pytest.raises(ConnectionClosedError) as closed:
                call.result(timeout=5)
        assert "broke off" in closed.value.__notes__[0]
        for what in (alice.call, alice.emit):
            with pytest.raises(ConnectionClosedError):
                what("echo")


def test_an_interrupt_ends_a_call(server):
    with wslab.connect(server) as alice:
        timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            alice.call("never", timeout=30)
        timer.join()
        assert alice._events.dispatcher.sender.waiting_calls == 0
        assert alice.state is State.OPEN


def test_close_lets_handlers_finish_and_cuts_off_those_that_do_not(server, hub):
    for is_slow in (False, True):
        done, begun = [], threading.Event()
        alice = wslab.connect(server)

        async def handler(data, is_slow=is_slow, done=done, begun=begun):
            begun.set()
            await (asyncio.Event().wait() if is_slow else asyncio.sleep(0.05))
            done.append(data)

        alice.on("x", handler)
        hub.emit("x", 1)
        hub.emit("x", 2)
        assert begun.wait(5)
        alice.close(timeout=0.3 if is_slow else 5.0)
        assert done == ([] if is_slow else [1, 2])
        assert alice.unhandled == is_slow


def test_a_handler_may_close_its_client(server, hub):
    for make in (
        lambda alice: lambda data: alice.close(4000),
        lambda alice: lambda data: asyncio.to_thread(alice.close, 4000),
    ):
        alice = wslab.connect(server)
        alice.on("bye", make(alice))
        began_s = time.monotonic()
        hub.emit("bye")
        until(lambda alice=alice: alice.state is State.CLOSED)
        assert alice.close_code == 4000
        assert time.monotonic() - began_s < 3


def test_on_after_the_end(server, hub):
    alice = wslab.connect(server)
    hub.emit("heard", 1)
    until(lambda: alice.waiting == 2)
    alice.close()
    came = []
    alice.on("heard", came.append)
    until(lambda: came == [1])
    with pytest.raises(ConnectionClosedOK):
        alice.emit("x")


@pytest.mark.parametrize("reconnect", [False, AT_ONCE])
def test_a_closed_client_is_freed_without_the_collector(server, reconnect):
    gc.collect()
    gc.disable()
    try:
        alice = wslab.connect(server, reconnect=reconnect)
        came = []
        alice.on("heard", came.append)
        alice.emit("shout", 1)
        assert alice.call("add", [1]) == 1
        if reconnect:
            cut(alice)
            assert alice.call("add", [1]) == 1
        until(lambda: came)
        alice.close()
        alice, freed = None, weakref.ref(alice)
        until(lambda: wslab.run(asyncio.sleep, 0) is None and freed() is None)
    finally:
        gc.enable()


# Coming back.


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
    with wslab.serve(hub) as server:
        port = server.port
        alice = wslab.connect(server, reconnect=Reconnect(first_delay_s=0.01, max_delay_s=0.02))
        alice.call("echo")
        server.stop()
        for n in range(500):
            alice.emit("x", n)
        until(lambda: alice.reconnects)  # nobody listens
    with wslab.serve(hub, port=port), alice:
        alice.emit("x", 500)
        assert alice.call("echo", 7) == 7
        assert got == list(range(501))
        assert alice.gap is None  # the hub is still the same
        assert {attempt.has_opened for attempt in alice.reconnects} == {True, False}


def test_a_hub_that_has_forgotten(hub):
    with wslab.serve(hub) as server:
        port = server.port
        alice = wslab.connect(server, reconnect=Reconnect(first_delay_s=0.01, max_delay_s=0.02))
        assert alice.call("echo", 1) == 1
    other = Hub(history=10)
    other.on("echo", lambda client, data: ["other", data])
    with wslab.serve(other, port=port), alice:
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


# Cut anywhere.


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


def test_a_call_that_waits_for_itself_says_what_it_waits_for(server, hub):
    # Both sides call inside of a call, as one may with Socket.IO.
    @hub.on("buy")
    async def buy(client, data):
        return await client.call("confirm", timeout=5)

    hub.on("price", lambda client, data: 3)
    said = []
    with wslab.connect(server) as alice:

        @alice.on("confirm")
        def confirm(data):
            try:
                return alice.call("price", timeout=0.3)
            except TimeoutError as exc:
                said.append(str(exc))
                return 4

        assert alice.call("buy", timeout=5) == 4
    [text] = said
    assert "it has a handler of 'confirm' at work, which has run for 0." in text
    assert "it takes nothing else of this client meanwhile" in text


@pytest.mark.parametrize("wrong", [lambda: 1, lambda a, b: 1])
def test_a_handler_that_takes_no_event_is_refused(server, wrong):
    with (
        wslab.connect(server) as alice,
        pytest.raises(TypeError, match="expected a function of one argument, the event's data"),
    ):
        alice.on("e", wrong)

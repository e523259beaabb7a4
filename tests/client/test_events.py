"""Events of a client: emit, call, on, and what waits for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import json
import os
import random
import signal
import threading
import time
import weakref

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.protocol import State

import wslab
from tests.client.rig import AT_ONCE, cut
from tests.peers import until
from wslab.errors import CallFailed, Refused, WrongThread
from wslab.hub import Hub
from wslab.hub.protocol.reserved_events import OF_SOCKET_IO
from wslab.loops import portals


@pytest.fixture
def server(hub_server):
    return hub_server


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

"""The hub by the bytes: connecting, leaving, handlers, emitting, failures, threads."""

from __future__ import annotations

import asyncio
import datetime
import functools
import gc
import json
import random
import threading
import time

import pytest

from tests.hub.rig import (
    DEADLINE_S,
    TOKEN,
    FakeSocket,
    Wire,
    aio,
    inside,
    listening,
    one,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import LoopBlocked, Refused
from wslab.hub import Hub, Limits, Trace
from wslab.hub.protocol.packets import RESERVED
from wslab.hub.protocol.reserved_events import OF_SOCKET_IO
from wslab.hub.server.hub_client import connection_of

# Ids and the welcome.


@aio
async def test_the_welcome_comes_first():
    hub = Hub()

    @hub.on("connect")
    async def connect(client):
        client.join("lobby")
        client.emit("hello", client.id)

    async with listening(hub) as url, speaking(url, welcomed=False) as wire:
        text = await wire.websocket.recv()
        client = one(hub)
        assert text == (
            f'{{"event":"welcome","data":{{"id":"{client.id}","session":null,'
            '"offset":null,"received":null,"resumed":false,"gap":null}}'
        )
        assert await wire.websocket.recv() == f'{{"event":"hello","data":"{client.id}"}}'
        assert client.full_id == str(client.websocket.id)
        assert client.id == client.websocket.id.hex[:6]
        assert client.rooms == {"lobby"}
        assert (client.name, client.data, client.session, client.is_resumed) == (
            None, {}, "", False,
        )  # fmt: skip
        assert client.is_open
        assert (client.received, client.sent, client.dropped, client.queued) == (0, 2, 0, 0)
        assert client.path == "/"
        assert client.address == wire.websocket.local_address
        assert abs(client.since - time.time()) < DEADLINE_S
        assert 0 <= client.open_s < DEADLINE_S


@aio
async def test_ids_are_as_long_as_it_takes():
    hub = Hub()
    sockets = [FakeSocket(hex=f"abcdef{nth:02x}" + "0" * 24) for nth in (0, 1, 0x10)]
    tasks = []
    for each in sockets:
        tasks.append(asyncio.create_task(hub(each)))
        await until(lambda: len(hub.clients) == len(tasks))
    assert list(hub.clients) == ["abcdef", "abcdef0", "abcdef1"]
    for each in sockets:
        each.lose()
    await asyncio.gather(*tasks)


@aio
async def test_ids_are_unique_also_among_those_who_connect_at_the_same_time():
    hub = Hub()
    gate = asyncio.Event()

    @hub.on("connect")
    async def connect(client):
        await gate.wait()

    sockets = [FakeSocket(hex="abcdef" + f"{nth:026x}") for nth in range(3)]
    tasks = [asyncio.create_task(hub(each)) for each in sockets]
    await asyncio.sleep(0)
    gate.set()
    clients = await until(lambda: len(hub.clients) == 3 and list(hub.clients.values()))
    assert [client.websocket for client in clients] == sockets
    assert len({client.id for client in clients}) == 3
    assert all(hub.clients[client.id] is client for client in clients)
    hub.trace = Trace()
    assert len(hub.emit("x").outcomes) == 3
    for each, client in zip(sockets, clients, strict=True):
        assert json.loads(each.texts[0])["data"]["id"] == client.id
        each.lose()
    await asyncio.gather(*tasks)
    assert not hub.clients


# Connecting and being refused.


@pytest.mark.parametrize(
    ("refusal", "code", "message", "close"),
    [
        (Refused("members only"), "refused", "members only", (1008, "members only")),
        (Refused(), "refused", "refused", (1008, "refused")),
        (False, "refused", "refused", (1008, "refused")),
        (Refused("é" * 100), "refused", "é" * 100, (1008, "é" * 61)),
        (ValueError("secret"), "failed", "the connect handler failed",
         (1011, "the connect handler failed")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("joins", [False, True])
@aio
async def test_connect_may_refuse(refusal, code, message, close, joins):
    hub = Hub()
    ends = []
    hub.on("disconnect", lambda client, reason: ends.append(reason))

    @hub.on("connect")
    async def connect(client):
        if joins:
            client.join("lobby")
        if isinstance(refusal, Exception):
            raise refusal
        return refusal

    async with listening(hub) as url, speaking(url, welcomed=joins) as wire:
        assert await wire.read() == {"event": "error", "data": {"code": code, "message": message}}
        assert not hub.clients
        assert not hub.rooms
        assert await wire.closed() == close
        await until(lambda: len(ends) == joins)  # who was let in by joining is told to have left
    assert all(end.startswith("sent away with 10") for end in ends)
    assert len(hub.errors) == hub.errors_seen == isinstance(refusal, ValueError)
    assert hub.complaints == {code: 1}


@aio
async def test_a_plain_connect_handler_may_refuse_too():
    hub = Hub()

    @hub.on("connect")
    def connect(client):
        client.join("lobby")
        raise Refused("full")

    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.closed() == (1008, "full")
        assert not hub.rooms


@aio
async def test_who_leaves_while_connect_runs_is_never_listed():
    hub = Hub()
    gate, ends = asyncio.Event(), []
    hub.on("disconnect", lambda client, reason: ends.append(reason))

    @hub.on("connect")
    async def connect(client):
        await gate.wait()

    async with listening(hub) as url:
        async with speaking(url, welcomed=False) as wire:
            await until(lambda: inside(hub).admission.alive == 1)
            await wire.abort()
        gate.set()
        await until(lambda: ends)
        assert ends == ["the connection broke off (1006)"]
        assert not hub.clients


# Every kind of end.


async def _end(kind, hub, wire, server):
    if kind == "1000":
        await wire.websocket.close()
    elif kind == "1001":
        await wire.websocket.close(1001, "bye")
    elif kind == "no code":
        wire.websocket.transport.write(b"\x88\x80\0\0\0\0")
    elif kind == "4000":
        await wire.websocket.close(4000, "é")
    elif kind == "abort":
        await wire.abort()
    elif kind == "server stop":
        server.close()
    elif kind == "kicked":
        one(hub).disconnect(4001, "out")
    elif kind == "kicked normally":
        one(hub).disconnect()
    elif kind == "own close":
        await one(hub).websocket.close(1000, "enough")
    elif kind == "bad frame":
        wire.websocket.transport.write(b"\xff\xff\xff\xff")
    await wire.closed()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("1000", "closed by the client with 1000"),
        ("1001", "closed by the client with 1001 (bye)"),
        ("no code", "closed by the client with 1005"),
        ("4000", "closed by the client with 4000 (é)"),
        ("abort", "the connection broke off (1006)"),
        ("server stop", "closed by this side with 1001"),
        ("kicked", "sent away with 4001 (out)"),
        ("kicked normally", "sent away with 1000"),
        ("own close", "closed by this side with 1000 (enough)"),
        ("bad frame", "closed by this side with 1002"),
    ],
)
@pytest.mark.parametrize("history", [0, 5])
@aio
async def test_every_end_is_told_once_and_cleaned_up(kind, reason, history):
    from websockets.asyncio.server import serve

    hub = Hub(history=history)
    ends = []
    hub.on("connect", lambda client: client.join("lobby"))

    @hub.on("disconnect")
    async def disconnect(client, why):
        ends.append((why, client.rooms, client.is_open, client.id in hub.clients, len(hub.rooms)))

    async with serve(hub, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with speaking(f"ws://127.0.0.1:{port}/") as wire:
            await _end(kind, hub, wire, server)
            await until(lambda: ends)
    assert len(ends) == 1
    why, rooms, is_open, is_listed, rooms_left = ends[0]
    assert why.startswith(reason)
    assert (rooms, is_open, is_listed, rooms_left) == ({"lobby"}, False, False, 0)
    assert not hub.clients
    assert not hub.rooms
    assert not hub.errors
    assert not inside(hub).loop.tasks
    if history:
        goodbye = kind in ("1000", "kicked", "kicked normally", "own close")
        assert len(sessions_of(hub)) == (0 if goodbye else 1)


@aio
async def test_what_a_client_said_before_it_left_is_still_handled():
    hub = Hub()
    heard = []

    @hub.on("say")
    async def say(client, data):
        await asyncio.sleep(0)
        heard.append(data)
        client.join("late")

    hub.on("disconnect", lambda client, reason: heard.append("end"))
    async with listening(hub) as url:
        async with speaking(url) as wire:
            for nth in range(10):
                await wire.emit("say", nth)
        await until(lambda: heard[-1:] == ["end"])
    assert heard == [*range(10), "end"]
    assert not hub.rooms
    assert not hub.errors


@aio
async def test_who_is_sent_away_is_no_longer_heard():
    hub = Hub()
    heard = []

    @hub.on("say")
    async def say(client, data):
        heard.append(data)
        if data == 3:
            client.disconnect(4000, "enough")
            await asyncio.sleep(0.01)

    async with listening(hub) as url, speaking(url) as wire:
        for nth in range(60):  # more than websockets reads ahead
            await wire.emit("say", nth)
        began_s = time.monotonic()
        assert await wire.closed() == (4000, "enough")
        assert time.monotonic() - began_s < 3  # not cut off after the grace
    assert heard == [0, 1, 2, 3]


@pytest.mark.parametrize("code", [1005, 1006, 999, 0, 5000, 1015, "1000", None])
@aio
async def test_sending_away_with_a_code_that_there_is_not(code):
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        with pytest.raises((ValueError, TypeError), match="expected a close code"):
            one(hub).disconnect(code)
        with pytest.raises(ValueError, match="at most 123 bytes"):
            one(hub).disconnect(4000, "é" * 62)
        assert await wire.call("fence", 1) == 1  # it is still here


@aio
async def test_who_does_not_answer_the_close_frame_is_cut_off(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.connection.CLOSE_GRACE_S", 0.1)
    hub = Hub()
    ends = []
    hub.on("disconnect", lambda client, reason: ends.append(reason))
    async with listening(hub, small_buffers=True) as url, speaking(url, stalls=True) as wire:
        client = one(hub)
        hub.broadcast(random.Random(1).randbytes(1_000_000))
        assert client.websocket.paused
        client.disconnect(4000, "out")
        assert not hub.clients
        await until(lambda: ends)
        assert ends == ["sent away with 4000 (out)"]
        await wire.abort()


# Handlers.


@aio
async def test_registering_again_replaces_live():
    hub = Hub()

    @hub.on("x")
    async def first(client, data):
        return "first"

    async with listening(hub) as url, speaking(url) as wire:
        client = one(hub)
        assert await wire.call("x") == "first"

        @hub.on("x")
        async def first(client, data):  # as a cell that runs again: not a word
            return "first again"

        assert await wire.call("x") == "first again"
        with pytest.warns(match="'x' had the handler first, and <lambda> takes its place") as told:
            hub.on("x", lambda client, data: "second")
        with pytest.warns(match="'x' had the handler <lambda>, and other takes its place") as more:

            @hub.on("x")
            async def other(client, data):
                return "third"

        assert [each.filename for each in (*told, *more)] == [__file__] * 2
        hub.off("x")
        hub.on("x", lambda client, data: "second")
        assert await wire.call("x") == "second"
        hub.off("x")
        error = await wire.call("x")
        assert error["code"] == "unknown-event"
        assert "'fence'" in error["message"]
        hub.off("x")
        hub.on("x", functools.partial(first))
        assert await wire.call("x") == "first again"
        assert one(hub) is client


class _Callable:
    def __call__(self, client, data):
        return "plain object"


class _AsyncCallable:
    async def __call__(self, client, data):
        return "async object"

    async def method(self, client, data):
        return "method"


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (_Callable(), "plain object"),
        (_AsyncCallable(), "async object"),
        (_AsyncCallable().method, "method"),
        (lambda client, data: _AsyncCallable().method(client, data), "method"),
        (lambda *args: len(args), 2),
        (lambda client, data=None, more=5: more, 5),
    ],
)
@aio
async def test_what_can_be_a_handler(handler, answer):
    hub = Hub()
    hub.on("x", handler)
    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("x") == answer


def test_what_cannot_be_a_handler():
    hub = Hub()

    async def none():
        pass

    async def yields(client, data):
        yield 1

    for wrong in (5, "x", none, yields, lambda client: 1, lambda a, b, c: 1):
        with pytest.raises(TypeError, match="expected `async def x\\(client, data\\)`|such as"):
            hub.on("x", wrong)
    with pytest.raises(TypeError, match=r"connect\(client\)"):
        hub.on("connect", lambda client, data: 1)
    for name in ("welcome", "error", "dropped", "", "x" * 129):
        with pytest.raises(ValueError, match="expected an event"):
            hub.on(name, lambda client, data: 1)
    with pytest.raises(TypeError):
        hub.on(5)
    with pytest.raises(TypeError):
        hub.on(lambda client, data: 1)
    assert not hub.events


@pytest.mark.parametrize("word", sorted(OF_SOCKET_IO))
def test_words_of_socket_io_say_what_to_write(word):
    hub = Hub()
    with pytest.raises(ValueError, match=f"got '{word}': .*\\w") as told:
        hub.on(word, lambda client, data: 1)
    assert "which only the hub" not in str(told.value)
    with pytest.raises(ValueError, match="of your own"):
        hub.emit(word)


def test_every_word_of_socket_io_is_reserved():
    # Namespaces, sockets and the manager of Socket.IO 4 emit these by themselves.
    assert {
        "connection", "disconnecting", "connect_error", "reconnect", "reconnect_attempt",
        "reconnect_error", "reconnect_failed", "newListener", "removeListener",
    } <= RESERVED  # fmt: skip
    assert {"connect", "disconnect", "message", "*"} <= RESERVED


@aio
async def test_a_handler_of_all_other_events():
    hub = Hub()

    @hub.on("own")
    async def own(client, data):
        return "own"

    @hub.on("*")
    async def others(client, event, data):
        return [event, data]

    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("own", 1) == "own"
        assert await wire.call("other", {"b": 1}) == ["other", {"b": 1}]
        await wire.send({"event": "files", "data": {"$binary": 0}, "binary": 1, "id": 2}, b"x")
        assert await wire.read() == {
            "answer": 2, "data": ["files", {"$binary": 0}], "binary": 1,
        }  # fmt: skip
        assert await wire.read() == b"x"
        for event in ("*", "connect", "disconnect", "message", "connection", "welcome"):
            told = await wire.call(event)
            assert told["code"] == "unknown-event"
            assert told["message"].startswith(f"expected an event of your own, got {event!r}")
            assert ("no packet" in told["message"]) is (event == "message")
        await wire.send("raw")
        assert (await wire.read())["data"]["code"] == "bad-packet"
        hub.off("*")
        assert (await wire.call("other"))["code"] == "unknown-event"
    with pytest.raises(TypeError, match=r"handler\(client, event, data\)"):
        hub.on("*", lambda client, data: 1)
    assert not hub.errors


@aio
async def test_several_rooms_at_once():
    hub = Hub()
    async with listening(hub) as url, speaking(url):
        client = one(hub)
        assert client.join("a", "b") is True
        assert client.join("b", "a") is False
        assert client.join("b", "c") is True
        assert client.rooms == {"a", "b", "c"}
        for rooms in (("d", ""), ("d", 5), ("d", ["e"])):
            with pytest.raises((TypeError, ValueError), match="expected a room's name"):
                client.join(*rooms)
            with pytest.raises((TypeError, ValueError), match="expected a room's name"):
                client.leave("a", *rooms)
        with pytest.raises(TypeError, match=r"several at once: client.join\(\*rooms\)"):
            client.join(["d", "e"])
        with pytest.raises(TypeError):
            client.join()
        assert client.rooms == {"a", "b", "c"}
        assert client.leave("a", "x") is True
        assert client.leave("a", "x") is False
        assert await asyncio.to_thread(client.leave, "b", "c") is True
        assert client.rooms == frozenset()


@pytest.mark.parametrize(
    "options",
    [
        {"history": -1}, {"session_s": -1}, {"backlog": 0}, {"rate": 0}, {"rate": -1},
        {"slow": "no"},
        {"session_s": float("nan")}, {"rate": float("nan")},
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="expected"):
        Hub(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"history": "5"}, {"history": 1.5}, {"history": True}, {"session_s": "1"},
        {"backlog": 1e3}, {"rate": "x"}, {"rate": True}, {"show_errors": "no"}, {"limits": 5},
    ],
)  # fmt: skip
def test_options_of_a_wrong_kind_are_named(options):
    with pytest.raises(TypeError, match=f"expected {next(iter(options))} as "):
        Hub(**options)


def test_a_name_is_text():
    with pytest.raises(TypeError, match="expected a name for the hub"):
        Hub(5)


@aio
async def test_plain_handlers_run_on_a_thread_and_freeze_nobody():
    hub = Hub()
    gate = threading.Event()

    @hub.on("block")
    def block(client, data):
        assert threading.current_thread() is not threading.main_thread()
        hub.emit("from thread", data, skip=client)
        client.join("thread")
        client.emit("mine", client.id)
        assert gate.wait(DEADLINE_S)
        client.leave("thread")
        return data

    async with listening(hub) as url, speaking(url) as alice, speaking(url) as bob:
        await alice.emit("block", 5, id=1)
        assert await alice.read() == {"event": "mine", "data": alice.id}
        assert await bob.read() == {"event": "from thread", "data": 5}
        assert [client.id for client in hub.rooms["thread"]] == [alice.id]
        for nth in range(5):
            assert await bob.call("fence", nth) == nth  # while the other one blocks
        gate.set()
        assert await alice.read() == {"answer": 1, "data": 5}
        assert not hub.rooms
    assert hub.errors_seen == 0


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize(
    ("exception", "message"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(4), "RuntimeError: "),
        (asyncio.CancelledError("x"), "CancelledError: x"),
        (ValueError("half \ud83d"), "ValueError: half \\ud83d"),
        (BaseException("base"), "BaseException: base"),
        (TimeoutError(), "TimeoutError"),
    ],
)
@aio
async def test_an_exception_is_the_senders_to_hear(exception, message, is_plain):
    hub = Hub()
    told = []
    hub.errors.listen(told.append)

    @hub.on("x")
    async def fails(client, data):
        raise exception

    def fails_plainly(client, data):
        raise exception

    if is_plain:
        hub.off("x")
        hub.on("x", fails_plainly)
    async with listening(hub) as url, speaking(url) as wire, speaking(url) as other:
        error = await wire.call("x")
        assert error["code"] == "failed"
        assert error["message"].startswith(message)
        await wire.emit("x")
        packet = await wire.read()
        assert packet["event"] == "error"
        assert packet["data"]["event"] == "x"
        assert packet["data"]["code"] == "failed"
        assert await other.all() == []
        assert await wire.call("fence", 2) == 2
    assert [failure.who for failure in hub.errors] == [wire.id] * 2
    assert "fails" in hub.errors[0].where
    assert "Traceback" in hub.errors[0].traceback
    assert hub.errors_seen == len(told) == 2
    assert hub.complaints["failed"] == 2
    hub.errors.clear()


@aio
async def test_errors_may_be_kept_from_strangers():
    hub = Hub(show_errors=False)

    @hub.on("x")
    async def fails(client, data):
        raise ValueError("secret")

    @hub.on("y")
    async def refuses(client, data):
        raise Refused("for you")

    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("x") == {"code": "failed", "message": "the handler failed"}
        assert await wire.call("y") == {"code": "refused", "message": "for you"}
        await wire.emit("y")
        assert (await wire.read())["data"] == {
            "code": "refused", "message": "for you", "event": "y",
        }  # fmt: skip
    assert [str(failure) for failure in hub.errors] == [
        f"ValueError: secret (in {fails.__qualname__}, for {wire.id})"
    ]


@aio
async def test_errors_are_bounded():
    hub = Hub()

    @hub.on("x")
    async def fails(client, data):
        raise ValueError(data)

    async with listening(hub) as url, speaking(url) as wire:
        for nth in range(60):
            await wire.emit("x", nth)
        assert len(await wire.all()) == 60
    assert len(hub.errors) == 50
    assert hub.errors_seen == 60


@aio
async def test_a_failing_disconnect_handler_is_recorded():
    hub = Hub()

    @hub.on("disconnect")
    async def disconnect(client, reason):
        raise ValueError(reason)

    async with listening(hub) as url:
        async with speaking(url):
            pass
        await until(lambda: hub.errors)
        assert hub.errors[0].message == "closed by the client with 1000"


@aio
async def test_one_client_in_order_and_different_ones_at_the_same_time():
    hub = Hub()
    gates = {}
    log = []

    @hub.on("x")
    async def x(client, data):
        gates[client.id] = asyncio.Event()
        log.append((client.id, "in", data))
        await gates[client.id].wait()
        log.append((client.id, "out", data))

    async with listening(hub) as url, speaking(url) as alice, speaking(url) as bob:
        for nth in range(3):
            await alice.emit("x", nth)
        await bob.emit("x", "b")
        await until(lambda: len(gates) == 2)
        for nth in range(3):
            await until(lambda nth=nth: (alice.id, "in", nth) in log)
            assert len([entry for entry in log if entry[0] == alice.id]) == 2 * nth + 1
            gates[alice.id].set()
        gates[bob.id].set()
        await until(lambda: len(log) == 8)
    assert [entry[1:] for entry in log if entry[0] == alice.id] == [
        (way, nth) for nth in range(3) for way in ("in", "out")
    ]


@aio
async def test_handlers_at_once_are_bounded_and_every_turn_comes():
    hub = Hub(limits=Limits(handlers=2))
    at_once, most, done = 0, 0, 0

    @hub.on("x")
    async def x(client, data):
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        done += 1
        if data == 1:
            raise ValueError

    async with listening(hub) as url:
        async with asyncio.TaskGroup() as group:

            async def talk(leaves):
                async with speaking(url) as wire:
                    for nth in range(5):
                        await wire.emit("x", nth)
                    await (wire.abort() if leaves else wire.all())

            for nth in range(10):
                group.create_task(talk(nth % 3 == 0))
        await until(lambda: inside(hub).admission.alive == 0)
        assert most == 2
        assert done >= 30
        assert inside(hub).handlers.running == 0
        assert not inside(hub).handlers.waiting


@aio
async def test_a_waiting_turn_that_is_cancelled_is_passed_on():
    hub = Hub(limits=Limits(handlers=1))
    gate = asyncio.Event()
    ran = []

    @hub.on("x")
    async def x(client, data):
        ran.append(data)
        await gate.wait()

    handlers = inside(hub).handlers
    tasks = [
        asyncio.create_task(handlers.run(handlers.by_event["x"], None, nth)) for nth in range(4)
    ]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    gate.set()
    await tasks[0]
    tasks[2].cancel()  # its turn has come in this moment
    await asyncio.wait(tasks)
    assert ran in ([0, 3], [0, 2, 3])
    assert inside(hub).handlers.running == 0


# Emitting.


@aio
async def test_emit_to_whom():
    hub = Hub()
    async with (
        listening(hub) as url,
        speaking(url) as a,
        speaking(url) as b,
        speaking(url) as c,
    ):
        alice, bob, carol = (hub.clients[wire.id] for wire in (a, b, c))
        alice.join("red")
        bob.join("red")
        bob.join("blue")
        got = {}

        async def emitted(**how):
            delivery = await hub.emit("e", 1, **how)
            got[wire_names(how)] = delivery
            found = ""
            for name, wire in (("a", a), ("b", b), ("c", c)):
                packets = await wire.all()
                assert packets in ([], [{"event": "e", "data": 1}])
                found += name * len(packets)
            assert delivery.sent == len(found)
            return found, delivery

        def wire_names(how):
            return str(how)

        assert (await emitted())[0] == "abc"
        assert (await emitted(skip=bob))[0] == "ac"
        found, delivery = await emitted(skip=[bob, alice])
        assert found == "c"
        assert (delivery.skipped, delivery.reached) == (2, 1)
        assert (await emitted(to="red"))[0] == "ab"
        assert (await emitted(to="red", skip={alice}))[0] == "b"
        assert (await emitted(to=["red", "blue", bob, alice, "red"]))[0] == "ab"
        assert (await emitted(to=(each for each in ["blue", carol])))[0] == "bc"
        assert (await emitted(to=hub.rooms["red"]))[0] == "ab"
        assert (await emitted(to=hub.clients.values()))[0] == "abc"
        assert (await emitted(to=carol))[0] == "c"
        assert (await emitted(to="nobody"))[0] == ""
        assert (await emitted(to=[]))[0] == ""
        assert (await emitted(to=["red"], skip=(each for each in hub.rooms["red"])))[0] == ""
        delivery = alice.emit("e", 1)
        assert (delivery.event, delivery.to, delivery.sender) == ("e", (alice.id,), None)
        assert await a.all() == [{"event": "e", "data": 1}]
    assert hub.emit("e", to=alice).sent == 0
    assert hub.emit("e").sent == 0


@aio
async def test_misuse_of_to_and_skip_says_what_to_do():
    hub, other = Hub(), Hub("other")
    async with listening(hub) as url, listening(other) as others_url:
        async with speaking(url) as wire, speaking(others_url) as stranger:
            client = one(hub)
            with pytest.raises(ValueError, match=rf"hub.clients\['{wire.id}'\]"):
                hub.emit("e", to=wire.id)
            with pytest.raises(ValueError, match="pass the client itself"):
                hub.emit("e", to=[wire.id])
            with pytest.raises(ValueError, match="pass the client itself"):
                hub.emit("e", to=hub.clients)
            for wrong in (5, b"room", [None], [5], [["room"]], object()):
                with pytest.raises(TypeError, match="expected a room's name"):
                    hub.emit("e", to=wrong)
            with pytest.raises(ValueError, match="got an empty one"):
                hub.emit("e", to="")
            for wrong in ("room", wire.id, 5, [wire.id], ["room"]):
                with pytest.raises(TypeError, match="expected skip="):
                    hub.emit("e", skip=wrong)
            with pytest.raises(ValueError, match="another hub"):
                hub.emit("e", to=one(other))
            with pytest.raises(ValueError, match="another hub"):
                hub.broadcast("e", to=[one(other)])
            for name in ("welcome", "error", "dropped", "connect", "disconnect", "message"):
                with pytest.raises(ValueError, match="an event of your own"):
                    hub.emit(name)
            with pytest.raises(TypeError, match="an event's name"):
                hub.emit(5)
            with pytest.raises(TypeError, match="expected data that JSON can hold"):
                hub.emit("e", {1, 2})
            with pytest.raises(ValueError, match="expected data that JSON can hold, got nan"):
                hub.emit("e", float("nan"))
            with pytest.raises(TypeError, match="str .a text frame"):
                hub.broadcast({"a": 1})
            with pytest.raises(ValueError, match="expected text that UTF-8 can hold"):
                hub.broadcast("half \ud83d")
            for wrong in (5, None, ["x"]):
                with pytest.raises(TypeError, match="a room's name"):
                    client.join(wrong)
            assert await wire.all() == []
            assert await stranger.all() == []
            assert hub.emitted == 0


@aio
async def test_a_failed_emit_leaves_no_trace_in_the_history():
    hub = Hub(history=5)
    hub.emit("e", 1)
    for wrong in ("", 5):
        with pytest.raises((TypeError, ValueError)):
            hub.emit("e", 2, to=[wrong])
    with pytest.raises(TypeError):
        hub.emit("e", 2, skip="x")
    assert hub.emit("e", 3).offset == 2
    assert [past.data for past in hub.history()] == [1, 3]


@aio
async def test_broadcast_sends_as_it_is():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        delivery = await hub.broadcast("hello")
        assert (delivery.event, delivery.to, delivery.sent) == (None, (), 1)
        for raw in (b"\0\xff", "", b"", bytearray(b"x"), memoryview(b"y"), "é"):
            hub.broadcast(raw)
        assert await wire.all() == ["hello", b"\0\xff", "", b"", b"x", b"y", "é"]


@aio
async def test_binary_payloads_both_ways():
    hub = Hub()
    seen = []

    @hub.on("file")
    async def file(client, data):
        seen.append(data)
        return {"back": [data["parts"][1], data["parts"][0]], "n": 2}

    async with listening(hub) as url, speaking(url) as wire, speaking(url) as other:
        hub.emit("blob", {"a": b"\0\1", "b": [memoryview(b"\2")]})
        text = await wire.websocket.recv()
        assert text == (
            '{"event":"blob","data":{"a":{"$binary":0},"b":[{"$binary":1}]},"binary":2}'
        )
        assert [await wire.read(), await wire.read()] == [b"\0\1", b"\2"]
        assert await other.all() == [json.loads(text), b"\0\1", b"\2"]
        packet = {"event": "file", "id": 1, "binary": 2}
        packet["data"] = {"parts": [{"$binary": 1}, {"$binary": 0}, {"$binary": 1}]}
        await wire.send(packet, b"zero", b"")
        assert seen == [] or await wire.read()
        answer = await wire.read()
        assert answer == {
            "answer": 1,
            "data": {"back": [{"$binary": 0}, {"$binary": 1}], "n": 2},
            "binary": 2,
        }
        assert [await wire.read(), await wire.read()] == [b"zero", b""]
        assert seen == [{"parts": [b"", b"zero", b""]}]


@aio
async def test_emit_awaits_nothing():
    hub = Hub()
    async with listening(hub) as url, speaking(url):
        turns = 0

        async def other():
            nonlocal turns
            turns += 1

        task = asyncio.create_task(other())
        delivery = await hub.emit("e")
        assert turns == 0
        assert await delivery is delivery
        await task


@aio
async def test_trace():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as a, speaking(url):
        assert hub.emit("e").outcomes is None
        hub.trace = Trace(limit=2)
        deliveries = [hub.emit("e", nth, skip=hub.clients[a.id]) for nth in range(3)]
        assert list(hub.trace.deliveries) == deliveries[1:]
        assert hub.trace.seen == 3
        assert set(deliveries[0].outcomes.values()) == {"skipped", "sent"}
        assert deliveries[0].outcomes[a.id] == "skipped"
        assert deliveries[0].preview == "0"
    hub.trace = None


# Other threads.


def _threaded(function):
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as exc:
            result.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


@aio
async def test_emit_from_many_threads_arrives_everywhere_in_one_order():
    hub = Hub(history=1000)
    async with listening(hub) as url, speaking(url) as a, speaking(url) as b:
        client = hub.clients[a.id]

        def talk(nth):
            for count in range(25):
                delivery = hub.emit("e", [nth, count])
                assert delivery.sent == 2
                client.join(f"room {nth} {count}")
                hub.broadcast("raw", to=client)
                assert client.leave(f"room {nth} {count}")
            return "done"

        threads = [_threaded(functools.partial(talk, nth)) for nth in range(4)]
        await until(lambda: all(result for _, result in threads))
        assert [result for _, result in threads] == [["done"]] * 4
        ours = [packet for packet in await a.all() if packet != "raw"]
        assert ours == await b.all()
        assert [packet["offset"] for packet in ours] == list(range(1, 101))
        for nth in range(4):
            counts = [packet["data"][1] for packet in ours if packet["data"][0] == nth]
            assert counts == list(range(25))
        for thread, _ in threads:
            thread.join()


@aio
async def test_a_thread_gets_the_exception_and_a_held_loop_is_told(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.hub_loop.OFF_LOOP_TIMEOUT_S", 0.05)
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        thread, result = _threaded(lambda: hub.emit("e", to=""))
        await until(lambda: result)
        assert isinstance(result[0], ValueError)
        thread.join()
        thread, result = _threaded(lambda: hub.emit("late"))
        thread.join(DEADLINE_S)  # which holds the loop
        assert isinstance(result[0], LoopBlocked)
        assert await wire.all() == []  # it was taken back


def test_without_a_loop_any_thread_may_emit():
    hub = Hub(history=10)
    thread, result = _threaded(lambda: hub.emit("e", 1).offset)
    thread.join()
    assert result == [1]
    assert hub.emit("e", 2).offset == 2
    assert [past.data for past in hub.history()] == [1, 2]


def test_a_hub_may_be_served_on_one_loop_after_another():
    hub = Hub(history=5)

    async def once(nth):
        async with listening(hub) as url, speaking(url) as wire:
            hub.emit("e", nth)
            assert (await wire.read())["data"] == nth
            return url

    for nth in range(3):
        asyncio.run(once(nth))
    hub.emit("e", 3)
    assert [past.data for past in hub.history()] == [0, 1, 2, 3]


@aio
async def test_two_loops_at_once_are_refused():
    hub = Hub()
    async with listening(hub) as url, speaking(url):

        async def other():
            with pytest.raises(RuntimeError, match="a Hub of its own"):
                await hub(FakeSocket())

        thread, result = _threaded(lambda: asyncio.run(other()))
        await until(lambda: result)
        assert result == [None]
        thread.join()


# What comes in and cannot be read.


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("hello", "bad-packet"),
        (b"bytes", "bad-packet"),
        ("", "bad-packet"),
        ("{", "bad-packet"),
        ("{}", "bad-packet"),
        ("[1]", "bad-packet"),
        ('{"event":"fence"', "bad-packet"),
        ('{"event":5}', "bad-packet"),
        ('{"event":""}', "bad-packet"),
        ('{"event":"x","data":NaN}', "bad-packet"),
        ('{"event":"x","id":-1}', "bad-packet"),
        ('{"event":"x","id":true}', "bad-packet"),
        ('{"event":"x","id":1.5}', "bad-packet"),
        ('{"event":"x","binary":65}', "bad-packet"),
        ('{"event":"x","id":' + "9" * 5000 + "}", "bad-packet"),
        ('{"answer":1,"error":5}', "bad-packet"),
        ('{"answer":[1]}', "bad-packet"),
        ('{"event":"\\ud800"}', "unknown-event"),
        ('{"event":"nope"}', "unknown-event"),
        ('{"event":"connect"}', "unknown-event"),
        ('{"event":"disconnect"}', "unknown-event"),
        ('{"event":"message"}', "unknown-event"),
        ('{"event":"welcome"}', "unknown-event"),
        ('{"x":"\\ud800"}', "bad-packet"),
        ('{"\\ud800":1}', "bad-packet"),
        ('{"event":"x","data":"' + "a" * 300_000 + '"}', "too-large"),
        ('{"event":"x","data":"' + "\u20ac" * 100_000 + '"}', "too-large"),
        ("\u20ac" * 100_000, "too-large"),
        (b"a" * 300_000, "too-large"),
        ('{"event":"x","data":' + "[" * 100_000 + "]" * 100_000 + "}", "bad-packet"),
    ],
)
@aio
async def test_what_cannot_be_taken_is_told_and_nothing_breaks(message, code):
    hub = Hub()
    hub.on("connect", lambda client: None)
    hub.on("disconnect", lambda client, reason: None)
    async with listening(hub) as url, speaking(url) as wire:
        await wire.websocket.send(message)
        packet = await wire.read()
        assert packet["event"] == "error"
        assert packet["data"]["code"] == code
        assert packet["data"]["message"]
        assert await wire.call("fence", 1) == 1
    assert not hub.errors
    assert hub.complaints == {code: 1}


@aio
async def test_raw_messages_go_to_their_handler():
    hub = Hub()
    seen = []

    @hub.on("message")
    async def message(client, raw):
        seen.append(raw)
        if raw == "no":
            raise Refused("not that")
        client.websocket.protocol  # noqa: B018
        hub.broadcast(raw)

    async with listening(hub) as url, speaking(url) as wire:
        for raw in ("hello", b"\0", "{", '{"x":1}', "no", '{"event":5}'):
            await wire.websocket.send(raw)
        assert await wire.all() == [
            "hello",
            b"\0",
            "{",
            {"x": 1},
            {"event": "error", "data": {"code": "refused", "message": "not that"}},
            {
                "event": "error",
                "data": {
                    "code": "bad-packet",
                    "message": 'expected "event" to be a name of 1 to 128 characters, got 5',
                },
            },
        ]
        assert seen == ["hello", b"\0", "{", '{"x":1}', "no"]
        big = "a" * 300_000
        await wire.websocket.send(big)
        assert (await wire.read())["data"]["code"] == "too-large"


@aio
async def test_binary_frames_that_do_not_come():
    hub = Hub()
    hub.on("x", lambda client, data: data)
    async with listening(hub) as url, speaking(url) as wire:
        await wire.send({"event": "x", "binary": 2, "id": 1}, b"one", {"event": "fence", "id": 2})
        error = await wire.read()
        assert error["answer"] == 1
        assert error["error"]["code"] == "bad-packet"
        assert (await wire.read())["answer"] == 2
        await wire.send({"event": "x", "data": {"$binary": 7}, "binary": 1, "id": 3}, b"one")
        error = await wire.read()
        assert (error["answer"], error["error"]["code"]) == (3, "bad-packet")


@aio
async def test_too_large_counts_the_bytes_of_the_whole_event():
    hub = Hub(limits=Limits(max_size=1000))
    hub.on("x", lambda client, data: len(data))
    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("x", "a" * 900) == 900
        await wire.send({"event": "x", "binary": 2, "data": [], "id": 5}, b"a" * 600, b"b" * 600)
        error = await wire.read()
        assert error["answer"] == 5
        assert error["error"]["code"] == "too-large"
        await wire.send({"event": "x", "data": "a" * 1000, "id": 6})
        error = await wire.read()
        assert (error["answer"], error["error"]["code"]) == (6, "too-large")


@aio
async def test_too_fast():
    hub = Hub(rate=5)
    taken = []

    @hub.on("x")
    async def x(client, data):
        taken.append(data)

    async with listening(hub) as url, speaking(url) as wire, speaking(url) as other:
        for nth in range(20):
            await wire.emit("x", nth)
        await wire.emit("x", "asked", id=1)
        told = [await wire.read(), await wire.read()]
        assert told[0]["data"]["code"] == "too-fast"
        assert told[1]["answer"] == 1
        assert told[1]["error"]["code"] == "too-fast"
        assert taken[:5] == [0, 1, 2, 3, 4]
        assert len(taken) < 20
        assert await other.call("fence", 1) == 1  # a limit for each
        hub.limits = Limits()
        assert await wire.call("fence", 2, id=2) == 2
        assert hub.complaints["too-fast"] >= 2


# Nothing is left.


@aio
async def test_a_client_that_has_gone_is_freed():
    import weakref

    hub = Hub()
    hub.on("x", lambda client, data: client.join("room"))
    async with listening(hub) as url:
        async with speaking(url) as wire:
            await wire.call("x")
            gone = weakref.ref(one(hub))
        await until(lambda: inside(hub).admission.alive == 0)
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None


@aio
async def test_repr_tells():
    hub = Hub("demo")
    hub.on("chat", lambda client, data: None)
    assert repr(hub) == "<Hub 'demo': 0 clients, 0 rooms; handles chat>"
    async with listening(hub) as url, speaking(url) as wire:
        client = one(hub)
        client.join("lobby")
        client.name = "alice"
        assert repr(client) == f"<HubClient {wire.id} 'alice', in lobby>"
        assert str(client) == "alice"
        assert repr(hub.clients) == "<1 clients: alice>"
        assert repr(hub.rooms) == "<1 rooms: lobby (1)>"
        assert isinstance(wire, Wire)
        assert TOKEN not in client.path


# Data that JSON cannot hold by itself.


def _own(**options):
    def default(value):
        if isinstance(value, datetime.date):
            return {"$date": value.isoformat()}
        raise TypeError(f"no {type(value).__name__} here")

    def hook(found):
        return datetime.date.fromisoformat(found["$date"]) if "$date" in found else found

    dumps = functools.partial(json.dumps, default=default)
    loads = functools.partial(json.loads, object_hook=hook)
    return Hub(dumps=dumps, loads=loads, **options)


DAY = datetime.date(2026, 11, 29)


@aio
async def test_dates_go_both_ways():
    hub = _own(history=10)
    came = []

    @hub.on("when")
    async def when(client, data):
        came.append(data)
        return data

    @hub.on("ask")
    async def ask(client, data):
        came.append(await client.call("pick", [DAY, b"x"]))

    async with listening(hub) as url, speaking(url) as wire:
        day = {"$date": "2026-11-29"}
        assert await wire.call("when", [day, "x"]) == [day, "x"]
        await wire.send(
            {"event": "when", "data": [day, {"$binary": 0}], "binary": 1, "id": 2}, b"f"
        )
        assert await wire.read() == {
            "answer": 2, "data": [day, {"$binary": 0}], "binary": 1,
        }  # fmt: skip
        assert await wire.read() == b"f"
        hub.emit("today", {"day": DAY})
        assert (await wire.read())["data"] == {"day": day}
        await wire.emit("ask")
        question = await wire.read()
        assert (question["event"], question["data"]) == ("pick", [day, {"$binary": 0}])
        assert await wire.read() == b"x"
        await wire.send({"answer": question["id"], "data": day})
        await until(lambda: len(came) == 3)
        assert came == [[DAY, "x"], [DAY, b"f"], DAY]
        assert [past.data for past in hub.history()] == [{"day": DAY}]
    assert not hub.errors


@pytest.mark.parametrize("show_errors", [True, False])
@aio
async def test_data_that_loads_cannot_read_is_the_senders_to_hear(show_errors):
    hub = _own(show_errors=show_errors)

    @hub.on("x")
    async def x(client, data):
        return data

    @hub.on("ask")
    async def ask(client, data):
        return await client.call("pick")

    async with listening(hub) as url, speaking(url) as wire:
        error = await wire.call("x", {"$date": "no day"})
        assert error["code"] == "bad-packet"
        assert error["message"].startswith("the data could not be read")
        assert ("Invalid isoformat string" in error["message"]) is show_errors
        await wire.emit("ask", id=5)
        question = await wire.read()
        await wire.send({"answer": question["id"], "data": {"$date": "no day"}})
        told = await wire.read()
        assert told["answer"] == 5
        assert told["error"]["code"] == "failed"
        assert await wire.call("x", 1) == 1
    assert [failure.kind for failure in hub.errors] == ["wslab.errors.CallFailed"]


@aio
async def test_what_dumps_raises_is_the_programs_to_hear():
    hub = _own()

    @hub.on("x")
    async def x(client, data):
        return object()

    async with listening(hub) as url, speaking(url) as wire:
        with pytest.raises(TypeError, match="no object here"):
            hub.emit("x", object())
        with pytest.raises(TypeError, match="no object here"):
            await one(hub).call("x", object())
        assert (await wire.call("x"))["message"] == "TypeError: no object here"
        assert not connection_of(one(hub)).reader.questions


@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit, SystemExit, BaseException])
@aio
async def test_odd_exceptions_of_dumps_and_loads(kind):
    def fails(data):
        raise kind("odd")

    hub = Hub(loads=fails)
    hub.on("x", lambda client, data: data)
    async with listening(hub) as url, speaking(url) as wire:
        assert (await wire.call("x", 1))["code"] == "bad-packet"
        assert await wire.call("x") is None
    hub = Hub(dumps=fails)
    hub.on("x", lambda client, data: data)
    async with listening(hub) as url, speaking(url) as wire:
        assert (await wire.call("x", 1))["code"] == "failed"
        assert (await wire.call("x", 1))["code"] == "failed"


def test_dumps_and_loads_are_functions():
    for word in ("dumps", "loads"):
        for wrong in (5, lambda: 1, lambda a, b: 1):
            with pytest.raises(TypeError, match=f"expected {word} as a function such as json"):
                Hub(**{word: wrong})

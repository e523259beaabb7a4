"""Which handlers there are and how they run: in turn, on threads, within their bounds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading

import pytest

from tests.hub.rig import (
    DEADLINE_S,
    aio,
    inside,
    listening,
    one,
    speaking,
    until,
)
from wslab.errors import Refused
from wslab.hub import Args, Hub, Limits
from wslab.hub.protocol.packets import RESERVED
from wslab.hub.protocol.reserved_events import OF_SOCKET_IO
from wslab.hub.server.delivery import Delivery

pytestmark = pytest.mark.usefixtures("memory_network")


@aio
async def test_a_handler_that_asks_for_several_arguments_gets_the_items_of_a_list():
    hub = Hub()
    hub.on("add", lambda client, a, b: a + b)
    hub.on("sum", lambda client, *numbers: repr(numbers))
    hub.on("by", lambda client, a, b=10: a * b)
    hub.on("two", lambda client, data: Args(data, data))
    hub.on("*", lambda client, event, *args: [event, *args])
    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("add", [1, 2]) == 3
        assert await wire.call("sum", [1, 2]) == "([1, 2],)"
        assert await wire.call("by", 2) == 20
        assert await wire.call("two", 1) == [1, 1]
        assert await wire.call("other", 1) == ["other", 1]
        for data, got in ((1, 1), ([1, 2, 3], 3), (None, 1)):
            error = await wire.call("add", data)
            assert error["code"] == "bad-packet"
            assert error["message"] == (
                f"expected 2 arguments for this event, got {got}; a handler (client, *args) takes "
                "any number"
            )
        hub.emit("move", Args("e2", "e4"))
        assert await wire.all() == [{"event": "move", "data": ["e2", "e4"]}]


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

    for wrong in (5, "x", none, yields, lambda client: 1, lambda client, *, data: 1):
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
async def test_what_a_handler_returned_is_handed_on_once_its_turn_is_over():
    hub, seen = Hub(), []
    handlers = inside(hub).handlers

    @hub.on("x")
    async def x(client, data):
        if data is None:
            raise ValueError("none")
        return data

    async def run(data):
        return await handlers.run(handlers.by_event["x"], None, data, then=then)

    def then(result):
        seen.append((result, handlers.running))

    assert await run(1) == 1
    await run(Delivery("said", (), None, sent=2, queued=1))
    with pytest.raises(ValueError, match="none"):
        await run(None)
    assert seen == [(1, 0), (3, 0)]
    assert handlers.running == 0


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


@pytest.mark.parametrize("is_plain", [False, True])
@aio
async def test_a_flood_of_handlers_holds_up_nobody_of_another_address(is_plain):
    limits = Limits(handlers=4, threads=4 if is_plain else 64, proxies=("127.0.0.1",))
    hub = Hub(limits=limits)
    order, may_go, may_go_on = [], threading.Event(), asyncio.Event()

    @hub.on("async")
    async def on_loop(client, data):
        order.append(data)
        await may_go_on.wait()

    @hub.on("plain")
    def on_thread(client, data):
        order.append(data)
        assert may_go.wait(10)

    def from_(address):
        return {"additional_headers": {"X-Forwarded-For": address}}

    event = "plain" if is_plain else "async"
    async with contextlib.AsyncExitStack() as stack, listening(hub) as url:
        wires = [
            await stack.enter_async_context(speaking(url, **from_("6.6.6.6"))) for _ in range(20)
        ]
        alice = await stack.enter_async_context(speaking(url, **from_("1.1.1.1")))
        for wire in wires:
            await wire.emit(event, "flood")
        await until(lambda: inside(hub).handlers.waiting == 16)
        await alice.emit(event, "alice")
        await until(lambda: inside(hub).handlers.waiting == 17)
        may_go.set()
        may_go_on.set()
        await until(lambda: len(order) == 21)
        assert order.index("alice") <= 8  # and not the last

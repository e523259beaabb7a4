"""What is emitted, and what data it can carry."""

from __future__ import annotations

import asyncio
import datetime
import functools
import json

import pytest

from tests.hub.rig import (
    aio,
    listening,
    one,
    speaking,
    until,
)
from wslab.hub import Hub, Trace
from wslab.hub.server.hub_client import connection_of

pytestmark = pytest.mark.usefixtures("memory_network")


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

"""Calls of a client, and what comes in place of an answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import time

import pytest

import wslab
from tests.hub.rig import (
    DEADLINE_S,
    aio,
    listening,
    one,
    speaking,
    until,
)
from wslab.errors import CallFailed, ClientGone, LoopBlocked, WrongThread
from wslab.hub import Hub, Limits
from wslab.hub.server import hub_loop
from wslab.hub.server.hub_client import connection_of

pytestmark = pytest.mark.usefixtures("memory_network")


@aio
async def test_a_handler_asks_its_client_again_and_again():
    hub = Hub()

    @hub.on("sum")
    async def sum_(client, count):
        return [await client.call("part", nth) for nth in range(count)]

    async with listening(hub) as url, speaking(url) as wire:
        began_s = time.monotonic()
        await wire.emit("sum", 5, id=1)
        for nth in range(5):
            asked = await wire.read()
            assert (asked["event"], asked["data"]) == ("part", nth)
            await wire.send({"answer": asked["id"], "data": nth * 10})
        assert await wire.read() == {"answer": 1, "data": [0, 10, 20, 30, 40]}
        assert time.monotonic() - began_s < 4  # none of them ran into its timeout
        assert not connection_of(one(hub)).reader.is_reading_ahead
        assert await wire.call("fence", 1) == 1


@aio
async def test_what_else_comes_meanwhile_waits_in_order():
    hub = Hub()
    heard = []

    @hub.on("ask")
    async def ask(client, data):
        answers = await asyncio.gather(*(client.call("q", nth) for nth in range(3)))
        heard.append(answers)
        return answers

    @hub.on("say")
    async def say(client, data):
        heard.append(data)

    hub.on("message", lambda client, raw: heard.append(raw))
    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("ask", id=1)
        asked = [await wire.read() for _ in range(3)]
        for nth in range(50):
            await wire.emit("say", nth)
        await wire.send("raw", {"event": "say", "data": [{"$binary": 0}], "binary": 1}, b"bytes")
        for question in reversed(asked):
            await wire.send({"answer": question["id"], "data": question["data"]})
        assert await wire.read() == {"answer": 1, "data": [0, 1, 2]}
        await wire.all()
    assert heard == [[0, 1, 2], *range(50), "raw", [b"bytes"]]


@aio
async def test_calls_from_everywhere():
    hub = Hub()
    results = []

    @hub.on("connect")
    async def connect(client):
        client.name = await client.call("name")

    @hub.on("other")
    async def other(client, id):
        return await hub.clients[id].call("who", client.name)

    async with listening(hub) as url, speaking(url) as alice:
        asked = await alice.read()
        assert asked == {"event": "name", "data": None, "id": 1}
        await alice.send({"answer": 1, "data": "alice"})
        await until(lambda: one(hub).name)
        async with speaking(url) as bob:
            asked = await bob.read()
            await bob.send({"answer": asked["id"], "data": "bob"})
            await bob.emit("other", alice.id, id=7)
            assert await alice.read() == {"event": "who", "data": "bob", "id": 3}
            await alice.send({"answer": 3, "data": {"$binary": 0}, "binary": 1}, b"it is me")
            assert await bob.read() == {"answer": 7, "data": {"$binary": 0}, "binary": 1}
            assert await bob.read() == b"it is me"
            task = asyncio.create_task(hub.clients[bob.id].call("x", timeout=DEADLINE_S))
            results.append(await bob.read())
            error = {"code": "busy", "message": "not now"}
            await bob.send({"answer": results[0]["id"], "error": error})
            with pytest.raises(CallFailed, match="not now") as caught:
                await task
            assert caught.value.code == "busy"


@pytest.mark.parametrize(
    ("packets", "message", "code"),
    [
        ([{"error": {}}], "answered with an error", "failed"),
        ([{"error": {"code": 5, "message": [1]}}], r"\[1\]", "5"),
        ([{"data": {"$binary": 3}, "binary": 1}, b""], "one of 1 frames", "bad-packet"),
        ([{"data": "x" * 300_000}], "too large", "too-large"),
    ],
)
@aio
async def test_answers_that_are_errors(packets, message, code):
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        task = asyncio.create_task(one(hub).call("x"))
        number = (await wire.read())["id"]
        await wire.send({"answer": number, **packets[0]}, *packets[1:])
        with pytest.raises(CallFailed, match=message) as caught:
            await task
        assert caught.value.code == code


@aio
async def test_a_call_that_nobody_answers_times_out_and_late_answers_are_ignored():
    hub = Hub()
    hub.on("message", lambda client, raw: pytest.fail("an answer is no message"))
    seen = []

    @hub.on("ask")
    async def ask(client, data):
        with pytest.raises(TimeoutError, match=r"within 0.05 s; 2 other messages") as caught:
            await client.call("q", timeout=0.05)
        seen.append(str(caught.value))

    async with listening(hub) as url, speaking(url) as wire:
        client = one(hub)
        await wire.emit("ask")
        await wire.send("{", {"event": "fence"})
        hub.off("message")
        asked = await wire.read()
        await until(lambda: seen)
        await wire.send({"answer": asked["id"], "data": 1}, {"answer": 99, "data": 1})
        assert [packet["data"]["code"] for packet in await wire.all()] == ["bad-packet"]
        assert not connection_of(client).reader.questions


@aio
async def test_calls_end_with_the_connection():
    hub = Hub()
    ends = []

    @hub.on("ask")
    async def ask(client, data):
        try:
            await client.call("q", timeout=DEADLINE_S)
        except ClientGone as exc:
            ends.append(str(exc))

    async with listening(hub) as url:
        async with speaking(url) as wire, speaking(url) as kicked:
            client = hub.clients[wire.id]
            task = asyncio.create_task(client.call("q", timeout=DEADLINE_S))
            await wire.emit("ask")
            await kicked.emit("ask")
            for _ in range(2):
                assert (await wire.read())["event"] == "q"
            await kicked.read()
            hub.clients[kicked.id].disconnect(4000, "go")
            await wire.abort()
            with pytest.raises(ClientGone, match="broke off"):
                await task
            with pytest.raises(ClientGone, match="cannot be asked"):
                await client.call("q")
            await until(lambda: len(ends) == 2)
            assert any("sent away with 4000" in end for end in ends)


@aio
async def test_a_call_says_what_is_wrong_with_it():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        client = one(hub)
        with pytest.raises(TypeError):
            await client.call("x", {1})
        with pytest.raises(ValueError, match="of your own"):
            await client.call("welcome")
        with pytest.raises(ValueError, match="1 to 128"):
            await client.call("")
        assert await wire.all() == []
        assert not connection_of(client).reader.questions


@aio
@pytest.mark.parametrize("how", ["a thread", "the lab's loop", "another loop"])
async def test_a_plain_handler_asks_its_client(how):
    hub = Hub()

    @hub.on("ask")
    def ask(client, data):
        if how == "a thread":
            return client.call("pick", [1, b"2"])
        if how == "the lab's loop":
            return wslab.run(client.call, "pick", [1, b"2"])
        return asyncio.run(awaits(client))

    async def awaits(client):
        return await client.call("pick", [1, b"2"])

    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("ask", id=1)
        assert await wire.read() == {
            "event": "pick", "data": [1, {"$binary": 0}], "id": 1, "binary": 1,
        }  # fmt: skip
        assert await wire.read() == b"2"
        await wire.send({"answer": 1, "data": "that one"})
        assert await wire.read() == {"answer": 1, "data": "that one"}
        assert not connection_of(one(hub)).reader.questions
    assert not hub.errors


@aio
async def test_a_call_from_a_thread_ends_in_every_way():
    hub = Hub()
    told = []

    def told_by(*args, **kwargs):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            one_client.call(*args, **kwargs)
        told.append(caught.value)

    async with listening(hub) as url, speaking(url) as wire:
        one_client = one(hub)
        await asyncio.to_thread(told_by, "x", timeout=0.05)
        assert type(told[-1]) is TimeoutError
        assert "did not answer 'x' within 0.05 s" in str(told[-1])
        await asyncio.to_thread(told_by, "welcome")
        assert type(told[-1]) is ValueError
        assert (await wire.read())["event"] == "x"
        thread = asyncio.create_task(asyncio.to_thread(told_by, "y", timeout=math.inf))
        assert (await wire.read())["event"] == "y"
        assert not thread.done()
        await wire.send({"answer": 2, "error": {"code": "no", "message": "not today"}})
        await thread
        assert (type(told[-1]), told[-1].code, str(told[-1])) == (CallFailed, "no", "not today")
        thread = asyncio.create_task(asyncio.to_thread(told_by, "z", timeout=None))
        assert (await wire.read())["event"] == "z"
    await thread
    assert type(told[-1]) is ClientGone
    await asyncio.to_thread(told_by, "z")
    assert "has left" in str(told[-1])
    assert not connection_of(one_client).reader.questions


def in_thread(function):
    """Call it on a thread of its own, and return or raise what comes of it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(DEADLINE_S)


def test_a_call_when_its_loop_has_ended_is_told_so(monkeypatch):
    hub = Hub()
    found = []

    async def main():
        async with listening(hub) as url, speaking(url):
            found.append(one(hub))

    with asyncio.Runner() as runner:
        runner.run(main())
        with pytest.raises(WrongThread, match="does not run now"):
            found[0].call("x")
        monkeypatch.setattr(hub_loop, "OFF_LOOP_TIMEOUT_S", 0.1)
        with pytest.raises(LoopBlocked, match="could not ask within 0.01 s"):
            in_thread(lambda: found[0].call("x", timeout=0.01))
    with pytest.raises(ClientGone, match="event loop was closed"):
        in_thread(lambda: found[0].call("x"))


@aio
async def test_a_client_that_waits_for_the_hub_inside_an_answer_is_told_why():
    # A hub handles one message of a client after the other: this nesting cannot work.
    hub = Hub()
    told = []

    @hub.on("outer")
    async def outer(client, data):
        try:
            return await client.call("inner", timeout=0.1)
        except TimeoutError as exc:
            told.append(str(exc))
            raise

    hub.on("innermost", lambda client, data: "deep")
    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("outer", id=1)
        assert (await wire.read())["event"] == "inner"
        await wire.emit("innermost", id=2)
        first, second = await wire.read(), await wire.read()
        assert first["error"]["code"] == "failed"
        assert second == {"answer": 2, "data": "deep"}
        assert "1 other messages of it came before" in told[0]


@aio
async def test_a_question_that_is_taken_back_in_the_same_step_leaves_a_client_that_can_speak():
    hub = Hub()

    @hub.on("ask")
    async def ask(client, data):
        number, _ = connection_of(client).reader.questions.ask()
        connection_of(client).reader.read_ahead()
        # The task that would have read never had its first step.
        connection_of(client).reader.forget(number)
        return "taken back"

    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.call("ask", id=1) == "taken back"
        assert await wire.call("ask", id=2) == "taken back"


@aio
async def test_reading_ahead_is_bounded():
    hub = Hub(limits=Limits(ahead_bytes_per_client=50_000))
    heard = []
    most = 0

    @hub.on("ask")
    async def ask(client, data):
        with pytest.raises(TimeoutError):
            await client.call("q", timeout=0.1)

    @hub.on("say")
    async def say(client, data):
        nonlocal most
        most = max(most, connection_of(client).reader.ahead)
        heard.append(len(data))

    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("ask")
        for _ in range(40):
            await wire.emit("say", "x" * 10_000)
        await wire.all()
    assert heard == [10_000] * 40
    assert 0 < most <= 5


@pytest.mark.parametrize("is_binary", [False, True])
@aio
async def test_what_was_taken_up_no_longer_counts_as_read_ahead(is_binary):
    # A client that always keeps some messages waiting was asked in vain once 8 MiB had gone by.
    hub = Hub(limits=Limits(ahead_bytes_per_client=50_000))
    answers = []

    @hub.on("work")
    async def work(client, data):
        answers.append(await client.call("ask", timeout=5.0))

    async def say():
        if is_binary:
            await wire.emit("work", {"$binary": 0}, binary=1)
            await wire.websocket.send(b"x" * 10_000)
        else:
            await wire.emit("work", "x" * 10_000)

    async with listening(hub) as url, speaking(url) as wire:
        for _ in range(3):  # two wait while one is at work
            await say()
        for nth in range(40):
            packet = await wire.read()
            if nth < 37:
                await say()
            await wire.send({"answer": packet["id"], "data": nth})
        assert await wire.all() == []
        assert connection_of(one(hub)).reader.ahead_bytes == 0
    assert answers == list(range(40))


@aio
async def test_an_answer_over_the_next_connection_answers_no_other_question():
    # A stock client, and ours, sends what its handler returns on the connection that it has then.
    hub, token = Hub(history=10), "0123456789abcdef"
    answers: list[object] = []

    @hub.on("ask me")
    async def ask_me(client, question):
        with contextlib.suppress(ClientGone):
            answers.append(await client.call(question, timeout=DEADLINE_S))

    async with listening(hub) as url:
        async with speaking(f"{url}?session={token}") as wire:
            await wire.emit("ask me", "your name?")
            old = await wire.read()
            wire.websocket.transport.abort()
            await wire.websocket.wait_closed()
        async with speaking(f"{url}?session={token}&offset=0") as wire:
            await wire.emit("ask me", "your age?")
            new = await wire.read()
            assert (old["event"], new["event"]) == ("your name?", "your age?")
            await wire.send(
                {"answer": old["id"], "data": "alice"}, {"answer": new["id"], "data": 7}
            )
            await until(lambda: answers)
    assert answers == [7]

"""One client of a hub: calls both ways, and sessions that outlive a connection, by the bytes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import math
import time

import pytest

import wslab
from tests.hub.rig import (
    DEADLINE_S,
    TOKEN,
    FakeSocket,
    aio,
    listening,
    one,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import CallFailed, ClientGone, LoopBlocked, Refused, WrongThread
from wslab.hub import Hub, Limits
from wslab.hub.server import hub_loop
from wslab.hub.server.hub_client import connection_of

# Calls.


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
            await bob.read()
            await bob.send({"answer": 1, "data": "bob"})
            await bob.emit("other", alice.id, id=7)
            assert await alice.read() == {"event": "who", "data": "bob", "id": 2}
            await alice.send({"answer": 2, "data": {"$binary": 0}, "binary": 1}, b"it is me")
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


def in_thread(function):
    """Call it on a thread of its own, and return or raise what comes of it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(DEADLINE_S)


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


# Sessions.


def _url(url, token=TOKEN, offset=None):
    return f"{url}?session={token}" + ("" if offset is None else f"&offset={offset}")


@aio
async def test_a_first_connection_begins_a_session():
    hub = Hub(history=10)
    hub.emit("before", 1)
    async with listening(hub) as url:
        async with speaking(_url(url), welcomed=False) as wire:
            assert await wire.websocket.recv() == (
                f'{{"event":"welcome","data":{{"id":"{one(hub).id}","session":true,'
                '"offset":1,"received":0,"resumed":false,"gap":null,'
                f'"user":"{one(hub).user_id}"}}}}'
            )
            assert one(hub).session == TOKEN
            assert one(hub).path == "/"
        async with speaking(url) as wire:
            token = wire.welcome["session"]
            assert len(token) == 32
            assert token != TOKEN
        for odd in ("short", "x" * 65, "with%20space______", ""):
            async with speaking(_url(url, odd)) as wire:
                assert len(wire.welcome["session"]) == 32
                assert wire.welcome["gap"] is None
        async with speaking(url + "chat?a=1&session=" + TOKEN[::-1] + "&b=2") as wire:
            assert wire.welcome["session"] is True
            assert one(hub).session == TOKEN[::-1]
            assert one(hub).path == "/chat?a=1&b=2"


@aio
async def test_coming_back_restores_and_brings_exactly_what_was_missed():
    hub = Hub(history=10)
    hub.on("disconnect", lambda client, reason: None)
    async with listening(hub) as url, speaking(url) as other:
        async with speaking(_url(url)) as wire:
            client = hub.clients[wire.id]
            client.name = "alice"
            client.data["x"] = 1
            client.join("red")
            hub.emit("e", "seen", to="red")
            assert (await wire.read())["offset"] == 1
            await wire.abort()
        await until(lambda: len(hub.clients) == 1)
        assert not hub.rooms
        assert client.rooms == {"red"}
        hub.emit("e", "room", to="red")
        hub.emit("e", "not for her", to="blue")
        hub.emit("e", "all", skip=hub.clients[other.id])
        hub.emit("e", "skipped", skip=client)
        client.emit("e", {"bytes": b"private"})
        hub.emit("e", "both, once", to=["red", client, "blue"])
        hub.emit("e", "not to skip", to=[client, "red"], skip=client)
        hub.broadcast("raw is not kept")
        async with speaking(_url(url, offset=1)) as wire:
            welcome = wire.welcome
            assert (welcome["resumed"], welcome["gap"], welcome["offset"]) == (True, None, 1)
            client = hub.clients[wire.id]
            assert (client.name, client.data, client.rooms) == ("alice", {"x": 1}, {"red"})
            assert client.is_resumed
            hub.emit("e", "new", to="red")
            packets = await wire.all()
            assert packets == [
                {"event": "e", "data": "room", "offset": 2},
                {"event": "e", "data": "all", "offset": 4},
                {"event": "e", "data": {"bytes": {"$binary": 0}}, "offset": 6, "binary": 1},
                b"private",
                {"event": "e", "data": "both, once", "offset": 7},
                {"event": "e", "data": "new", "offset": 9},
            ]
            assert client.dropped == 0
    assert [past.offset for past in hub.history("red")] == [1, 2, 7, 8, 9]


@aio
async def test_who_has_received_nothing_yet_gets_everything():
    hub = Hub(history=10)

    @hub.on("connect")
    async def connect(client):
        client.join("lobby")

    async with listening(hub) as url:
        async with speaking(_url(url), welcomed=False) as wire:
            await until(lambda: hub.rooms)
            hub.emit("e", 1, to="lobby")
            hub.emit("e", 2)
            await wire.abort()
        await until(lambda: not hub.clients)
        hub.emit("e", 3, to="lobby")
        async with speaking(_url(url)) as wire:
            assert (wire.welcome["resumed"], wire.welcome["offset"]) == (True, 0)
            assert [packet["data"] for packet in await wire.all()] == [1, 2, 3]


@aio
async def test_a_gap_that_is_too_old():
    hub = Hub(history=3)
    async with listening(hub) as url:
        async with speaking(_url(url)) as wire:
            one(hub).join("red")
            one(hub).name = "alice"
            await wire.abort()
        await until(lambda: not hub.clients)
        for nth in range(4):
            hub.emit("e", nth, to="red")
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["gap"] == "too old"
            assert (wire.welcome["resumed"], wire.welcome["offset"]) == (True, 4)
            assert (one(hub).rooms, one(hub).name) == ({"red"}, "alice")
            hub.emit("e", "new", to="red")
            assert await wire.all() == [{"event": "e", "data": "new", "offset": 5}]
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=99)) as wire:  # of another life of this hub
            assert wire.welcome["gap"] == "too old"
            assert await wire.all() == []
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=2)) as wire:
            assert wire.welcome["gap"] is None
            assert [packet["offset"] for packet in await wire.all()] == [3, 4, 5]


@pytest.mark.parametrize("handler", [False, True])
@pytest.mark.parametrize("why", ["restarted", "expired", "goodbye", "kicked"])
@aio
async def test_a_session_that_is_unknown(why, handler):
    hub = Hub(history=3, session_s=60)
    resumed = []
    if handler:
        hub.on("connect", lambda client: resumed.append((client.is_resumed, client.name)))
    async with listening(hub) as url:
        if why != "restarted":
            async with speaking(_url(url)) as wire:
                one(hub).join("red")
                one(hub).name = "alice"
                one(hub).data["x"] = 1
                if why == "kicked":
                    one(hub).disconnect(4000)
                    await wire.closed()
                elif why == "expired":
                    await wire.abort()
            await until(lambda: not hub.clients)
        sessions_of(hub).session_s = -1.0  # whoever is away is forgotten
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["gap"] == "session unknown"
            assert wire.welcome["resumed"] is False
            assert wire.welcome["received"] == 0
            client = one(hub)
            assert (client.rooms, client.name, client.data) == (set(), None, {})
            assert not client.is_resumed
            assert client.session == TOKEN
    assert resumed == [(False, None)] * (0 if not handler else 1 if why == "restarted" else 2)
    assert len(sessions_of(hub)) <= 1


@aio
async def test_the_connect_handler_sees_whom_it_has_before_it():
    hub = Hub(history=10)
    seen = []

    @hub.on("connect")
    async def connect(client):
        seen.append((client.is_resumed, client.name, dict(client.data)))
        client.data["visits"] = client.data.get("visits", 0) + 1
        client.name = f"alice {client.data['visits']}"
        client.join("lobby")

    async with listening(hub) as url:
        for nth in range(3):
            async with speaking(_url(url)) as wire:
                assert wire.welcome["resumed"] is (nth > 0)
                await wire.abort()
            await until(lambda: not hub.clients)
    assert seen == [
        (False, None, {}),
        (True, "alice 1", {"visits": 1}),
        (True, "alice 2", {"visits": 2}),
    ]


@aio
async def test_a_refused_return_ends_the_connection_but_not_the_session():
    hub = Hub(history=10)
    refuses = False
    told = []
    hub.on("disconnect", lambda client, reason: told.append(reason))

    @hub.on("connect")
    async def connect(client):
        if refuses:
            raise Refused("not now")

    async with listening(hub) as url, speaking(_url(url)) as wire:
        one(hub).join("red")
        refuses = True
        async with speaking(_url(url), welcomed=False) as second:
            assert await second.closed() == (1008, "not now")
        assert await wire.closed() == (4409, "session continued elsewhere")
        assert told == ["sent away with 4409 (session continued elsewhere)"]
        assert not hub.clients
        refuses = False
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["resumed"]
            assert one(hub).rooms == {"red"}


@aio
async def test_taking_over():
    hub = Hub(history=10, session_s=60)
    ends = []
    hub.on("disconnect", lambda client, reason: ends.append((client.id, reason)))
    async with listening(hub) as url, speaking(_url(url)) as old:
        first = one(hub)
        first.join("red")
        hub.emit("e", 1, to="red")
        async with speaking(_url(url, offset=0)) as new:
            assert new.welcome["resumed"]
            assert [packet["data"] for packet in await new.all()] == [1]
            assert await old.closed() == (4409, "session continued elsewhere")
            await until(lambda: ends)
            assert ends == [(old.id, "sent away with 4409 (session continued elsewhere)")]
            second = one(hub)
            assert second.id == new.id
            assert hub.rooms["red"] == (second,)
            # The old handle is the session's still.
            first.emit("e", 2)
            assert first.join("blue")
            assert second.rooms == {"red", "blue"}
            assert first.leave("blue")
            hub.emit("e", 3, to="red", skip=first)
            assert [packet["data"] for packet in await new.all()] == [2]
            # The session is not away, and does not expire.
            sessions_of(hub).session_s = -1.0  # whoever is away is forgotten
            async with speaking(url):
                assert sessions_of(hub).get(TOKEN) is not None
            sessions_of(hub).session_s = 60.0
            await new.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=2)) as wire:
            assert wire.welcome["resumed"]
            assert one(hub).rooms == {"red"}


# Exactly once.


@aio
async def test_each_numbered_packet_is_handled_once_and_receipted():
    hub = Hub(history=10)
    heard = []

    @hub.on("say")
    async def say(client, data):
        heard.append(data)
        return f"heard {data}"

    async with listening(hub) as url:
        async with speaking(_url(url)) as wire:
            for n in (1, 2, 2, 1):
                await wire.emit("say", n, n=n)
            began_s = time.monotonic()
            assert await wire.read() == {"received": 2}
            assert time.monotonic() - began_s < 2
            await wire.emit("say", "asked", n=3, id=40)
            assert await wire.read() == {"answer": 40, "data": "heard asked"}
            await wire.emit("say", "asked", n=3, id=40)
            again = [await wire.read(), await wire.read()]
            assert {"answer": 40, "data": "heard asked"} in again
            await wire.emit("say", 5, n=5)
            error = [p for p in (await wire.all()) if "received" not in p]
            assert error[0]["data"]["code"] == "bad-packet"
            assert "to be 4" in error[0]["data"]["message"]
            assert heard == [1, 2, "asked"]
            await wire.emit("say", 4, n=4)
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["received"] == 4
            await wire.emit("say", "asked", n=3, id=40)
            assert await wire.read() == {"answer": 40, "data": "heard asked"}
    assert heard == [1, 2, "asked", 4]


@aio
async def test_without_history_numbers_mean_nothing():
    hub = Hub()
    heard = []
    hub.on("say", lambda client, data: heard.append(data))
    async with listening(hub) as url, speaking(_url(url, offset=5)) as wire:
        assert wire.welcome["session"] is None
        assert wire.welcome["gap"] is None
        for n in (1, 1, 7):
            await wire.emit("say", n, n=n)
        assert await wire.all() == []
    assert heard == [1, 1, 7]


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        ({"event": "say", "data": "x" * 2000}, "too-large"),
        ({"event": "nobody"}, "unknown-event"),
        ({"event": "fails"}, "failed"),
        ({"event": "say", "data": [{"$binary": 5}], "binary": 1}, "bad-packet"),
        ({"event": "say", "data": 1, "binary": 1, "big": True}, "too-large"),
    ],
)
@aio
async def test_a_numbered_packet_that_fails_does_not_stop_the_session(packet, code):
    hub = Hub(history=10, limits=Limits(max_size=1000))
    heard = []
    hub.on("say", lambda client, data: heard.append(data))

    @hub.on("fails")
    async def fails(client, data):
        raise ValueError

    async with listening(hub) as url:
        async with speaking(_url(url)) as wire:
            await wire.send({**packet, "n": 1})
            if "binary" in packet:
                await wire.send(b"x" * (2000 if "big" in packet else 1))
            assert (await wire.read())["data"]["code"] == code
            await wire.send({**packet, "n": 2, "id": 7})
            if "binary" in packet:
                await wire.send(b"x" * (2000 if "big" in packet else 1))
            answer = await wire.read()
            assert (answer["answer"], answer["error"]["code"]) == (7, code)
            await wire.emit("say", "after", n=3)
            assert [p for p in await wire.all() if "received" not in p] == []
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["received"] == 3
            await wire.send({**packet, "n": 2, "id": 7})
            if "binary" in packet:
                await wire.send(b"x" * (2000 if "big" in packet else 1))
            again = await wire.read()
            assert again == answer
    assert heard == ["after"]
    hub.errors.clear()


@aio
async def test_a_handler_that_outlives_its_connection_answers_in_the_next():
    hub = Hub(history=10)
    gate = asyncio.Event()
    runs = []

    @hub.on("slow")
    async def slow(client, data):
        runs.append(data)
        await gate.wait()
        client.join("late")
        client.emit("note", data)
        return f"done {data}"

    async with listening(hub) as url:
        async with speaking(_url(url)) as wire:
            await wire.emit("slow", 1, n=1, id=10)
            await wire.emit("slow", 2, n=2, id=11)
            await until(lambda: runs)
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["received"] == 1
            await wire.emit("slow", 1, n=1, id=10)  # as a client does that has no answer yet
            await wire.emit("slow", 2, n=2, id=11)
            gate.set()
            found = [p for p in await wire.all() if "received" not in p]
        answers = [(p["answer"], p["data"]) for p in found if "answer" in p]
        assert set(answers) == {(10, "done 1"), (11, "done 2")}
        assert answers.index((10, "done 1")) < answers.index((11, "done 2"))
        assert [p["data"] for p in found if p.get("event") == "note"] == [1, 2]
        assert runs == [1, 2]


@aio
async def test_a_numbered_packet_of_a_taken_over_connection_is_left_to_its_successor():
    hub = Hub(history=10)
    gate = asyncio.Event()
    runs = []

    @hub.on("slow")
    async def slow(client, data):
        runs.append(data)
        await gate.wait()

    old, new = FakeSocket(f"/?session={TOKEN}"), FakeSocket(f"/?session={TOKEN}&offset=0")
    tasks = [asyncio.create_task(hub(old))]
    for n in (1, 2, 3):
        old.feed({"event": "slow", "data": f"old {n}", "n": n})
    await until(lambda: runs)
    tasks.append(asyncio.create_task(hub(new)))
    await until(lambda: new.texts)
    assert json.loads(new.texts[0])["data"]["received"] == 1
    for n in (2, 3):
        new.feed({"event": "slow", "data": f"new {n}", "n": n})
    gate.set()
    await until(lambda: len(runs) == 3)
    assert runs == ["old 1", "new 2", "new 3"]
    new.lose()
    await asyncio.gather(*tasks)


@aio
async def test_the_answers_that_are_kept_are_bounded():
    hub = Hub(history=5)
    hub.on("big", lambda client, data: "x" * data)
    async with listening(hub) as url, speaking(_url(url)) as wire:
        for n in range(1, 21):
            await wire.emit("big", 100_000, n=n, id=n)
            while "answer" not in (packet := await wire.read()):
                pass
            assert packet["answer"] == n
        assert 2**20 - 100_300 < sessions_of(hub).get(TOKEN).answers.size_bytes <= 2**20
        await wire.emit("big", 100_000, n=1, id=1)
        while "answer" not in (packet := await wire.read()):
            pass
        assert packet["error"]["code"] == "failed"
        assert "no longer kept" in packet["error"]["message"]


# Who it is to others.


@aio
async def test_a_user_id_stays_the_same_and_is_no_secret():
    hub = Hub(history=10)
    told = []

    @hub.on("connect")
    async def connect(client):
        told.append(("connect", client.user_id, client.is_resumed))

    @hub.on("disconnect")
    async def disconnect(client, reason):
        told.append(("disconnect", client.user_id, client.may_return))

    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as wire:
            user_id = one(hub).user_id
            first = one(hub).id
            assert wire.welcome["user"] == user_id
            assert len(user_id) == 12
            assert user_id not in (TOKEN, first)
            await wire.abort()
        await until(lambda: len(told) == 2)
        async with speaking(f"{url}?session={TOKEN}") as wire, speaking(url) as other:
            assert wire.welcome["user"] == user_id
            assert wire.id != first
            assert other.welcome["user"] != user_id
            async with speaking(f"{url}?session={TOKEN}") as again:  # takes it over
                assert again.welcome["user"] == user_id
                assert (await wire.closed())[0] == 4409
                await again.websocket.close(1000)
        await until(lambda: not hub.clients)
        await until(lambda: len(told) == 8)
        mine = [(what, may) for what, who, may in told if who == user_id]
        assert mine == [
            ("connect", False), ("disconnect", True), ("connect", True), ("disconnect", True),
            ("connect", True), ("disconnect", False),
        ]  # fmt: skip
        async with speaking(f"{url}?session={TOKEN}") as wire:  # that session has ended
            assert wire.welcome["user"] != user_id


@aio
async def test_without_a_history_the_user_id_is_the_id():
    hub = Hub()
    told = []
    hub.on("disconnect", lambda client, reason: told.append((client.user_id, client.may_return)))
    async with listening(hub) as url:
        async with speaking(url) as wire:
            assert one(hub).user_id == wire.id
            assert "user" not in wire.welcome
            await wire.abort()
        await until(lambda: told)
        assert told == [(wire.id, False)]

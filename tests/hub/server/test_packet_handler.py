"""What is done with what comes: flaws, numbers, a client that is too fast; by the bytes."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from tests.hub.rig import (
    TOKEN,
    FakeSocket,
    aio,
    listening,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import Refused
from wslab.hub import Hub, Limits
from wslab.hub.server.send_queue import SendQueue

pytestmark = pytest.mark.usefixtures("memory_network")


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
        client.websocket.id  # noqa: B018
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


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


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


def _url(url, token=TOKEN, offset=None):
    return f"{url}?session={token}" + ("" if offset is None else f"&offset={offset}")


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


@aio
async def test_all_that_is_too_fast_is_counted_and_told():
    hub = Hub(rate=2)
    heard = []
    hub.on("e", lambda client, data: heard.append(data))
    async with listening(hub) as url, speaking(url) as wire:
        for n in range(20):
            await wire.emit("e", n)
        await wire.emit("e", 20, id=7)
        told = await wire.read()
        assert told["data"]["code"] == "too-fast"
        lost = 0
        answer = await wire.read()
        assert answer["error"]["code"] == "too-fast"
        lost = int(answer["error"]["message"].rsplit("nor were ", 1)[1].split()[0])
        assert len(heard) + lost + 2 == 21
        assert hub.complaints["too-fast"] == lost + 2


@aio
async def test_a_flawed_packet_with_an_id_is_answered():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        for n, flawed in enumerate(
            ('{"event":"","id":%d}', '{"event":"e","binary":65,"id":%d}', '{"id":%d,"n":"x"}')
        ):
            await wire.send(flawed % n)
            answer = await wire.read()
            assert (answer["answer"], answer["error"]["code"]) == (n, "bad-packet")


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("numbers", [{}, {"n": 1}], ids=["once", "kept"])
@aio
async def test_an_answer_comes_back_to_no_file_on_its_way_out(numbers, is_plain, monkeypatch):
    # So that whoever reads how a packet is answered turns no page twice.
    ways, put = [], SendQueue.put

    def noting(*args, **options):
        frame, files = sys._getframe(), []
        while frame := frame.f_back:
            path = Path(frame.f_code.co_filename)
            if "hub" in path.parts and "wslab" in path.parts and files[-1:] != [path.stem]:
                files.append(path.stem)
        ways.append(files[::-1])
        return put(*args, **options)

    hub = Hub(history=10 if numbers else 0)
    hub.on("double", (lambda client, n: 2 * n) if is_plain else _double)
    async with listening(hub) as url, speaking(_url(url)) as wire:
        monkeypatch.setattr(SendQueue, "put", noting)
        assert await wire.call("double", 2, **numbers) == 4
    kept = ["memory", "holder"] if numbers else []
    way = ways[0]
    assert way[way.index("packet_handler") :] == ["packet_handler", "handlers", "replies", *kept]
    assert len(set(way)) == len(way)


async def _double(client, n):
    return 2 * n

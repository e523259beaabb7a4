"""What strangers can make a hub hold: each limit, with a peer that tries to break it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import random
import threading
import weakref

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.hub.rig import (
    TOKEN,
    FakeSocket,
    aio,
    inside,
    listening,
    one,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import ClientGone, Refused
from wslab.hub import Hub, Limits
from wslab.hub.server.delivery import Trace
from wslab.hub.server.hub_client import connection_of
from wslab.hub.server.send_queue import SendQueue
from wslab.websockets_compat.turns import PIECE_BYTES

# The numbers themselves.


def test_the_short_forms_are_the_limits_themselves():
    hub = Hub(backlog=5, rate=2.5, max_size=9, limits=Limits(clients=7))
    assert hub.limits == Limits(backlog=5, rate=2.5, max_size=9, clients=7)
    assert Hub(limits=Limits(backlog=9, rate=3)).limits == Limits(backlog=9, rate=3)


# Clients.


@aio
async def test_more_clients_than_there_is_place_for_are_told_to_come_later():
    hub = Hub(limits=Limits(clients=2))
    async with listening(hub) as url:
        async with speaking(url) as first, speaking(url):
            for _ in range(3):
                async with speaking(url, welcomed=False) as third:
                    code, reason = await third.closed()
                    assert (code, reason) == (
                        1013, "2 clients are connected already: try again later",
                    )  # fmt: skip
            assert len(hub.clients) == 2
            assert await first.call("fence", 5) == 5
        await until(lambda: not inside(hub).admission.alive)
        async with speaking(url) as again:
            assert await again.call("fence", 5) == 5
    assert hub.limited == {"clients": 3}


@aio
async def test_a_session_takes_the_place_of_its_own_earlier_connection():
    hub = Hub(history=10, limits=Limits(clients=1))
    async with listening(hub) as url:
        url += f"?session={TOKEN}"
        async with speaking(url) as first, speaking(f"{url}&offset=0") as second:
            assert second.welcome["resumed"]
            assert (await first.closed())[0] == 4409
            async with speaking(url.replace(TOKEN, "another_" + TOKEN), welcomed=False) as third:
                assert (await third.closed())[0] == 1013


@aio
async def test_clients_of_one_address_are_counted_where_that_is_asked_for():
    hub = Hub(limits=Limits(clients_per_address=2))
    assert Limits().clients_per_address is None
    async with listening(hub) as url, speaking(url), speaking(url):
        async with speaking(url, welcomed=False) as third:
            code, reason = await third.closed()
            assert code == 1013
            assert reason.startswith("2 clients of your address are connected already")
        other = FakeSocket()
        other.remote_address = ("10.0.0.9", 1)
        task = asyncio.create_task(hub(other))
        await until(lambda: len(hub.clients) == 3)
        other.lose()
        await task
        assert dict(inside(hub).admission.addresses) == {"127.0.0.1": 2}


@aio
async def test_who_is_turned_away_and_does_not_go_is_cut_off(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.admission.TURN_AWAY_S", 0.05)
    monkeypatch.setattr("wslab.hub.server.admission.MAX_TURNING_AWAY", 2)
    hub = Hub(limits=Limits(clients=1))

    class Deaf(FakeSocket):
        async def close(self, code=1000, reason=""):
            await asyncio.Event().wait()

    here = FakeSocket()
    tasks = [asyncio.create_task(hub(here))]
    await until(lambda: hub.clients)
    deaf = [Deaf() for _ in range(5)]
    tasks += [asyncio.create_task(hub(each)) for each in deaf]
    await asyncio.wait(tasks[1:], timeout=5)
    assert all(each.transport.closing for each in deaf)
    assert inside(hub).admission.turning_away == 0
    here.lose()
    await asyncio.gather(*tasks)


# Rooms.


@aio
async def test_rooms_are_bounded_for_a_client_and_in_all_and_by_name():
    hub = Hub(limits=Limits(rooms=4, rooms_per_client=3, room_name_bytes=20))

    @hub.on("join")
    async def join(client, room):
        return client.join(room)

    async with listening(hub) as url, speaking(url) as junk, speaking(url) as other:
        for nth in range(3):
            assert await junk.call("join", f"room {nth}", id=nth) is True
        assert await junk.call("join", "room 0") is False
        refused = await junk.call("join", "one more")
        assert refused["code"] == "refused"
        assert "at most 3 rooms" in refused["message"]
        assert "'one more' was not joined (Limits(rooms_per_client=...))" in refused["message"]
        for room in ("x" * 21, "é" * 11):
            refused = await other.call("join", room)
            assert "a room's name of at most 20 bytes" in refused["message"]
        assert await other.call("join", "é" * 10) is True
        assert "at most 4 rooms in all" in (await other.call("join", "mine"))["message"]
        assert await other.call("join", "room 2") is True
        assert len(hub.rooms) == 4
        client = next(client for client in hub.clients.values() if "room 0" in client.rooms)
        with pytest.raises(Refused):
            client.join("mine")
    assert hub.limited == {"rooms_per_client": 2, "rooms": 1, "room_name_bytes": 2}
    assert not hub.errors


@aio
async def test_who_comes_back_is_in_its_rooms_however_many_there_are_now():
    hub = Hub(history=10, limits=Limits(rooms=2, rooms_per_client=2))
    hub.on("join", lambda client, rooms: [client.join(room) for room in rooms])
    async with listening(hub) as url:
        mine = f"{url}?session={TOKEN}"
        async with speaking(mine) as wire:
            await wire.call("join", ["a", "b"])
            client = one(hub)
            await wire.abort()
        await until(lambda: not hub.clients)
        with pytest.raises(Refused):  # also of one that is away
            client.join("c")
        assert client.join("a") is False
        async with speaking(url) as other:
            assert await other.call("join", ["c", "d"]) == [True, True]
            async with speaking(f"{mine}&offset=0"):
                assert set(hub.rooms) == {"a", "b", "c", "d"}


# Handlers.


def slow_hub(**limits):
    hub = Hub(history=10, limits=Limits(**limits))
    hub.started, ended = 0, []

    @hub.on("slow")
    async def slow(client, data):
        hub.started += 1
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(client.session)

    hub.on("ping", lambda client, data: data)
    return hub, ended


async def ask_and_leave(hub, url, nth, *, count=1, n=1):
    """Connect, ask for something slow, and break off; return the session."""
    token = f"{nth:016}"
    started = hub.started
    async with speaking(f"{url}?session={token}&offset=0") as wire:
        for _ in range(count):
            await wire.emit("slow", id=1, **({"n": n} if n else {}))
        await until(lambda: hub.started > started)
        await wire.abort()
    return token


@aio
async def test_handlers_of_those_that_left_hold_only_a_part_of_all():
    hub, ended = slow_hub(handlers=8, gone_handlers=3, grace_s=30.0)
    async with listening(hub) as url:
        for nth in range(20):
            await ask_and_leave(hub, url, nth)
            await until(lambda: len(inside(hub).admission.leavers) <= 3)
        await until(lambda: inside(hub).handlers.running == 3)
        async with speaking(url) as wire:
            assert await wire.call("ping", 7) == 7
        assert len(ended) == 17
        assert hub.limited == {"gone_handlers": 17}
        # Who was cut off and comes back is told; and may ask for something else.
        async with speaking(f"{url}?session={ended[0]}&offset=0") as wire:
            assert wire.welcome["resumed"]
            assert await wire.call("slow", id=1, n=1) == {
                "code": "failed", "message": "its handler was cancelled",
            }  # fmt: skip
            assert await wire.call("ping", 8, id=2, n=2) == 8
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_of_one_address_those_go_that_were_here_the_shortest():
    hub, ended = slow_hub(gone_handlers=2, grace_s=30.0)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as old:
            await until(lambda: hub.clients)
            connection_of(one(hub))._began_s -= 60.0  # it has been here for a minute
            await old.emit("slow", id=1, n=1)
            await until(lambda: inside(hub).handlers.running)
            await old.abort()
        for nth in range(6):
            await ask_and_leave(hub, url, nth)
        await until(lambda: len(ended) == 5)
        assert TOKEN not in ended
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_the_same_session_again_and_again_does_not_hold_all_handlers():
    hub, ended = slow_hub(handlers_per_client=2, grace_s=30.0)
    async with listening(hub) as url:
        for _ in range(10):
            await ask_and_leave(hub, url, 1, n=0)  # without numbers, so that none waits
        await until(lambda: inside(hub).handlers.running == 2)
        assert len(ended) == 8
        assert hub.limited == {"handlers_per_client": 8}
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_a_handler_does_not_go_on_for_ever_for_who_may_come_back():
    hub, ended = slow_hub(grace_s=0.02, gone_handler_s=0.05)
    async with listening(hub) as url:
        token = await ask_and_leave(hub, url, 1)
        await until(lambda: ended == [token])
        assert hub.limited == {"gone_handler_s": 1}


@pytest.mark.parametrize("is_plain", [False, True])
@aio
async def test_a_handler_has_its_time(is_plain):
    hub = Hub(limits=Limits(handler_s=0.05))
    if is_plain:
        hub.on("slow", lambda client, data: asyncio.sleep(60))
    else:

        @hub.on("slow")
        async def slow(client, data):
            await asyncio.sleep(60)

    @hub.on("own")
    async def own(client, data):
        raise TimeoutError("its own")

    async with listening(hub) as url, speaking(url) as wire:
        told = await wire.call("slow")
        assert told["code"] == "failed"
        assert told["message"].endswith(
            "the handler did not end within 0.05 s (Limits(handler_s=...))"
        )
        assert (await wire.call("own"))["message"].endswith("its own")
        assert inside(hub).handlers.running == 0
    assert hub.limited == {"handler_s": 1}
    assert hub.errors_seen == 2


@aio
async def test_plain_handlers_of_those_that_left_do_not_pile_up_for_a_thread():
    hub = Hub(limits=Limits(threads=3, grace_s=0.0))
    gate = threading.Event()
    ran = []

    @hub.on("block")
    def block(client, data):
        ran.append(len(data))
        assert gate.wait(10)

    @hub.on("ping")
    async def ping(client, data):
        return data

    pool = concurrent.futures.ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(pool)
    try:
        async with listening(hub) as url:
            for _ in range(20):
                async with speaking(url) as wire:
                    running = inside(hub).handlers.running
                    await wire.emit("block", "x" * 1000)
                    await until(lambda running=running: inside(hub).handlers.running > running)
                await until(
                    lambda: not inside(hub).handlers.running
                )  # nobody waits for it any more
                assert pool._work_queue.qsize() <= 3
            async with speaking(url) as wire:
                assert await wire.call("ping", 5) == 5
                gate.set()
                await wire.emit("block", "the last", id=9)
                assert (await wire.read())["answer"] == 9
        assert ran == [1000, 8]  # who had given up before its thread came did not run
        assert inside(hub).handlers._threads._value == 3
    finally:
        gate.set()


# What comes from clients.


@aio
async def test_what_is_read_ahead_is_bounded_in_all(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.packet_reader.ALWAYS_BYTES", 20_000)
    hub = Hub(limits=Limits(ahead_bytes=100_000, ahead_bytes_per_client=80_000))
    gate, most = asyncio.Event(), 0

    @hub.on("ask")
    async def ask(client, data):
        with contextlib.suppress(TimeoutError):
            await client.call("q", timeout=1.0)

    @hub.on("say")
    async def say(client, data):
        nonlocal most
        most = max(most, inside(hub).ahead.value)
        await gate.wait()

    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(hub))
        wires = [await stack.enter_async_context(speaking(url)) for _ in range(6)]
        for wire in wires:
            await wire.emit("ask")
            for _ in range(12):
                await wire.emit("say", "x" * 10_000)
        await until(lambda: inside(hub).ahead.value >= 100_000)
        readers = [connection_of(client).reader for client in hub.clients.values()]
        await until(lambda: sum(reader.ahead_bytes >= 20_000 for reader in readers) == 6)
        gate.set()
        for wire in wires:
            assert (await wire.all())[0]["event"] == "q"
        assert inside(hub).ahead.value == 0
        # Each may have some, and one message more than its limit.
        assert 0 < most <= 100_000 + 6 * 30_000
        await wires[0].emit("ask")
        for _ in range(3):
            await wires[0].emit("say", "x" * 10_000)
        await until(lambda: inside(hub).ahead.value)
        await wires[0].abort()
        await until(lambda: inside(hub).ahead.value == 0)


@pytest.mark.parametrize("is_binary", [False, True])
@aio
async def test_what_waits_takes_no_more_than_its_text(is_binary):
    # As lists it takes 25 times as much: a client made 1 GB of 40 MB.
    hub = Hub()
    heard = []

    @hub.on("ask")
    async def ask(client, data):
        assert await client.call("q", timeout=None) == [[], [7]]

    @hub.on("say")
    async def say(client, data):
        heard.append(data)

    data = [[] for _ in range(20_000)]
    number = {"binary": 1} if is_binary else {}
    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("ask")
        packet = await wire.read()
        reader = connection_of(one(hub)).reader
        received = reader.received + (11 if is_binary else 6)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(5):
            await wire.emit("say", data, **number)
            if is_binary:
                await wire.websocket.send(b"x")
        await wire.emit("half", data, binary=1)
        await until(lambda: reader.ahead == 5 and reader.received == received)
        assert len(gc.get_objects()) - before < 10_000
        await wire.websocket.send(b"x")
        await wire.send({"answer": packet["id"], "data": [[], [7]]})
        assert [each["data"]["code"] for each in await wire.all()] == ["unknown-event"]
    assert heard == [data] * 5


@pytest.mark.parametrize("compression", [None, "deflate"])
@aio
async def test_what_nobody_takes_is_read_up_to_a_bound_in_bytes(compression):
    # websockets' max_queue counts frames: 17 of them took 17 MiB a client.
    hub = Hub()
    gate, heard = asyncio.Event(), []

    @hub.on("say")
    async def say(client, data):
        await gate.wait()
        heard.append(len(data))

    async with listening(hub) as url, speaking(url, compression=compression) as wire:
        queue = one(hub).websocket.recv_messages

        async def flood():
            for size in range(200_000, 200_030):
                await wire.emit("say", "x" * size)

        task = asyncio.create_task(flood())
        await until(lambda: queue.paused)
        queued = [len(frame.data) for frame in queue.frames.queue]
        # 256 KiB, and the rest of a message; or what one read inflates to, which is 2 MiB at most.
        assert len(queued) == 2 if compression is None else sum(queued) < 2.5 * 2**20
        gate.set()
        await task
        await wire.all()
    assert heard == list(range(200_000, 200_030))
    assert "put" not in vars(queue)


@pytest.mark.parametrize("is_asked", [False, True])
@aio
async def test_what_breaks_off_and_is_never_read_is_told_up_to_a_bound(is_asked, monkeypatch):
    # The answers to packets that broke off, one after the other, went past every bound.
    hub = Hub(limits=Limits(backlog=50))
    put, most = SendQueue.put, 0

    def noted(self, *args, **kwargs):
        nonlocal most
        outcome = put(self, *args, **kwargs)
        most = max(most, self._essential)
        return outcome

    monkeypatch.setattr(SendQueue, "put", noted)

    @hub.on("ask")
    async def ask(client, data):
        with contextlib.suppress(ClientGone):
            await client.call("q", timeout=None)

    async with (
        listening(hub, small_buffers=True) as url,
        speaking(url, stalls=True, compression=None) as wire,
    ):
        client = one(hub)
        if is_asked:
            await wire.emit("ask")
            await until(lambda: connection_of(client).reader.is_reading_ahead)
        half = {"event": "half", "id": 1, "binary": 1, "data": "x" * 5_000}
        flood = asyncio.create_task(wire.send(*[half] * 20_000))
        # Neither end takes any more: the hub is not read from, and does not read.
        await until(lambda: client.websocket.recv_messages.paused and wire.websocket.paused)
        assert connection_of(client).send_queue.is_full_of_answers
        client.disconnect()
        await wire.abort()
        with pytest.raises(ConnectionClosed):
            await flood
    assert 50 <= most <= 52
    assert hub.errors_seen == 0


@aio
async def test_a_room_that_a_client_names_is_noted_only_as_long_as_it_could_be_joined():
    hub = Hub()
    hub.trace = Trace()
    rooms = ["r" * 256, "r" * 200_000]
    for to in (rooms[0], rooms[1], rooms):
        hub.emit("said", to=to)
    noted = [delivery.to for delivery in hub.trace.deliveries]
    short = "r" * 60 + "..."
    assert noted == [(rooms[0],), (short,), (rooms[0], short)]


@aio
async def test_a_number_out_of_turn_is_told_as_often_as_it_comes():
    # Each was kept as the answer to a packet that had not come: the second one broke the client.
    hub = Hub(history=5)

    @hub.on("echo")
    async def echo(client, data):
        return data

    async with listening(hub) as url, speaking(url) as wire:
        for _ in range(3):
            told = await wire.call("echo", 1, n=2)
            assert told["message"].startswith('expected "n" to be 1')
        for _ in range(3):
            await wire.emit("echo", id=1, n=1, binary=1)
        for _ in range(2):
            assert (await wire.read())["error"]["code"] == "bad-packet"
        await wire.websocket.send(b"")
        assert (await wire.read())["answer"] == 1
        assert await wire.call("echo", 2, id=2, n=2) == 2
        assert await wire.call("echo", 2, id=2, n=2) == 2  # kept, since it was taken up
        assert sessions_of(hub).answers_bytes > 0
    assert hub.errors_seen == 0


@aio
async def test_what_is_read_in_one_go_is_little():
    # What comes in one read is taken in within one turn of the loop: frames without payload cost
    # it most.
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        websocket = one(hub).websocket
        reads = []
        true_receive = websocket.protocol.receive_data
        websocket.protocol.receive_data = lambda data: (reads.append(len(data)), true_receive(data))
        wire.websocket.transport.write(b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 40_000)
        await wire.closed()
    assert len(reads) > 1  # of 240,000 bytes; websockets ends it for too many fragments
    assert max(reads) <= PIECE_BYTES


# History, by strangers that speak to a hub.


def chatty_hub(**limits):
    hub = Hub(history=100, limits=Limits(**limits))

    @hub.on("say")
    async def say(client, data):
        await hub.emit("said", data["text"], to=data["room"])

    hub.on("join", lambda client, room: client.join(room))
    hub.on("echo", lambda client, data: data)
    return hub


@aio
async def test_strangers_that_name_rooms_do_not_push_out_the_lobby():
    hub = chatty_hub(history_bytes=2_000_000, history_bytes_per_room=300_000, history_rooms=100)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("join", "lobby")
            for nth in range(20):
                await ana.emit("say", {"room": "lobby", "text": f"hello {nth}"})
            await ana.all()
            await ana.abort()
        async with speaking(url) as junk:
            for nth in range(300):
                await junk.emit("say", {"room": f"room {nth}", "text": "x"})
            for nth in range(100):
                await junk.emit("say", {"room": f"big {nth}", "text": "x" * 100_000})
            await junk.all()
        history = sessions_of(hub).history
        assert history.size_bytes <= 2_000_000
        assert len(hub.history("lobby")) == 20
        async with speaking(f"{url}?session={TOKEN}&offset=5") as ana:
            assert ana.welcome["gap"] is None
            assert [packet["data"] for packet in await ana.all()] == [
                f"hello {nth}" for nth in range(5, 20)
            ]
    assert hub.limited["history_rooms"] > 0
    assert hub.limited["history_bytes"] > 0


@aio
async def test_who_comes_back_and_does_not_read_holds_nothing_of_the_history():
    # It held all that it had missed, 40 MiB of it, however much the history let go of.
    hub = chatty_hub(history_bytes=4_000_000, history_bytes_per_room=750_000)
    tokens = [TOKEN + f"{nth}" for nth in range(5)]
    rooms = [f"room {nth}" for nth in range(4)]
    big = random.Random(4).randbytes(18_000).hex()  # which no compression makes much smaller

    async def talk(speaker, text):
        for nth in range(20):
            for room in rooms:
                await speaker.emit("say", {"room": room, "text": f"{text} {nth} {big}"})
        await speaker.all()

    async with listening(hub, small_buffers=True) as url, speaking(url) as speaker:
        for token in tokens:
            async with speaking(f"{url}?session={token}") as wire:
                for room in rooms:
                    await wire.emit("join", room)
                await wire.all()
                await wire.abort()
        await until(lambda: len(hub.clients) == 1)
        await talk(speaker, "before")
        kept = [weakref.ref(past) for room in rooms for past in hub.history(room)]
        assert len(kept) > 60
        async with contextlib.AsyncExitStack() as stack:
            stalled = [
                await stack.enter_async_context(
                    speaking(f"{url}?session={token}&offset=0", stalls=True)
                )
                for token in tokens
            ]
            here = [client for client in hub.clients.values() if client.is_resumed]
            assert [wire.welcome["gap"] for wire in stalled] == [None] * len(tokens)
            assert all(client.queued > 30 for client in here)
            await talk(speaker, "after")
            assert sum(ref() is not None for ref in kept) == 0  # the history has let them go
            for client in here:
                waits = connection_of(client).send_queue.size_bytes
                assert waits <= hub.limits.backlog_bytes
                assert client.websocket.transport.get_write_buffer_size() < 200_000
            # One of them reads, after all: in order, nothing twice, and all else is told of.
            packets = await stalled[0].all() + await stalled[0].all()
    offsets = [each["offset"] for each in packets if each["event"] not in ("dropped", "welcome")]
    told = sum(each["data"]["count"] for each in packets if each["event"] == "dropped")
    assert offsets == sorted(set(offsets))
    assert told > 0
    assert len(offsets) + told == 160
    assert offsets[-1] == 160


@aio
async def test_a_room_whose_events_had_to_go_is_told_as_a_gap():
    hub = chatty_hub(history_bytes_per_room=100_000)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("join", "lobby")
            await ana.abort()
        async with speaking(url) as loud:
            for _ in range(5):
                await loud.emit("say", {"room": "lobby", "text": "x" * 50_000})
            await loud.all()
        assert len(hub.history("lobby")) == 1
        assert hub.limited["history_bytes_per_room"] == 4
        async with speaking(f"{url}?session={TOKEN}&offset=0") as ana:
            assert ana.welcome["gap"] == "too old"


@aio
async def test_answers_of_those_that_left_are_bounded_in_all():
    hub = chatty_hub(answers_bytes=1_000_000, answers_bytes_per_session=500_000)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("echo", "mine", id=1, n=1)
            await ana.abort()
        for nth in range(10):
            async with connect(f"{url}?session={nth:016}", compression=None) as websocket:
                for n in range(1, 5):
                    await websocket.send(
                        f'{{"event":"echo","data":"{"x" * 100_000}","id":{n},"n":{n}}}'
                    )
                await until(lambda nth=nth: sessions_of(hub).get(f"{nth:016}").received == 4)
                websocket.transport.abort()
        await until(lambda: not hub.clients)
        assert sessions_of(hub).answers_bytes <= 1_000_000
        async with speaking(f"{url}?session={TOKEN}&offset=0") as ana:
            assert await ana.call("echo", "mine", id=1, n=1) == "mine"
        async with speaking(f"{url}?session={0:016}&offset=0") as junk:
            told = await junk.call("echo", "", id=1, n=1)
            assert told["message"].endswith("the answer is no longer kept")
    assert hub.limited["answers_bytes"] > 0

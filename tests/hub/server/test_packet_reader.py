"""What is read, and read ahead while an answer is waited for; and its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hub.rig import (
    aio,
    inside,
    listening,
    one,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import ClientGone
from wslab.hub import Hub, Limits
from wslab.hub.protocol import packets
from wslab.hub.server.delivery import Trace
from wslab.hub.server.hub_client import connection_of
from wslab.hub.server.send_queue import SendQueue
from wslab.websockets_compat.turns import PIECE_BYTES


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


@aio
async def test_what_waits_and_can_no_longer_be_read_is_refused(monkeypatch):
    packet = packets.decode('{"event": "say", "data": [[]]}')
    packet.fold('{"event": "say", "data": [[]]}')

    def deep(text):
        raise RecursionError

    with monkeypatch.context() as patched:
        patched.setattr(packets, "from_json", deep)
        packet.unfold()
    assert packet.data is None
    assert packet.flaw == "too large: expected data of a sensible depth"


@pytest.mark.websockets_only
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


@pytest.mark.websockets_only
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


@pytest.mark.websockets_only
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

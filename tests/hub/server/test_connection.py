"""One client's life by the bytes: its welcome, and every kind of end."""

from __future__ import annotations

import asyncio
import json
import random
import time

import pytest

from tests.hub.rig import (
    DEADLINE_S,
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
from wslab.hub import Hub, Trace
from wslab.hub.protocol.life import LifeState
from wslab.hub.server.hub_client import connection_of

pytestmark = pytest.mark.usefixtures("memory_network")


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


@pytest.mark.websockets_only
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


# The life of a connection, as its table has it.


@aio
async def test_a_life_that_ends_with_its_connection():
    hub, states = Hub(), []
    hub.on("connect", lambda client: states.append(connection_of(client).state))
    fake = FakeSocket()
    task = asyncio.create_task(hub(fake))
    client = await until(lambda: len(hub.clients) and one(hub))
    assert states == [LifeState.CONNECTING]
    assert connection_of(client).state is LifeState.ADMITTED
    assert repr(client) == f"<HubClient {client.id}, in no room>"
    fake.lose()
    await task
    assert connection_of(client).state is LifeState.GONE
    assert repr(client) == f"<HubClient {client.id}, in no room, gone>"


@aio
async def test_who_is_sent_away_is_closing_until_the_connection_is_over():
    hub, states = Hub(), []
    hub.on("disconnect", lambda client, reason: states.append(connection_of(client).state))
    fake = FakeSocket()
    task = asyncio.create_task(hub(fake))
    client = await until(lambda: len(hub.clients) and one(hub))
    client.disconnect()
    assert connection_of(client).state is LifeState.CLOSING
    assert repr(client).endswith(", closing>")
    fake.lose()
    await task
    assert states[0] in (LifeState.CLOSING, LifeState.GONE)
    assert connection_of(client).state is LifeState.GONE


@aio
async def test_whose_session_is_kept_is_away_until_it_is_back_or_forgotten():
    hub, clients, tasks = Hub(history=3), [], []

    async def come():
        fake = FakeSocket(f"/?session={TOKEN}")
        tasks.append(asyncio.create_task(hub(fake)))
        clients.append(await until(lambda: len(hub.clients) and one(hub)))
        return fake

    def state_of(nth):
        return connection_of(clients[nth]).state

    fake = await come()
    fake.lose()
    await until(lambda: not hub.clients)
    assert state_of(0) is LifeState.AWAY
    assert repr(clients[0]).endswith(", away>")
    fake = await come()
    assert (state_of(0), state_of(1)) == (LifeState.GONE, LifeState.ADMITTED)
    clients[1].disconnect()
    fake.lose()
    await asyncio.gather(*tasks)
    assert (state_of(0), state_of(1)) == (LifeState.GONE, LifeState.GONE)


@aio
async def test_who_is_continued_elsewhere_is_gone_when_its_connection_is():
    hub = Hub(history=3)
    old, new = (FakeSocket(f"/?session={TOKEN}") for _ in range(2))
    tasks = [asyncio.create_task(hub(old))]
    client = await until(lambda: len(hub.clients) and one(hub))
    tasks.append(asyncio.create_task(hub(new)))
    await until(lambda: connection_of(client).state is not LifeState.ADMITTED)
    old.lose()
    await until(lambda: connection_of(client).state is LifeState.GONE)
    assert connection_of(await until(lambda: one(hub))).state is LifeState.ADMITTED
    new.lose()
    await asyncio.gather(*tasks)

"""How connections end for handlers: when `disconnect` runs, and what becomes of who is at work."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from wslab.hub import Hub, Limits

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


def noting(hub, told):
    @hub.on("connect")
    async def connect(client):
        told.append("connect")

    @hub.on("disconnect")
    async def disconnect(client, reason):
        told.append(reason)


@aio
async def test_a_handler_that_streams_ends_a_while_after_its_client(told):
    hub = Hub(limits=Limits(grace_s=0.2))
    noting(hub, told)

    @hub.on("subscribe")
    async def subscribe(client, data):
        try:
            while True:
                await client.emit("tick")
                await asyncio.sleep(0.01)
        finally:
            told.append("ended")

    async with listening(hub) as url:
        async with speaking(url) as wire:
            await wire.emit("subscribe")
            assert (await wire.read())["event"] == "tick"
        await until(lambda: len(told) == 3)
    assert told[0] == "connect"
    assert set(told[1:]) == {"ended", "closed by the client with 1000"}
    assert not hub.errors
    assert inside(hub).admission.alive == 0


@aio
async def test_a_server_that_closes_does_not_wait_for_handlers_for_ever(told):
    for history in (0, 10):
        hub = Hub(limits=Limits(grace_s=0.1), history=history)
        hub.on("wait", lambda client, data: told.append("waits") or asyncio.sleep(60))
        async with listening(hub) as url, speaking(url) as wire:
            await wire.emit("wait", id=1)
            await until(lambda: told)
        told.clear()  # else the server would not have closed
        assert inside(hub).admission.alive == 0


@aio
async def test_a_connect_handler_that_waits_ends_with_its_client(told):
    hub = Hub(limits=Limits(grace_s=0.1))

    @hub.on("connect")
    async def connect(client):
        told.append("connect")
        await asyncio.sleep(60)

    hub.on("disconnect", lambda client, reason: told.append(reason))
    async with listening(hub) as url:
        async with speaking(url, welcomed=False):
            await until(lambda: told)
        await until(lambda: inside(hub).admission.alive == 0)
    assert told == ["connect"]
    assert not hub.errors


@aio
async def test_what_came_before_the_end_is_handled_before_disconnect(told):
    hub = Hub()
    noting(hub, told)

    @hub.on("say")
    async def say(client, data):
        await asyncio.sleep(0.01)
        told.append(data)

    async with listening(hub) as url, speaking(url) as wire:
        for n in range(5):
            await wire.emit("say", n)
        await wire.websocket.close()
        await until(lambda: len(told) == 7)
    assert told == ["connect", 0, 1, 2, 3, 4, "closed by the client with 1000"]


@aio
async def test_a_handler_goes_on_for_a_client_that_may_come_back(told):
    hub = Hub(limits=Limits(grace_s=0.1), history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()
        return "done"

    url_of = f"?session={TOKEN}"
    async with listening(hub) as url:
        async with speaking(url + url_of) as wire:
            await wire.emit("work", id=1, n=1)
            await until(lambda: inside(hub).handlers.running)
            await wire.abort()
        await until(lambda: len(told) == 2)  # it is told although a handler is at work
        async with speaking(f"{url}{url_of}&offset=0") as wire:
            assert wire.welcome["resumed"]
            await wire.emit("work", id=1, n=1)
            await asyncio.sleep(0.3)  # longer than the grace, which does not count for it
            go.set()
            assert (await wire.read()) == {"answer": 1, "data": "done"}
            assert told == ["connect", "the connection broke off (1006)", "connect"]


@aio
async def test_nothing_is_handled_after_disconnect_and_what_was_not_comes_again(told):
    hub = Hub(limits=Limits(grace_s=0.1), history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()
        told.append("worked")

    @hub.on("enter")
    async def enter(client, data):
        told.append("entered")

    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as wire:
            await wire.emit("work", n=1)
            await wire.emit("enter", n=2)
            await until(
                lambda: (
                    inside(hub).handlers.running and wire.websocket.protocol.state.name == "OPEN"
                )
            )
            await wire.websocket.ping()
            await wire.abort()
        await until(lambda: len(told) == 2)
        go.set()
        await until(lambda: not inside(hub).admission.alive)
        assert told == ["connect", "the connection broke off (1006)", "worked"]
        async with speaking(f"{url}?session={TOKEN}&offset=0") as wire:
            assert wire.welcome["resumed"]
            await wire.emit("enter", n=2)
            await until(lambda: "entered" in told)
    assert told[3:5] == ["connect", "entered"]
    assert told.count("entered") == 1


@pytest.mark.parametrize("is_busy", [False, True])
@aio
async def test_an_earlier_connection_ends_before_the_one_that_continues_it(told, is_busy):
    hub = Hub(history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()

    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}") as wire:
        if is_busy:
            await wire.emit("work", n=1)
            await until(lambda: inside(hub).handlers.running)
        wire.websocket.transport.pause_reading()  # half open: it does not answer a close frame
        async with speaking(f"{url}?session={TOKEN}&offset=0") as second:
            assert second.welcome["resumed"]
            ended = "sent away with 4409 (session continued elsewhere)"
            assert told == ["connect", ended, "connect"]
            go.set()


@aio
async def test_many_that_continue_one_session_leave_one(told):
    hub = Hub(history=10)
    noting(hub, told)
    async with listening(hub) as url, asyncio.TaskGroup() as group:
        there = asyncio.Event()

        async def come():
            async with speaking(f"{url}?session={TOKEN}") as wire:
                await until(lambda: len(told) >= 19)
                if [client.id for client in hub.clients.values()] == [wire.id]:
                    there.set()
                await there.wait()

        for _ in range(10):
            group.create_task(come())
    assert len(hub.clients) == 0
    assert told.count("connect") == 10
    await until(lambda: len(told) == 20)

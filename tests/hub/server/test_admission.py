"""Whom a hub lets in, and how much those that have left may have at work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

from tests.hub.rig import (
    TOKEN,
    FakeSocket,
    aio,
    inside,
    listening,
    one,
    speaking,
    until,
)
from wslab.hub import Hub, Limits
from wslab.hub.server.hub_client import connection_of

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.mark.websockets_only
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


@pytest.mark.websockets_only
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


@pytest.mark.websockets_only
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

"""What other threads ask of a hub."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from tests.hub.rig import (
    DEADLINE_S,
    FakeSocket,
    aio,
    listening,
    speaking,
    until,
)
from wslab.errors import LoopBlocked
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")


def _threaded(function):
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as exc:
            result.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


@aio
async def test_emit_from_many_threads_arrives_everywhere_in_one_order():
    hub = Hub(history=1000)
    async with listening(hub) as url, speaking(url) as a, speaking(url) as b:
        client = hub.clients[a.id]

        def talk(nth):
            for count in range(25):
                delivery = hub.emit("e", [nth, count])
                assert delivery.sent == 2
                client.join(f"room {nth} {count}")
                hub.broadcast("raw", to=client)
                assert client.leave(f"room {nth} {count}")
            return "done"

        threads = [_threaded(functools.partial(talk, nth)) for nth in range(4)]
        await until(lambda: all(result for _, result in threads))
        assert [result for _, result in threads] == [["done"]] * 4
        ours = [packet for packet in await a.all() if packet != "raw"]
        assert ours == await b.all()
        assert [packet["offset"] for packet in ours] == list(range(1, 101))
        for nth in range(4):
            counts = [packet["data"][1] for packet in ours if packet["data"][0] == nth]
            assert counts == list(range(25))
        for thread, _ in threads:
            thread.join()


@aio
async def test_a_thread_gets_the_exception_and_a_held_loop_is_told(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.hub_loop.OFF_LOOP_TIMEOUT_S", 0.05)
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        thread, result = _threaded(lambda: hub.emit("e", to=""))
        await until(lambda: result)
        assert isinstance(result[0], ValueError)
        thread.join()
        thread, result = _threaded(lambda: hub.emit("late"))
        thread.join(DEADLINE_S)  # which holds the loop
        assert isinstance(result[0], LoopBlocked)
        assert await wire.all() == []  # it was taken back


def test_without_a_loop_any_thread_may_emit():
    hub = Hub(history=10)
    thread, result = _threaded(lambda: hub.emit("e", 1).offset)
    thread.join()
    assert result == [1]
    assert hub.emit("e", 2).offset == 2
    assert [past.data for past in hub.history()] == [1, 2]


def test_a_hub_may_be_served_on_one_loop_after_another():
    hub = Hub(history=5)

    async def once(nth):
        async with listening(hub) as url, speaking(url) as wire:
            hub.emit("e", nth)
            assert (await wire.read())["data"] == nth
            return url

    for nth in range(3):
        asyncio.run(once(nth))
    hub.emit("e", 3)
    assert [past.data for past in hub.history()] == [0, 1, 2, 3]


@aio
async def test_two_loops_at_once_are_refused():
    hub = Hub()
    async with listening(hub) as url, speaking(url):

        async def other():
            with pytest.raises(RuntimeError, match="a Hub of its own"):
                await hub(FakeSocket())

        thread, result = _threaded(lambda: asyncio.run(other()))
        await until(lambda: result)
        assert result == [None]
        thread.join()

"""A session's connection that makes way for another process."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.rig import TOKEN, aio, inside, listening, sessions_of, speaking, until
from wslab.hub import Hub, Limits
from wslab.hub.server import handover
from wslab.hub.server.handover import hooks_of

pytestmark = pytest.mark.websockets_only


@aio
async def test_its_connection_is_told_and_its_handler_may_end():
    hub, may_end, log = Hub(history=9), asyncio.Event(), []

    @hub.on("work")
    async def work(client, data):
        log.append("begun")
        await may_end.wait()
        log.append("ended")

    @hub.on("disconnect")
    async def disconnect(client, reason):
        log.append(reason)

    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}") as wire:
        await wire.emit("work", n=1)
        await until(lambda: log == ["begun"])
        [session] = sessions_of(hub)
        hooks = hooks_of(inside(hub))
        making_way = asyncio.ensure_future(hooks.make_way(session))
        assert await wire.closed() == (4409, "session continued elsewhere")
        assert not making_way.done()
        assert session.away_since_s is not None
        may_end.set()
        await making_way
        assert sorted(log) == [
            "begun", "ended", "sent away with 4409 (session continued elsewhere)",
        ]  # fmt: skip
        await hooks.make_way(session)  # nobody is here any more
        hooks.fence(session)
        assert inside(hub).backplane.status.fenced == 0


@aio
async def test_a_handler_that_takes_too_long_is_cut_off(monkeypatch):
    hub, log = Hub(history=9, limits=Limits(grace_s=0.05)), []

    @hub.on("work")
    async def work(client, data):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("cut off")
            raise

    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}") as wire:
        await wire.emit("work", n=1)
        await until(lambda: inside(hub).handlers.running == 1)
        [session] = sessions_of(hub)
        await hooks_of(inside(hub)).make_way(session)
        assert log == ["cut off"]
        assert (await wire.closed())[0] == 4409


@aio
async def test_a_thread_is_waited_for_within_a_bound(monkeypatch):
    monkeypatch.setattr(handover, "CUT_OFF_S", 0.05)
    hub = Hub(history=9, limits=Limits(grace_s=0.0))
    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}"):
        [session] = sessions_of(hub)
        async with inside(hub).holder(session).turn:  # as one that cannot be cancelled has it
            await asyncio.wait_for(hooks_of(inside(hub)).make_way(session), 5)


@aio
async def test_who_is_fenced_is_told_and_counted_and_what_was_dropped_is_known():
    hub = Hub(history=9)
    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}") as wire:
        [session] = sessions_of(hub)
        hooks = hooks_of(inside(hub))
        connection = inside(hub).holder(session).client
        connection.send_queue._untold_offsets = [3, 4]
        assert hooks.dropped(session) == (3, 4)
        hooks.fence(session)
        assert (await wire.closed())[0] == 4409
        assert inside(hub).backplane.status.fenced == 1
        assert hooks.dropped(session) == ()

"""What becomes of a room that is closed: a number now, and another one once all have left."""

from __future__ import annotations

import asyncio
import json

import pytest

import wslab
from tests.hub.rig import aio, listening, speaking
from wslab.hub import Hub
from wslab.hub.server.room_closing import RoomClosing


@aio
async def test_it_is_an_int_that_may_be_awaited():
    closing = RoomClosing(3, "lobby")
    assert (closing, json.dumps(closing), closing.told_tokens()) == (3, "3", ())
    closing.left = 2
    assert await closing == 2  # where one process serves the hub, at once
    closing.expect()
    waiting = asyncio.ensure_future(_result(closing))
    await asyncio.sleep(0)
    assert not waiting.done()
    closing.left = 1
    closing.settle(is_queued=True)
    assert await waiting == await closing == 1


async def _result(closing):
    return await closing


@pytest.mark.usefixtures("memory_network")
@pytest.mark.parametrize("history", [0, 10])
@aio
async def test_a_hub_of_one_process_closes_a_room_at_once(history):
    hub = Hub(history=history)
    hub.on("join", lambda client, room: client.join(room))
    hub.on("close", lambda client, room: hub.close_room(room))
    async with listening(hub) as url, speaking(url) as alice, speaking(url) as bob:
        for client in (alice, bob):
            await client.call("join", "lobby")
        closing = hub.close_room("lobby")
        assert "lobby" not in hub.rooms
        assert (closing, closing.left, await closing, await hub.close_room("lobby")) == (2, 2, 2, 0)
        await alice.call("join", "lobby")
        assert await bob.call("close", "lobby") == 1
        assert not hub.rooms
    for wrong in (3, ""):
        with pytest.raises((TypeError, ValueError), match="expected a room's name"):
            hub.close_room(wrong)


def test_from_a_cell():
    hub = Hub()
    hub.on("join", lambda client, room: client.join(room))
    with wslab.serve(hub, page=False) as server, wslab.connect(server) as alice:
        alice.call("join", "lobby")
        assert wslab.run(hub.close_room, "lobby") == 1
        assert hub.close_room("lobby") == 0

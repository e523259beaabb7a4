"""The lanes from Python, against the five ways as Starlette has them."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests.widgets.race.app import app_of, in_a_loop
from wslab.widgets.race.feed import Feed
from wslab.widgets.race.lanes import request_of, run_lane
from wslab.widgets.race.tally import WAYS, Tally


@pytest.fixture
def feed():
    yield Feed()
    wslab.shutdown()


async def came(way: str, feed: Feed, **how) -> Tally:
    """Run a lane while three updates are made, until the tape has them or the lane ends."""
    server = await asyncio.to_thread(wslab.serve, app_of(feed))
    tally = Tally(server.tape)
    for number in (1, 2, 3):
        tally.made(number, 0.0)
    lane = asyncio.create_task(run_lane(way, server.port, after=0, until=3, poll_s=0.01, **how))
    async with asyncio.timeout(10):
        while not tally.ways[way].requests:
            tally.count()
            await asyncio.sleep(0.005)
        for number in (1, 2, 3):
            feed.add(f"u{number}:..")
        while len(tally.ways[way].came_s) < 3 and not tally.ways[way].refused:
            tally.count()
            await asyncio.sleep(0.005)
    lane.cancel()
    await asyncio.gather(lane, return_exceptions=True)
    return tally


@pytest.mark.parametrize("way", WAYS)
@in_a_loop
async def test_each_way_brings_all(way, feed):
    tally = await came(way, feed)
    assert set(tally.ways[way].came_s) == {1, 2, 3}
    assert all(not one.requests for name, one in tally.ways.items() if name != way)


@in_a_loop
async def test_a_websocket_without_upgrade_is_refused(feed):
    tally = await came("WebSocket", feed, upgrade=False)
    assert tally.ways["WebSocket"].refused == 404


@in_a_loop
async def test_where_nobody_listens_a_lane_does_not_raise():
    lane = asyncio.create_task(run_lane("SSE", 1, after=0, until=1, poll_s=1))
    await asyncio.wait_for(lane, 10)


def test_a_request_says_what_the_client_has():
    assert request_of("/poll", after=7).startswith(b"GET /poll?after=7 HTTP/1.1\r\n")
    assert b"Upgrade: websocket" in request_of("/socket", after=0, upgrade=True)

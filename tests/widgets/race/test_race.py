"""The race where there is no page: Python runs it, the tape counts, one round goes at a time."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests.peers import until
from tests.widgets.race.app import app_of, in_a_loop
from wslab.widgets import Race
from wslab.widgets.race.feed import Feed


@pytest.fixture
def served():
    feed = Feed()
    yield wslab.serve(app_of(feed)), feed
    wslab.shutdown()


QUICK = {"updates": 10, "rate_per_s": 50, "idle_s": 0, "poll_s": 0.1}


@in_a_loop
async def test_five_ways_tell_the_same_and_the_tape_says_what_each_took(served):
    server, feed = served
    feed.add("from before")
    race = Race(server, feed, **QUICK)
    assert "Press Start" in str(race)
    results = await race.run(size_bytes=30)
    assert [(one.updates, one.missed) for one in results.ways] == [(10, 0)] * 5
    assert results.ran_in == "Python"
    assert results["WebSocket"].requests == results["SSE"].requests == 1
    assert results["WebSocket"].bytes == results["WebSocket"].head_bytes + 10 * 32 + 4 + 8
    assert results["long polling"].requests >= 5
    assert "no page had come" in str(race)
    assert race.state == "done"
    assert race.said == results.by
    assert race.lanes[-1]["cells"][2] == f"{results['WebSocket'].bytes:,}"
    assert race.settings["size_bytes"] == 30
    data, _ = race._repr_mimebundle_()
    assert "long polling" in data["text/html"]
    race.close()


@in_a_loop
async def test_one_round_at_a_time(served):
    race = Race(*served, **QUICK)
    first = asyncio.ensure_future(race.run())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one round at a time"):
        await race.run()
    assert (await first)["SSE"].updates == 10
    race.close()


@in_a_loop
async def test_a_way_that_the_server_has_not_is_said():
    feed = Feed()
    server = await asyncio.to_thread(wslab.serve, app_of(feed, without="events"))
    race = Race(server, feed, **QUICK)
    results = await race.run()
    assert results.remarks == ["SSE: 10 of 10 updates missing; the server answered 404"]
    race.close()
    await asyncio.to_thread(wslab.shutdown)


def test_the_page_starts_one(served):
    race = Race(*served, **QUICK)
    race._take(race, {"type": "ready"}, [])
    assert not race._page_is_away
    race._page_is_away = True
    race._take(race, {"type": "start", "settings": {"size_bytes": 40, "updates": 3}}, [])
    until(lambda: race.results is not None and race.state == "done")
    assert race.results.settings.size_bytes == 40
    for odd in ({}, [], {"type": "start"}, {"type": "start", "settings": 3}):
        race._take(race, odd, [])
    assert race.failure == ""
    race.close()


def test_a_server_that_has_stopped_is_said_to_who_presses_start(served):
    race = Race(*served, **QUICK)
    served[0].stop()
    for _ in range(2):
        race._take(race, {"type": "start", "settings": {}}, [])
        assert "run the cell that starts it" in race.failure
    race.close()


@in_a_loop
async def test_who_is_interrupted_leaves_nothing_running(served):
    race = Race(*served, **{**QUICK, "idle_s": 10})
    running = asyncio.ensure_future(race.run())
    await asyncio.to_thread(until, lambda: race.state == "racing")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(until, lambda: race.state == "done" and not race.frame)
    assert (await race.run(idle_s=0))["SSE"].updates == 10
    race.close()


def test_what_is_no_server_and_what_has_no_tape_is_refused(served):
    with pytest.raises(TypeError, match="expected a Server, got Starlette"):
        Race(app_of(served[1]), served[1])
    with pytest.raises(ValueError, match="with a tape"):
        Race(wslab.serve(app_of(served[1]), record=False), served[1])

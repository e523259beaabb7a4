"""What comes goes to handlers, to calls that wait, or to recv()."""

from __future__ import annotations

import asyncio
import json

from tests.hub.rig import aio, until
from wslab.hub.client.event_dispatcher import EventDispatcher

GREETING = {"id": "a1", "session": None, "offset": None, "resumed": False, "gap": None}
WELCOME = json.dumps({"event": "welcome", "data": GREETING})
DROPPED = '{"event":"dropped","data":{"count":3}}'
ERROR = '{"event":"error","data":{"code":"too-fast","message":"slow down"}}'


def dispatcher(token=None):
    return EventDispatcher(asyncio.get_running_loop(), token)


@aio
async def test_until_a_handler_is_there_all_is_for_recv():
    made = dispatcher()
    messages = [WELCOME, '{"event":"x"}', "raw", DROPPED, ERROR]
    assert [own for message in messages for own in made.take(message)] == messages
    assert made.dropped == 3
    assert [str(failure) for failure in made.errors] == ["the hub said: slow down (too-fast)"]


@aio
async def test_then_events_are_for_handlers_and_the_rest_for_recv():
    made, seen = dispatcher(), []
    made.handlers.on("x", seen.append)
    made.handlers.on("dropped", seen.append)
    half = '{"event":"x","data":{"$binary":0},"binary":1}'
    waiting = [WELCOME, '{"event":"x","data":1}', '{"event":"y"}', "raw", DROPPED]
    assert made.claim("x", waiting) == ['{"event":"y"}', "raw"]
    assert made.take("raw") == ["raw"]
    assert made.take('{"event":"x","data":2}') == made.take(DROPPED) == made.take(ERROR) == []
    assert made.take(half) == made.take(b"b") == []
    await until(lambda: not made.queue.is_busy)
    assert seen == [1, {"count": 3}, 2, {"count": 3}, b"b"]


@aio
async def test_the_gap_of_a_client_that_came_back():
    made = dispatcher("t" * 16)
    first = {**GREETING, "session": True, "offset": 1}
    made.take(json.dumps({"event": "welcome", "data": first}))
    made.lost()
    again = {**first, "resumed": True, "gap": "too old"}
    assert made.take(json.dumps({"event": "welcome", "data": again})) == []
    assert made.gap == "too old"


@aio
async def test_a_packet_that_has_begun_to_come_is_for_its_handler():
    made, seen = dispatcher(), []
    made.sender.opened(Nowhere())
    half = '{"event":"x","data":{"$binary":0},"binary":1}'
    made.handlers.on("x", seen.append)
    assert made.claim("x", [half]) == []
    assert made.take(b"b") == []
    await until(lambda: not made.queue.is_busy)
    assert seen == [b"b"]
    assert made.take(half) == []
    assert made.claim("x", [half]) == [half]  # there is one already
    made.end()
    assert made.claim("x", [half]) == [half]


class Nowhere:
    is_open = True

    def put(self, message, following=()):
        pass

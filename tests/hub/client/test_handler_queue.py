"""Events in their turn: one handler at a time, in order, and a bound on those that wait."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.hub.rig import aio, until
from wslab.errors import Refused
from wslab.failures import FailureLog
from wslab.hub.client import handler_queue as module
from wslab.hub.client.handler_queue import HandlerQueue
from wslab.hub.client.handlers import Handlers
from wslab.hub.protocol.client_events import EventReceived


class Rig:
    def __init__(self):
        self.handlers, self.errors, self.told = Handlers(), FailureLog(10), []
        loop = asyncio.get_running_loop()
        self.queue = HandlerQueue(loop, self.handlers, self, self.errors)

    def answer(self, text, binary=()):
        self.told.append(json.loads(text))

    def put(self, event, data=None, id=None):
        self.queue.put(EventReceived(event, data, id, (f"{data}",)))

    async def idle(self):
        await until(lambda: not self.queue.is_busy)


@aio
async def test_one_at_a_time_and_in_order():
    rig, seen = Rig(), []

    async def slow(data):
        seen.append(data)
        await asyncio.sleep(0)
        seen.append(-data)

    def plain(data):  # on a thread
        seen.append(data)

    rig.handlers.on("slow", slow)
    rig.handlers.on("plain", plain)
    for nth in range(1, 4):
        rig.put("slow", nth)
        rig.put("plain", 10 * nth)
    assert rig.queue.is_busy
    await rig.idle()
    assert seen == [1, -1, 10, 2, -2, 20, 3, -3, 30]
    assert rig.queue.size_bytes == 0


@aio
async def test_what_a_handler_returns_is_the_answer():
    rig = Rig()

    async def refuse(data):
        raise Refused("not you")

    rig.handlers.on("double", lambda data: 2 * data)
    rig.handlers.on("refuse", refuse)
    rig.handlers.on("fail", lambda data: 1 // data)
    rig.put("double", 4, 1)
    rig.put("refuse", 4, 2)
    rig.put("fail", 0, 3)
    rig.put("nobody", 0, 4)
    await rig.idle()
    answers = {each["answer"]: each.get("data", each.get("error")) for each in rig.told}
    assert answers[1] == 8
    assert answers[2] == {"code": "refused", "message": "not you"}
    assert answers[3]["message"].startswith("ZeroDivisionError")
    assert answers[4]["message"] == (
        "nobody handles 'nobody' here; there are 'double', 'fail', 'refuse'"
    )
    assert [failure.event for failure in rig.errors] == ["fail"]
    assert rig.queue.unhandled == 1


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt, GeneratorExit])
@aio
async def test_no_exception_of_a_handler_ends_the_loop(exception):
    rig = Rig()

    async def leave(data):
        raise exception

    rig.handlers.on("leave", leave)
    rig.put("leave")
    await rig.idle()
    assert [failure.kind for failure in rig.errors] == [exception.__name__]


@aio
async def test_so_many_may_wait(monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 4)
    rig, go = Rig(), asyncio.Event()

    async def slow(data):
        await go.wait()

    rig.handlers.on("slow", slow)
    for nth in range(4):
        rig.put("slow", nth)
    assert rig.queue.is_at_limit
    assert not rig.queue.is_twice_full
    waiting = asyncio.create_task(rig.queue.room())
    await until(lambda: rig.queue.held_back())
    rig.put("slow", 4)
    assert "4 events wait for the handler of 'slow', which has run for" in rig.queue.held_back()
    assert not waiting.done()
    go.set()
    await waiting
    await rig.idle()
    assert rig.queue.held_back() == ""


@aio
async def test_the_end_cuts_off_what_takes_too_long():
    rig = Rig()

    async def for_ever(data):
        await asyncio.Event().wait()

    rig.handlers.on("ever", for_ever)
    for _ in range(3):
        rig.put("ever")
    await asyncio.sleep(0)
    await rig.queue.finish(0.01)
    assert not rig.queue.is_busy
    assert rig.queue.unhandled == 2


@aio
async def test_a_handler_knows_that_it_is_inside():
    rig, seen = Rig(), []
    rig.handlers.on("plain", lambda data: seen.append(rig.queue.is_inside))
    rig.put("plain")
    await rig.idle()
    assert seen == [True]
    assert not rig.queue.is_inside

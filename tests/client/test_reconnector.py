"""The attempts to come back: they can be stopped anywhere, and are bounded."""

from __future__ import annotations

import asyncio

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from wslab.client.backoff import Attempt, Reconnect
from wslab.client.reconnector import Reconnector

pytestmark = pytest.mark.usefixtures("memory_network")

BROKEN = ConnectionClosedError(None, None)


def refusal(status):
    return InvalidStatus(Response(status, "", Headers()))


def attempts(policy, outcomes):
    """A Reconnector whose attempts end as the list says: None opens."""
    left = list(outcomes)

    async def connect():
        outcome = left.pop(0)
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        elif outcome is not None:
            raise outcome

    return Reconnector(policy, connect, repr)


AT_ONCE = Reconnect(first_delay_s=0)


@pytest.mark.asyncio
async def test_it_tries_until_it_is_open():
    one = attempts(AT_ONCE, [ConnectionRefusedError(), TimeoutError(), None])
    assert await one.again(BROKEN, 0.0)
    assert [attempt.outcome for attempt in one.attempts] == [
        "ConnectionRefusedError()",
        "TimeoutError()",
        "open",
    ]
    assert [attempt.has_opened for attempt in one.attempts] == [False, False, True]
    assert isinstance(one.attempts[0], Attempt)
    assert one.why_ended == ""


@pytest.mark.asyncio
async def test_it_gives_up():
    one = attempts(Reconnect(first_delay_s=0, attempts=2), [ConnectionRefusedError()] * 3)
    assert not await one.again(BROKEN, 0.0)
    assert one.why_ended == (
        " It tried 2 times to come back, the last one: ConnectionRefusedError()."
    )


@pytest.mark.asyncio
async def test_a_final_failure():
    one = attempts(AT_ONCE, [TimeoutError(), refusal(404)])
    assert not await one.again(BROKEN, 0.0)
    assert "Attempt 2 to come back failed in a way" in one.why_ended
    assert "404" in one.why_ended


@pytest.mark.asyncio
async def test_a_final_end_is_not_tried():
    one = attempts(AT_ONCE, [])
    assert not await one.again(ConnectionClosedOK(Close(1000, ""), None), 0.0)
    assert not one.attempts


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["delay", "handshake"])
async def test_it_can_be_stopped_anywhere(where):
    policy = AT_ONCE if where == "handshake" else Reconnect(first_delay_s=30, random=lambda: 1.0)
    one = attempts(policy, [asyncio.Event()])
    task = asyncio.create_task(one.again(BROKEN, 0.0))
    is_there = {
        "delay": lambda: one.status.startswith("reconnecting, attempt 1, next in "),
        "handshake": lambda: one.status == "reconnecting, attempt 1",
    }
    while not is_there[where]():  # noqa: ASYNC110
        await asyncio.sleep(0)
    one.stop()
    assert not await task
    assert one.why_ended == " close() ended it at attempt 1 to come back."
    assert not await one.again(BROKEN, 0.0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.asyncio
async def test_it_ends_with_its_loop():
    one = attempts(AT_ONCE, [asyncio.Event()])
    task = asyncio.create_task(one.again(BROKEN, 0.0))
    while one.status != "reconnecting, attempt 1":  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.asyncio
async def test_what_is_remembered_is_bounded():
    one = attempts(AT_ONCE, [*[TimeoutError()] * 150, None])
    assert await one.again(BROKEN, 0.0)
    assert len(one.attempts) == 100
    assert one.attempts_seen == 151
    assert one.attempts[-1].has_opened

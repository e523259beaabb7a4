"""What a client says, from any thread, and the calls that wait."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.hub.rig import aio
from wslab.errors import CallFailed
from wslab.hub.client.packet_sender import ConnectionLost, PacketSender
from wslab.hub.protocol.client_events import AnswerReceived, CallLost
from wslab.hub.protocol.client_session import ClientSession

WELCOME = json.dumps({
    "event": "welcome",
    "data": {"id": "a1", "session": True, "offset": 0, "received": 0, "resumed": False},
})  # fmt: skip


class Outbox:
    def __init__(self):
        self.is_open, self.written = True, []

    def put(self, message, following=()):
        self.written.append(json.loads(message))


def sender(token=None, **options):
    return PacketSender(asyncio.get_running_loop(), ClientSession(token, **options))


@aio
async def test_what_is_said_before_a_connection_waits_for_it():
    sent, outbox = sender(), Outbox()
    sent.emit("a", 1, 0.0)
    sent.opened(outbox)
    number, _ = sent.call("b", None, 0.0)
    sent.answer('{"answer":1}')
    assert outbox.written == [
        {"event": "a", "data": 1}, {"event": "b", "id": number}, {"answer": 1},
    ]  # fmt: skip


@aio
async def test_a_call_gets_its_answer_or_learns_that_there_is_none():
    sent = sender()
    (one, first), (two, second), (three, third), (four, fourth) = [
        sent.call("x", None, 0.0) for _ in range(4)
    ]
    sent.settle(AnswerReceived(one, 5, None))
    sent.settle(AnswerReceived(two, None, {"code": "refused", "message": "no"}))
    sent.settle(CallLost(three))
    assert first.result(0) == 5
    with pytest.raises(CallFailed, match="no"):
        second.result(0)
    with pytest.raises(ConnectionLost):
        third.result(0)
    assert sent.withdraw(four)
    assert sent.waiting_calls == 0
    sent.end()
    assert not fourth.done()
    with pytest.raises(ConnectionLost):
        sent.call("x", None, 0.0)


@aio
async def test_there_is_room_again_when_the_hub_has_said_what_came():
    sent, outbox = sender("t" * 16, max_kept=2), Outbox()
    sent.opened(outbox)
    sent.receive(WELCOME)
    sent.emit("a", None, 0.0)
    sent.emit("b", None, 0.0)
    with pytest.raises(TimeoutError, match=r"2 packets \(128 bytes\) are kept already"):
        sent.emit("c", None, 0.01)
    waiting = asyncio.create_task(asyncio.to_thread(sent.emit, "c", None, 5.0))
    await asyncio.sleep(0.01)
    sent.receive('{"received":1}')
    sent.make_way()
    await waiting
    assert [each["n"] for each in outbox.written] == [1, 2, 3]


@aio
async def test_what_a_closing_connection_would_lose_waits_for_the_next_one():
    sent, outbox, other = sender("t" * 16), Outbox(), Outbox()
    sent.opened(outbox)
    sent.receive(WELCOME)
    outbox.is_open = False
    sent.emit("a", None, 0.0)
    assert outbox.written == []
    assert sent.lost() == []
    sent.opened(other)
    sent.receive(WELCOME.replace('"resumed": false', '"resumed": true'))
    assert other.written == [{"event": "a", "n": 1}]


@pytest.mark.parametrize("event", ["connect", "welcome", "*", "message", "", "x" * 129])
@aio
async def test_a_name_that_means_something_else_is_refused(event):
    with pytest.raises(ValueError, match="expected an event's name"):
        sender().emit(event, None, 0.0)

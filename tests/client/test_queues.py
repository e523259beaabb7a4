"""The inbox and the outbox by themselves: order, bounds, wake-ups, interrupts."""

from __future__ import annotations

import asyncio
import itertools
import queue
import sys
import threading
import time

import pytest

from tests.peers import until
from wslab.client import queues
from wslab.client.queues import Inbox, check_fragments
from wslab.errors import PortalClosed
from wslab.loops import portal


def call(func, *args):
    """Run on the lab's loop, where an inbox is filled."""
    return portal.lab().call(func, *args)


@pytest.fixture
def inbox():
    return Inbox(10, portal.lab().loop)


def test_order_and_count(inbox):
    for number in range(5):
        assert inbox.put(str(number))
    assert len(inbox) == 5
    assert [inbox.get(0) for _ in range(5)] == list("01234")
    assert not inbox
    with pytest.raises(queue.Empty):
        inbox.get(0)
    with pytest.raises(queue.Empty):
        inbox.get(-1)


def test_it_is_full_by_count_and_by_size(inbox):
    assert [inbox.put("x") for _ in range(10)] == [True] * 9 + [False]
    large = Inbox(1000, portal.lab().loop)
    quarter = bytes(queues.MAX_WAITING_BYTES // 4)
    assert [large.put(quarter) for _ in range(4)] == [True] * 3 + [False]
    large.get(0)
    assert not large.put(quarter)


@pytest.mark.parametrize("character", ["x", "é", "日", "🙂"])
def test_it_counts_bytes_and_not_characters(character):
    inbox = Inbox(1000, portal.lab().loop)
    message = character * 2**20
    held_bytes = 0
    while inbox.put(message):
        held_bytes += len(message.encode())
    assert held_bytes <= queues.MAX_WAITING_BYTES
    assert queues.size_of(message) >= max(len(message.encode()), sys.getsizeof(message) - 128)
    assert [inbox.get(0) for _ in range(len(inbox))][-1] is message
    assert inbox._size_bytes == 0


def test_the_pump_goes_on_when_it_is_half_empty(inbox):
    lab = portal.lab()
    while inbox.put("x"):
        pass
    waits = lab.submit(inbox.room)
    until(lambda: inbox.is_full)
    for _ in range(4):
        inbox.get(0)
    call(asyncio.sleep, 0.02)
    assert not waits.done()
    inbox.get(0)
    waits.result(5)
    assert not inbox.is_full
    # Where there is room meanwhile, nobody waits.
    lab.submit(inbox.room).result(5)


def test_a_reader_that_finds_nothing_wakes_a_pump_that_waits_in_vain(inbox):
    # As after an interrupt that struck between taking a message and waking the pump.
    lab = portal.lab()
    while inbox.put("x"):
        pass
    waits = lab.submit(inbox.room)
    until(lambda: inbox.is_full)
    inbox._messages.clear()
    inbox._size_bytes = 0
    with pytest.raises(queue.Empty):
        inbox.get(0.01)
    waits.result(5)


def test_closing_lets_the_pump_go(inbox):
    while inbox.put("x"):
        pass
    waits = portal.lab().submit(inbox.room)
    until(lambda: inbox.is_full)
    inbox.open = False
    call(inbox.wake)
    waits.result(5)


def test_the_end_stays(inbox):
    inbox.put("last")
    inbox.end()
    assert inbox.get(None) == "last"
    for _ in range(3):
        assert inbox.get(None) is None
    assert len(inbox) == 0


def test_the_end_wakes_every_reader(inbox):
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(inbox.get(None))) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: inbox._readers == 5)
    call(inbox.put, "one")
    call(inbox.end)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert sorted(outcomes, key=str) == [None] * 4 + ["one"]
    assert inbox._readers == 0


def test_many_readers_take_each_message_once():
    inbox = Inbox(100, portal.lab().loop)
    total = 20_000

    async def fill():
        for number in range(total):
            if not inbox.put(str(number)):
                await inbox.room()
        inbox.end()

    came = [[] for _ in range(4)]

    def read(mine, timeout):
        while True:
            try:
                message = inbox.get(timeout)
            except queue.Empty:
                continue
            if message is None:
                return
            mine.append(int(message))

    threads = [
        threading.Thread(target=read, args=(mine, timeout))
        for mine, timeout in zip(came, (None, 0.0001, 0.001, None), strict=True)
    ]
    for thread in threads:
        thread.start()
    filling = portal.lab().submit(fill)
    filling.result(30)
    for thread in threads:
        thread.join(10)
    assert sorted(itertools.chain(*came)) == list(range(total))
    assert all(mine == sorted(mine) for mine in came)


def test_a_message_wakes_a_reader_at_once(inbox):
    began = time.monotonic()
    portal.lab().loop.call_soon_threadsafe(portal.lab().loop.call_later, 0.02, inbox.put, "came")
    assert inbox.get(30) == "came"
    assert time.monotonic() - began < 10


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("where", ["waiting", "waking the pump"])
def test_an_interrupt_puts_back_what_was_not_handed_out(inbox, monkeypatch, where):
    for text in ("a", "b", "c"):
        inbox.put(text)

    def strike(*_args, **_kwargs):
        raise Interrupt

    if where == "waiting":
        assert [inbox.get(0) for _ in range(3)] == ["a", "b", "c"]

        class Bell:
            get = strike

        inbox._bell, bell = Bell(), inbox._bell
        with pytest.raises(Interrupt):
            inbox.get(None)
        inbox._bell = bell
    else:
        inbox._room = asyncio.Event()
        monkeypatch.setattr(inbox, "_wake_pump", strike)
        with pytest.raises(Interrupt):
            inbox.get(None)
        inbox._room = None
        assert [inbox.get(0) for _ in range(3)] == ["a", "b", "c"]
    assert inbox._size_bytes == 0
    assert inbox._readers == 0
    inbox.put("next")
    assert inbox.get(0) == "next"


def test_a_loop_that_has_ended_keeps_nothing_from_being_taken():
    mine = portal.Portal("short-lived")
    inbox = Inbox(2, mine.loop)
    mine.call(inbox.put, "a")
    mine.call(inbox.put, "b")
    inbox._room = asyncio.Event()
    mine.close()
    assert [inbox.get(0), inbox.get(0)] == ["a", "b"]
    outbox = queues.Outbox(type("Websocket", (), {"sends_plainly": True})(), mine._loop)
    with pytest.raises(PortalClosed):
        outbox.put("too late")


def test_fragments():
    check_fragments([])
    check_fragments(["a", "b"])
    check_fragments((b"a", bytearray(b"b"), memoryview(b"c")))
    for wrong in ([1], ["a", b"b"], [b"a", "b"], [["a"]], [None]):
        with pytest.raises(TypeError, match="all of them str or all of them bytes"):
            check_fragments(wrong)

"""The receive queue by itself: order, bounds, wake-ups, interrupts."""

from __future__ import annotations

import asyncio
import itertools
import queue
import sys
import threading
import time

import pytest

from tests.peers import until
from wslab.client import receive_queue
from wslab.client.receive_queue import ReceiveQueue
from wslab.loops import portals
from wslab.loops.portal import Portal

pytestmark = pytest.mark.usefixtures("memory_network")


def call(func, *args):
    """Run on the lab's loop, where a receive queue is filled."""
    return portals.lab().call(func, *args)


@pytest.fixture
def messages():
    return ReceiveQueue(10, portals.lab().loop)


def test_order_and_count(messages):
    for number in range(5):
        assert messages.put(str(number))
    assert len(messages) == 5
    assert [messages.get(0) for _ in range(5)] == list("01234")
    assert not messages
    with pytest.raises(queue.Empty):
        messages.get(0)
    with pytest.raises(queue.Empty):
        messages.get(-1)


def test_it_is_full_by_count_and_by_size(messages):
    assert [messages.put("x") for _ in range(10)] == [True] * 9 + [False]
    large = ReceiveQueue(1000, portals.lab().loop)
    quarter = bytes(receive_queue.MAX_WAITING_BYTES // 4)
    assert [large.put(quarter) for _ in range(4)] == [True] * 3 + [False]
    large.get(0)
    assert not large.put(quarter)


@pytest.mark.parametrize("character", ["x", "é", "日", "🙂"])
def test_it_counts_bytes_and_not_characters(character):
    messages = ReceiveQueue(1000, portals.lab().loop)
    message = character * 2**20
    held_bytes = 0
    while messages.put(message):
        held_bytes += len(message.encode())
    assert held_bytes <= receive_queue.MAX_WAITING_BYTES
    assert receive_queue.size_of(message) >= max(
        len(message.encode()), sys.getsizeof(message) - 128
    )
    assert [messages.get(0) for _ in range(len(messages))][-1] is message
    assert messages._size_bytes == 0


def test_the_pump_goes_on_when_it_is_half_empty(messages):
    lab = portals.lab()
    while messages.put("x"):
        pass
    waits = lab.submit(messages.room)
    until(lambda: messages.is_full)
    for _ in range(4):
        messages.get(0)
    call(asyncio.sleep, 0.02)
    assert not waits.done()
    messages.get(0)
    waits.result(5)
    assert not messages.is_full
    # Where there is room meanwhile, nobody waits.
    lab.submit(messages.room).result(5)


def test_a_reader_that_finds_nothing_wakes_a_pump_that_waits_in_vain(messages):
    # As after an interrupt that struck between taking a message and waking the pump.
    lab = portals.lab()
    while messages.put("x"):
        pass
    waits = lab.submit(messages.room)
    until(lambda: messages.is_full)
    messages._messages.clear()
    messages._size_bytes = 0
    with pytest.raises(queue.Empty):
        messages.get(0.01)
    waits.result(5)


def test_closing_lets_the_pump_go(messages):
    while messages.put("x"):
        pass
    waits = portals.lab().submit(messages.room)
    until(lambda: messages.is_full)
    messages.open = False
    call(messages.wake)
    waits.result(5)


def test_the_end_stays(messages):
    messages.put("last")
    messages.end()
    assert messages.get(None) == "last"
    for _ in range(3):
        assert messages.get(None) is None
    assert len(messages) == 0


def test_the_end_wakes_every_reader(messages):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(messages.get(None))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    until(lambda: messages._readers == 5)
    call(messages.put, "one")
    call(messages.end)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert sorted(outcomes, key=str) == [None] * 4 + ["one"]
    assert messages._readers == 0


def test_many_readers_take_each_message_once():
    messages = ReceiveQueue(100, portals.lab().loop)
    total = 20_000

    async def fill():
        for number in range(total):
            if not messages.put(str(number)):
                await messages.room()
        messages.end()

    came = [[] for _ in range(4)]

    def read(mine, timeout):
        while True:
            try:
                message = messages.get(timeout)
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
    filling = portals.lab().submit(fill)
    filling.result(30)
    for thread in threads:
        thread.join(10)
    assert sorted(itertools.chain(*came)) == list(range(total))
    assert all(mine == sorted(mine) for mine in came)


def test_a_message_wakes_a_reader_at_once(messages):
    began = time.monotonic()
    portals.lab().loop.call_soon_threadsafe(
        portals.lab().loop.call_later, 0.02, messages.put, "came"
    )
    assert messages.get(30) == "came"
    assert time.monotonic() - began < 10


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("where", ["waiting", "waking the pump"])
def test_an_interrupt_puts_back_what_was_not_handed_out(messages, monkeypatch, where):
    for text in ("a", "b", "c"):
        messages.put(text)

    def strike(*_args, **_kwargs):
        raise Interrupt

    if where == "waiting":
        assert [messages.get(0) for _ in range(3)] == ["a", "b", "c"]

        class Bell:
            get = strike

        messages._bell, bell = Bell(), messages._bell
        with pytest.raises(Interrupt):
            messages.get(None)
        messages._bell = bell
    else:
        messages._room = asyncio.Event()
        monkeypatch.setattr(messages, "_wake_pump", strike)
        with pytest.raises(Interrupt):
            messages.get(None)
        messages._room = None
        assert [messages.get(0) for _ in range(3)] == ["a", "b", "c"]
    assert messages._size_bytes == 0
    assert messages._readers == 0
    messages.put("next")
    assert messages.get(0) == "next"


def test_a_loop_that_has_ended_keeps_nothing_from_being_taken():
    mine = Portal("short-lived")
    messages = ReceiveQueue(2, mine.loop)
    mine.call(messages.put, "a")
    mine.call(messages.put, "b")
    messages._room = asyncio.Event()
    mine.close()
    assert [messages.get(0), messages.get(0)] == ["a", "b"]

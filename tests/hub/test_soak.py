"""The soak's short form, and the proof that it notices what it is there to notice."""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import weakref

import pytest

from tests.hub import rig
from tests.hub.rig import TOKEN, FakeSocket, aio, one, until
from tests.hub.soak import WORLDS, soak
from tests.hub.soak_attacks import KINDS
from wslab.hub import Hub
from wslab.hub.engineio.outbox import Outbox
from wslab.hub.protocol.server_session import ServerSession
from wslab.hub.server.registry import Registry
from wslab.hub.server.send_queue import SENT, SendQueue


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@aio
async def test_a_crowd_at_random_loses_nothing_and_gets_nothing_twice(seed):
    found = await soak(60, 9.0, seed)
    stats = found.stats
    for what in ("read", "answers", "abort", "close", "bye", "flood", "bad", "boom", "refused",
                 "resumed", "replayed", "taken over", "too slow", "by websocket", "by polling",
                 "by upgrade", "went over"):  # fmt: skip
        assert stats[what], f"{what} did not occur: {found.table()}"
    dropped = {world.name for world in found.worlds if world.stats["dropped"]}
    assert dropped == set(WORLDS), found.table()
    assert "nothing lost, nothing twice" in found.table()


@pytest.mark.slow
@aio
async def test_a_crowd_under_uvicorn_loses_nothing_and_gets_nothing_twice(monkeypatch):
    monkeypatch.setattr(rig, "carrier", "asgi")
    found = await soak(40, 8.0, 3)
    for what in ("read", "answers", "abort", "close", "flood", "refused", "resumed", "replayed"):
        assert found.stats[what], f"{what} did not occur: {found.table()}"
    assert "nothing lost, nothing twice" in found.table()


@pytest.mark.slow
@aio
async def test_attackers_among_the_crowd_take_nothing_from_it():
    found = await soak(40, 12.0, 3, attacks=True)
    for kind in KINDS:
        assert found.attackers[kind], found.table()
    limited = sum((world.hub.limited for world in found.worlds), collections.Counter())
    for limit in ("rooms_per_client", "gone_handlers", "history_rooms"):
        assert limited[limit], found.table()
    assert all(found.latencies_s.values()), found.table()  # both were measured


class Crooked:
    """Does something wrong with an event, now and then, on its way to a client."""

    def __init__(self, how: str, policy: str) -> None:
        self.how, self.policy = how, policy
        self.true_put = SendQueue.put
        self.events = 0
        self.kept: tuple | None = None

    def put(self, backlog, message, delivery=None, *args, **options):
        def put(message=message, delivery=delivery):
            return self.true_put(backlog, message, delivery, *args, **options)

        if delivery is None or backlog._policy != self.policy or backlog._entries:
            return put()
        self.events += 1
        if self.kept is not None and self.kept[0] is backlog:
            _, late, self.kept = *self.kept[:2], None
            outcome = put()
            put(late, None)
            return outcome
        if self.events % 40 == 0:
            if self.how == "twice":
                put()
            elif self.how == "out of order":
                self.kept = backlog, message
                return SENT
            else:
                return SENT
        return put()


@pytest.mark.parametrize("how", ["lost", "twice", "out of order"])
@pytest.mark.parametrize("policy", ["drop-oldest", "disconnect"])
@aio
async def test_it_notices_one_event_that_is(how, policy, monkeypatch):
    crooked = Crooked(how, policy)
    monkeypatch.setattr(
        SendQueue, "put", lambda self, *args, **options: crooked.put(self, *args, **options)
    )
    wanted = how if (how, policy) != ("out of order", "disconnect") else "lost: event"
    if (how, policy) == ("lost", "drop-oldest"):
        # Where another is dropped and told before the loss shows, it is taken for the lost one.
        wanted = "(lost|out of order: event)"
    with pytest.raises(AssertionError, match=f"(?s)^seed 7: {wanted}.*its last steps"):
        await soak(20, 2.0, 7, stock=0)


@pytest.mark.parametrize("count", [0, 2])
@aio
async def test_it_notices_what_a_polling_client_does_not_get_or_gets_twice(count, monkeypatch):
    puts = iter(range(100_000))
    true_put = Outbox.put

    def put(self, message, dialect):
        # An event of the crowd's: not a ping, nor what tells of a loss.
        is_meant = getattr(getattr(message, "_said", None), "event", "") == "say"
        for _ in range(count if is_meant and next(puts) % 20 == 19 else 1):
            true_put(self, message, dialect)

    monkeypatch.setattr(Outbox, "put", put)
    with pytest.raises(AssertionError, match="seed 7: "):
        await soak(20, 3.0, 7, stock=1.0)


@aio
async def test_it_notices_a_packet_that_is_handled_twice(monkeypatch):
    numbers = iter(range(1000))

    def received(self):
        return self.__dict__["received"]

    def set_received(self, value):  # the twentieth packet is not noted as taken up
        if value == 0 or next(numbers) != 20:
            self.__dict__["received"] = value

    monkeypatch.setattr(ServerSession, "received", property(received, set_received), raising=False)
    with pytest.raises(AssertionError, match="seed 7: "):
        await soak(20, 2.0, 7, stock=0)


@aio
async def test_it_notices_a_room_that_nobody_left(monkeypatch):
    leaves = iter(range(1000))
    true_leave = Registry.leave
    monkeypatch.setattr(
        Registry,
        "leave",
        lambda self, client, room: next(leaves) % 5 != 4 and true_leave(self, client, room),
    )
    with pytest.raises(
        AssertionError, match="seed 7: (.*rooms differ|not meant for it|event .* had)"
    ):
        await soak(20, 2.0, 7, stock=0)


@aio
async def test_it_notices_a_hang(monkeypatch):
    monkeypatch.setattr("tests.hub.soak.WAIT_S", 0.5)

    async def room(self):
        lost = asyncio.Event()
        self._link.when_lost(lost.set)
        await lost.wait()

    monkeypatch.setattr(SendQueue, "is_full_of_answers", property(lambda self: self.sent > 40))
    monkeypatch.setattr(SendQueue, "room", room)
    with pytest.raises(AssertionError, match="in vain until all are connected and quiet"):
        await soak(10, 2.0, 7)


# What it found.


@aio
async def test_what_was_dropped_is_told_also_after_the_next_flood():
    hub = Hub(backlog=2)
    fake = FakeSocket()
    task = asyncio.create_task(hub(fake))
    client = await until(lambda: len(hub.clients) and one(hub))
    true_write = fake.transport.write

    def write(data):  # the last that waits fills the buffers again
        true_write(data)
        if b'"e4"' in data:
            fake.pause()

    fake.transport.write = write
    fake.pause()
    for nth in range(5):
        client.emit(f"e{nth}")
    fake.resume()
    await until(lambda: any('"e4"' in text for text in fake.texts))
    for nth in range(5, 10):
        client.emit(f"e{nth}")
    fake.resume()
    await until(lambda: not client.queued)
    events = [json.loads(text) for text in fake.texts][1:]
    told = sum(each["data"]["count"] for each in events if each["event"] == "dropped")
    came = [each["event"] for each in events if each["event"] != "dropped"]
    assert told == 10 - len(came) == client.dropped
    fake.lose()
    await task


@aio
async def test_a_session_is_told_what_was_dropped_of_its_earlier_connection():
    hub = Hub(backlog=2, history=100)
    first = FakeSocket(f"/?session={TOKEN}")
    tasks = [asyncio.create_task(hub(first))]
    client = await until(lambda: len(hub.clients) and one(hub))
    first.pause()
    for nth in range(1, 6):
        client.emit(f"e{nth}")  # 1, 2 and 3 make way for 4 and 5
    true_write = first.transport.write

    def write(data):
        true_write(data)
        first.pause()

    first.transport.write = write
    first.resume()
    await until(lambda: any('"e4"' in text for text in first.texts))
    first.lose()  # before it had caught up and could be told
    await until(lambda: not hub.clients)
    for nth, (offset, told) in enumerate([(4, 3), (4, 3), (7, None)]):
        fake = FakeSocket(f"/?session={TOKEN}&offset={offset}")
        tasks.append(asyncio.create_task(hub(fake)))
        await until(lambda: len(hub.clients))
        welcome, *events = [json.loads(text) for text in fake.texts]
        assert welcome["data"]["gap"] is None
        dropped = [each["data"]["count"] for each in events if each["event"] == "dropped"]
        assert dropped == ([] if told is None else [told]), nth
        came = [each["offset"] for each in events if each["event"] != "dropped"]
        assert came == list(range(offset + 1, 6))
        assert [each["offset"] for each in events if each["event"] == "dropped"] == [6 + nth][
            : len(dropped)
        ]
        fake.lose()
        await until(lambda: not hub.clients)
    await asyncio.gather(*tasks)


@aio
async def test_a_session_that_is_away_holds_no_connection():
    hub = Hub(history=10)
    fake = FakeSocket(f"/?session={TOKEN}")
    task = asyncio.create_task(hub(fake))
    client = weakref.ref(await until(lambda: len(hub.clients) and one(hub)))
    client().name = "alice"
    fake.lose()
    await task
    del task, fake
    await asyncio.sleep(0)  # the task lets go of it
    gc.collect()
    assert client() is None
    again = FakeSocket(f"/?session={TOKEN}&offset=0")
    task = asyncio.create_task(hub(again))
    await until(lambda: len(hub.clients))
    assert (one(hub).name, one(hub).is_resumed) == ("alice", True)
    again.lose()
    await task

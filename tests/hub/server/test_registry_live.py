"""Registry over real sockets, views by themselves, and threads that look on while all changes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.hub.rig import (
    TOKEN,
    FakeSocket,
    aio,
    inside,
    listening,
    one,
    speaking,
    story_settings,
    until,
)
from wslab.errors import Refused
from wslab.hub import Hub, Limits, Trace

ROOMS = ("red", "blue", "green")
ROOM = st.sampled_from(ROOMS)
WHO = st.integers(0, 11)

# With real sockets.


class OverSockets(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.hub = Hub()
        self.hub.on("join", _join)
        self.hub.on("leave", _leave)
        self.hub.on("say", self.say)
        self.stack = contextlib.AsyncExitStack()
        self.url = self.runner.run(self.stack.enter_async_context(listening(self.hub)))
        self.wires = []
        self.rooms = {}  # the model: by room, the wires in it

    def say(self, client, room):
        # A plain function, so on a thread of its own.
        return sorted(self.hub.emit("said", room, to=room, skip=client).outcomes or ())

    @precondition(lambda self: len(self.wires) < 4)
    @rule()
    def connect(self):
        self.wires.append(self.runner.run(self.stack.enter_async_context(speaking(self.url))))

    def has_wires(self):
        return bool(self.wires)

    @precondition(has_wires)
    @rule(who=WHO, room=ROOM, event=st.sampled_from(["join", "join", "leave"]))
    def move(self, who, room, event):
        wire = self.wires[who % len(self.wires)]
        them = self.rooms.setdefault(room, [])
        changes = (wire in them) is (event == "leave")
        assert self.runner.run(wire.call(event, room)) is changes
        if changes:
            them.append(wire) if event == "join" else them.remove(wire)
        if not them:
            del self.rooms[room]

    @precondition(has_wires)
    @rule(who=WHO, room=ROOM)
    def talk(self, who, room):
        wire, them = self.wires[who % len(self.wires)], self.rooms.get(room, [])
        self.hub.trace = Trace()
        assert self.runner.run(wire.call("say", room)) == sorted(each.id for each in them)
        (delivery,) = self.hub.trace.deliveries
        assert delivery.outcomes == {
            each.id: "skipped" if each is wire else "sent" for each in them
        }
        for each in self.wires:
            heard = [{"event": "said", "data": room}] if each in them and each is not wire else []
            assert self.runner.run(each.all()) == heard

    @rule(room=ROOM)
    def close_room(self, room):
        assert self.runner.run(asyncio.to_thread(self.hub.close_room, room)) == len(
            self.rooms.pop(room, [])
        )

    @precondition(has_wires)
    @rule(who=WHO, how=st.sampled_from(["close", "abort", "kick", "bad frame", "half"]))
    def disconnect(self, who, how):
        wire = self.wires.pop(who % len(self.wires))
        client = self.hub.clients[wire.id]

        async def end():
            if how == "close":
                await wire.websocket.close()
            elif how == "abort":
                await wire.abort()
            elif how == "kick":
                client.disconnect(4000)
                assert wire.id not in self.hub.clients
                assert await wire.closed() == (4000, "")
            else:  # a frame with all bits set, or one that is cut off in the middle
                wire.websocket.transport.write(b"\xff" * 4 if how == "bad frame" else b"\x81\xff")
                wire.websocket.transport.close()
                await wire.websocket.wait_closed()
            await until(lambda: wire.id not in self.hub.clients)

        self.runner.run(end())
        for room, them in tuple(self.rooms.items()):
            self.rooms[room] = [each for each in them if each is not wire]
            if not self.rooms[room]:
                del self.rooms[room]

    @invariant()
    def the_hub_agrees(self):
        assert list(self.hub.clients) == [wire.id for wire in self.wires]
        assert {room: [client.id for client in them] for room, them in self.hub.rooms.items()} == {
            room: [wire.id for wire in them] for room, them in self.rooms.items()
        }
        for wire in self.wires:
            mine = {room for room, them in self.rooms.items() if wire in them}
            assert self.hub.clients[wire.id].rooms == mine

    def teardown(self):
        try:
            self.end()
        finally:
            self.runner.close()

    def end(self):
        self.runner.run(self.stack.aclose())
        assert not self.hub.clients
        assert not self.hub.rooms
        assert not self.hub.errors


async def _join(client, room):
    return client.join(room)


async def _leave(client, room):
    return client.leave(room)


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_story_over_real_sockets():
    run_state_machine_as_test(OverSockets, settings=story_settings(12, 25))


# Single things.


@contextlib.asynccontextmanager
async def _full_of(count, hub, rooms=()):
    sockets = [FakeSocket() for _ in range(count)]
    tasks = [asyncio.create_task(hub(each)) for each in sockets]
    await until(lambda: len(hub.clients) == count)
    for client, room in itertools.product(hub.clients.values(), rooms):
        client.join(room)
    yield sockets
    for each in sockets:
        each.lose()
    await asyncio.gather(*tasks)


@aio
async def test_the_views_are_read_only():
    hub = Hub()
    async with _full_of(1, hub, ["red"]):
        (client,) = hub.clients.values()
        for view, key in ((hub.clients, client.id), (hub.rooms, "red")):
            with pytest.raises(TypeError, match="does not support item assignment"):
                view[key] = view[key]
            with pytest.raises(TypeError, match="does not support item deletion"):
                del view[key]
            assert not hasattr(view, "pop")
            assert not hasattr(view, "clear")
            for missing in ("nobody", 5, None, client):
                assert missing not in view
                assert view.get(missing) is None
                with pytest.raises(KeyError):
                    view[missing]
            assert view == dict(view.items())
        assert hub.rooms["red"] == (client,)
        with pytest.raises(AttributeError):
            client.rooms.add("blue")
        with pytest.raises(AttributeError):
            client.rooms = {"blue"}
        assert repr(hub.rooms) == "<1 rooms: red (1)>"
    assert repr(hub.rooms) == "<0 rooms: none>"


@aio
async def test_looking_for_a_value_while_everybody_leaves():
    hub = Hub()

    class Nosy:
        def __init__(self):
            self.seen = 0

        def __eq__(self, other):
            self.seen += 1
            for client in hub.clients.values():
                client.disconnect()
            return False

        __hash__ = None

    for view in (hub.clients, hub.rooms):
        async with _full_of(3, hub, ["red", "blue"]):
            nosy, expected = Nosy(), len(view)
            assert nosy not in view.values()
            assert (nosy.seen, len(view)) == (expected, 0)


@aio
async def test_an_id_may_need_all_its_digits():
    hub = Hub()
    digits = "abcdef" * 5 + "ab"
    for length in range(6, 33):
        assert inside(hub).registry.id_for(digits) == digits[:length]
        inside(hub).registry.members[digits[:length]] = None
    inside(hub).registry.members.clear()


@aio
async def test_threads_never_see_half_of_a_change():
    # Each client joins "1", "2", "3" in this order and leaves all at once, by going: so whoever is
    # in one of them is in those before it, at any moment.
    hub = Hub()
    is_over = False
    looks, leaves = [0, 0], [0]
    interval = sys.getswitchinterval()

    @hub.on("look")
    def look(client, nth):
        while not is_over:
            rooms = {room: set(clients) for room, clients in hub.rooms.items()}
            assert all(rooms.values()), "an empty room"
            assert rooms.get("3", set()) <= rooms.get("2", set()) <= rooms.get("1", set())
            for id, each in hub.clients.items():
                assert each.id == id
                assert each.rooms in ({"1", "2", "3"}, {"1", "2"}, {"1"}, set())
            ids = [*hub.clients]
            assert len(ids) == len(set(ids))
            assert client in hub.clients.values()
            assert client not in hub.rooms.values()
            assert len(hub.rooms.get("1", ())) <= 8
            assert repr(hub.rooms)
            assert repr(hub.clients)
            looks[nth] += 1
        return looks[nth]

    async def churn():
        while (min(looks) < 150 or leaves[0] < 150) and not hub.errors:
            socket = FakeSocket()
            task = asyncio.create_task(hub(socket))
            client = await until(lambda socket=socket: _of(hub, socket))
            for room in "123":
                client.join(room)
                await asyncio.sleep(0)
            socket.lose()
            await task
            leaves[0] += 1

    sys.setswitchinterval(1e-5)
    try:
        async with _full_of(2, hub) as lookers:
            for nth, each in enumerate(lookers):
                each.feed({"event": "look", "data": nth, "id": 1})
            churning = asyncio.gather(*(churn() for _ in range(4)))
            await asyncio.wait([churning, *inside(hub).loop.tasks])
            is_over = True
            assert not hub.errors
            for nth, each in enumerate(lookers):
                answer = await until(lambda each=each: _answer(each))
                assert answer == {"answer": 1, "data": looks[nth]}
            await churning
    finally:
        is_over = True
        sys.setswitchinterval(interval)
    assert not hub.errors


def _of(hub, socket):
    return next((each for each in hub.clients.values() if each.websocket is socket), None)


def _answer(socket):
    return next((json.loads(text) for text in socket.texts if text.startswith('{"answer"')), None)


@aio
async def test_rooms_are_bounded_for_all_clients_of_an_address():
    hub = Hub(limits=Limits(rooms_per_address=3, proxies=("127.0.0.1",)))

    @hub.on("join")
    async def join(client, room):
        return client.join(room)

    hub.on("leave", lambda client, room: client.leave(room))

    def from_(address):
        return {"additional_headers": {"X-Forwarded-For": address}}

    async with listening(hub) as url, speaking(url, **from_("1.1.1.1")) as other:
        async with (
            speaking(url, **from_("6.6.6.6")) as one,
            speaking(url, **from_("6.6.6.6")) as two,
        ):
            assert await one.call("join", "a")
            assert await one.call("join", "b")
            assert await two.call("join", "a")
            refused = await two.call("join", "c")
            assert "clients of an address in at most 3 rooms" in refused["message"]
            assert await other.call("join", "c")
            assert await one.call("leave", "b")
            assert await two.call("join", "b")
            assert (await two.call("join", "d"))["code"] == "refused"
        await until(lambda: len(hub.clients) == 1)
        assert dict(inside(hub).registry._stays) == {"1.1.1.1": 1}
    assert hub.limited == {"rooms_per_address": 2}


@aio
async def test_rooms_are_bounded_for_a_client_and_in_all_and_by_name():
    hub = Hub(limits=Limits(rooms=4, rooms_per_client=3, room_name_bytes=20))

    @hub.on("join")
    async def join(client, room):
        return client.join(room)

    async with listening(hub) as url, speaking(url) as junk, speaking(url) as other:
        for nth in range(3):
            assert await junk.call("join", f"room {nth}", id=nth) is True
        assert await junk.call("join", "room 0") is False
        refused = await junk.call("join", "one more")
        assert refused["code"] == "refused"
        assert "at most 3 rooms" in refused["message"]
        assert "'one more' was not joined (Limits(rooms_per_client=...))" in refused["message"]
        for room in ("x" * 21, "é" * 11):
            refused = await other.call("join", room)
            assert "a room's name of at most 20 bytes" in refused["message"]
        assert await other.call("join", "é" * 10) is True
        assert "at most 4 rooms in all" in (await other.call("join", "mine"))["message"]
        assert await other.call("join", "room 2") is True
        assert len(hub.rooms) == 4
        client = next(client for client in hub.clients.values() if "room 0" in client.rooms)
        with pytest.raises(Refused):
            client.join("mine")
    assert hub.limited == {"rooms_per_client": 2, "rooms": 1, "room_name_bytes": 2}
    assert not hub.errors


@aio
async def test_who_comes_back_is_in_its_rooms_however_many_there_are_now():
    hub = Hub(history=10, limits=Limits(rooms=2, rooms_per_client=2))
    hub.on("join", lambda client, rooms: [client.join(room) for room in rooms])
    async with listening(hub) as url:
        mine = f"{url}?session={TOKEN}"
        async with speaking(mine) as wire:
            await wire.call("join", ["a", "b"])
            client = one(hub)
            await wire.abort()
        await until(lambda: not hub.clients)
        with pytest.raises(Refused):  # also of one that is away
            client.join("c")
        assert client.join("a") is False
        async with speaking(url) as other:
            assert await other.call("join", ["c", "d"]) == [True, True]
            async with speaking(f"{mine}&offset=0"):
                assert set(hub.rooms) == {"a", "b", "c", "d"}

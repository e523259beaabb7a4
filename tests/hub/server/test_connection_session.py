"""Sessions that outlive a connection, by the bytes."""

from __future__ import annotations

import pytest

from tests.hub.rig import (
    TOKEN,
    aio,
    listening,
    one,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import Refused
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")


def _url(url, token=TOKEN, offset=None):
    return f"{url}?session={token}" + ("" if offset is None else f"&offset={offset}")


@aio
async def test_a_first_connection_begins_a_session():
    hub = Hub(history=10)
    hub.emit("before", 1)
    async with listening(hub) as url:
        async with speaking(_url(url), welcomed=False) as wire:
            assert await wire.websocket.recv() == (
                f'{{"event":"welcome","data":{{"id":"{one(hub).id}","session":true,'
                '"offset":1,"received":0,"resumed":false,"gap":null,'
                f'"user":"{one(hub).user_id}"}}}}'
            )
            assert one(hub).session == TOKEN
            assert one(hub).path == "/"
        async with speaking(url) as wire:
            token = wire.welcome["session"]
            assert len(token) == 32
            assert token != TOKEN
        for odd in ("short", "x" * 65, "with%20space______", ""):
            async with speaking(_url(url, odd)) as wire:
                assert len(wire.welcome["session"]) == 32
                assert wire.welcome["gap"] is None
        async with speaking(url + "chat?a=1&session=" + TOKEN[::-1] + "&b=2") as wire:
            assert wire.welcome["session"] is True
            assert one(hub).session == TOKEN[::-1]
            assert one(hub).path == "/chat?a=1&b=2"


@aio
async def test_coming_back_restores_and_brings_exactly_what_was_missed():
    hub = Hub(history=10)
    hub.on("disconnect", lambda client, reason: None)
    async with listening(hub) as url, speaking(url) as other:
        async with speaking(_url(url)) as wire:
            client = hub.clients[wire.id]
            client.name = "alice"
            client.data["x"] = 1
            client.join("red")
            hub.emit("e", "seen", to="red")
            assert (await wire.read())["offset"] == 1
            await wire.abort()
        await until(lambda: len(hub.clients) == 1)
        assert not hub.rooms
        assert client.rooms == {"red"}
        hub.emit("e", "room", to="red")
        hub.emit("e", "not for her", to="blue")
        hub.emit("e", "all", skip=hub.clients[other.id])
        hub.emit("e", "skipped", skip=client)
        client.emit("e", {"bytes": b"private"})
        hub.emit("e", "both, once", to=["red", client, "blue"])
        hub.emit("e", "not to skip", to=[client, "red"], skip=client)
        hub.broadcast("raw is not kept")
        async with speaking(_url(url, offset=1)) as wire:
            welcome = wire.welcome
            assert (welcome["resumed"], welcome["gap"], welcome["offset"]) == (True, None, 1)
            client = hub.clients[wire.id]
            assert (client.name, client.data, client.rooms) == ("alice", {"x": 1}, {"red"})
            assert client.is_resumed
            hub.emit("e", "new", to="red")
            packets = await wire.all()
            assert packets == [
                {"event": "e", "data": "room", "offset": 2},
                {"event": "e", "data": "all", "offset": 4},
                {"event": "e", "data": {"bytes": {"$binary": 0}}, "offset": 6, "binary": 1},
                b"private",
                {"event": "e", "data": "both, once", "offset": 7},
                {"event": "e", "data": "new", "offset": 9},
            ]
            assert client.dropped == 0
    assert [past.offset for past in hub.history("red")] == [1, 2, 7, 8, 9]


@aio
async def test_who_has_received_nothing_yet_gets_everything():
    hub = Hub(history=10)

    @hub.on("connect")
    async def connect(client):
        client.join("lobby")

    async with listening(hub) as url:
        async with speaking(_url(url), welcomed=False) as wire:
            await until(lambda: hub.rooms)
            hub.emit("e", 1, to="lobby")
            hub.emit("e", 2)
            await wire.abort()
        await until(lambda: not hub.clients)
        hub.emit("e", 3, to="lobby")
        async with speaking(_url(url)) as wire:
            assert (wire.welcome["resumed"], wire.welcome["offset"]) == (True, 0)
            assert [packet["data"] for packet in await wire.all()] == [1, 2, 3]


@aio
async def test_a_gap_that_is_too_old():
    hub = Hub(history=3)
    async with listening(hub) as url:
        async with speaking(_url(url)) as wire:
            one(hub).join("red")
            one(hub).name = "alice"
            await wire.abort()
        await until(lambda: not hub.clients)
        for nth in range(4):
            hub.emit("e", nth, to="red")
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["gap"] == "too old"
            assert (wire.welcome["resumed"], wire.welcome["offset"]) == (True, 4)
            assert (one(hub).rooms, one(hub).name) == ({"red"}, "alice")
            hub.emit("e", "new", to="red")
            assert await wire.all() == [{"event": "e", "data": "new", "offset": 5}]
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=99)) as wire:  # of another life of this hub
            assert wire.welcome["gap"] == "too old"
            assert await wire.all() == []
            await wire.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=2)) as wire:
            assert wire.welcome["gap"] is None
            assert [packet["offset"] for packet in await wire.all()] == [3, 4, 5]


@pytest.mark.parametrize("handler", [False, True])
@pytest.mark.parametrize("why", ["restarted", "expired", "goodbye", "kicked"])
@aio
async def test_a_session_that_is_unknown(why, handler):
    hub = Hub(history=3, session_s=60)
    resumed = []
    if handler:
        hub.on("connect", lambda client: resumed.append((client.is_resumed, client.name)))
    async with listening(hub) as url:
        if why != "restarted":
            async with speaking(_url(url)) as wire:
                one(hub).join("red")
                one(hub).name = "alice"
                one(hub).data["x"] = 1
                if why == "kicked":
                    one(hub).disconnect(4000)
                    await wire.closed()
                elif why == "expired":
                    await wire.abort()
            await until(lambda: not hub.clients)
        sessions_of(hub).session_s = -1.0  # whoever is away is forgotten
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["gap"] == "session unknown"
            assert wire.welcome["resumed"] is False
            assert wire.welcome["received"] == 0
            client = one(hub)
            assert (client.rooms, client.name, client.data) == (set(), None, {})
            assert not client.is_resumed
            assert client.session == TOKEN
    assert resumed == [(False, None)] * (0 if not handler else 1 if why == "restarted" else 2)
    assert len(sessions_of(hub)) <= 1


@aio
async def test_the_connect_handler_sees_whom_it_has_before_it():
    hub = Hub(history=10)
    seen = []

    @hub.on("connect")
    async def connect(client):
        seen.append((client.is_resumed, client.name, dict(client.data)))
        client.data["visits"] = client.data.get("visits", 0) + 1
        client.name = f"alice {client.data['visits']}"
        client.join("lobby")

    async with listening(hub) as url:
        for nth in range(3):
            async with speaking(_url(url)) as wire:
                assert wire.welcome["resumed"] is (nth > 0)
                await wire.abort()
            await until(lambda: not hub.clients)
    assert seen == [
        (False, None, {}),
        (True, "alice 1", {"visits": 1}),
        (True, "alice 2", {"visits": 2}),
    ]


@aio
async def test_a_refused_return_ends_the_connection_but_not_the_session():
    hub = Hub(history=10)
    refuses = False
    told = []
    hub.on("disconnect", lambda client, reason: told.append(reason))

    @hub.on("connect")
    async def connect(client):
        if refuses:
            raise Refused("not now")

    async with listening(hub) as url, speaking(_url(url)) as wire:
        one(hub).join("red")
        refuses = True
        async with speaking(_url(url), welcomed=False) as second:
            assert await second.closed() == (1008, "not now")
        assert await wire.closed() == (4409, "session continued elsewhere")
        assert told == ["sent away with 4409 (session continued elsewhere)"]
        assert not hub.clients
        refuses = False
        async with speaking(_url(url, offset=0)) as wire:
            assert wire.welcome["resumed"]
            assert one(hub).rooms == {"red"}


@aio
async def test_taking_over():
    hub = Hub(history=10, session_s=60)
    ends = []
    hub.on("disconnect", lambda client, reason: ends.append((client.id, reason)))
    async with listening(hub) as url, speaking(_url(url)) as old:
        first = one(hub)
        first.join("red")
        hub.emit("e", 1, to="red")
        async with speaking(_url(url, offset=0)) as new:
            assert new.welcome["resumed"]
            assert [packet["data"] for packet in await new.all()] == [1]
            assert await old.closed() == (4409, "session continued elsewhere")
            await until(lambda: ends)
            assert ends == [(old.id, "sent away with 4409 (session continued elsewhere)")]
            second = one(hub)
            assert second.id == new.id
            assert hub.rooms["red"] == (second,)
            # The old handle is the session's still.
            first.emit("e", 2)
            assert first.join("blue")
            assert second.rooms == {"red", "blue"}
            assert first.leave("blue")
            hub.emit("e", 3, to="red", skip=first)
            assert [packet["data"] for packet in await new.all()] == [2]
            # The session is not away, and does not expire.
            sessions_of(hub).session_s = -1.0  # whoever is away is forgotten
            async with speaking(url):
                assert sessions_of(hub).get(TOKEN) is not None
            sessions_of(hub).session_s = 60.0
            await new.abort()
        await until(lambda: not hub.clients)
        async with speaking(_url(url, offset=2)) as wire:
            assert wire.welcome["resumed"]
            assert one(hub).rooms == {"red"}

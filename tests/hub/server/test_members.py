"""Who is connected at whichever process, and calls to them: one process, and two over a Redis."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import wslab
from tests.hub.backplane.redis.rig import fast, fresh_name
from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from tests.hub.server.socket_io_rig import session_of
from wslab.errors import BackplaneDown, CallFailed, ClientGone
from wslab.hub import Args, Hub, Member
from wslab.hub.server.members import ONE_OF_MANY

# One process.


@pytest.mark.usefixtures("memory_network")
@aio
async def test_everybody_of_one_process_is_who_is_here():
    hub = Hub(history=10)

    @hub.on("enter")
    async def enter(client, room):
        client.name = "ana"
        client.join(room, "all")

    async with listening(hub) as url, speaking(url) as ana, speaking(url) as bob:
        await ana.emit("enter", "lobby")
        await until(lambda: "lobby" in hub.rooms)
        first, second = await hub.everybody()
        node = inside(hub).backplane.status.node_id
        user_id = hub.clients[ana.id].user_id
        assert first == Member(ana.id, "ana", user_id, node, ("all", "lobby"))
        assert second == Member(bob.id, None, hub.clients[bob.id].user_id, node, ())
        assert await hub.everybody("lobby") == [first]
        assert await hub.everybody("nobody") == []
    for wrong in (3, ""):
        with pytest.raises((TypeError, ValueError), match="expected a room's name"):
            hub.everybody(wrong)


@pytest.mark.usefixtures("memory_network")
@aio
async def test_a_call_by_id_or_user_or_client():
    hub = Hub(history=10)
    async with listening(hub) as url, speaking(url) as wire:
        client = hub.clients[wire.id]
        for to in (client.id, client.user_id, client):
            asking = asyncio.ensure_future(hub.call("pick", [1, b"x"], to=to))
            asked = await wire.read()
            assert asked["data"] == [1, {"$binary": 0}]
            assert await wire.read() == b"x"
            await wire.send({"answer": asked["id"], "data": 7})
            assert await asking == 7
        asking = asyncio.ensure_future(hub.call("pick", to=client.id))
        asked = await wire.read()
        error = {"code": "refused", "message": "no"}
        await wire.send({"answer": asked["id"], "error": error})
        with pytest.raises(CallFailed, match="no"):
            await asking
        with pytest.raises(TimeoutError, match="did not answer 'pick' within"):
            await hub.call("pick", to=client.id, timeout=0.01)
    with pytest.raises(ClientGone, match="nobody goes by"):
        await hub.call("pick", to=wire.id)
    with pytest.raises(ValueError, match="expected an event of your own, got 'connect'"):
        hub.call("connect", to=wire.id)


@pytest.mark.usefixtures("memory_network")
@aio
async def test_from_a_thread_it_waits():
    hub = Hub()
    with wslab.serve(hub) as server:
        alice = await asyncio.to_thread(wslab.connect, server, reconnect=True)
        alice.on("double", lambda data: 2 * data)
        await until(lambda: hub.clients)
        [id] = hub.clients
        assert await asyncio.to_thread(lambda: hub.call("double", 21, to=id)) == 42
        assert await hub.call("double", 21, to=id) == 42  # of another loop
        assert [each.id for each in await asyncio.to_thread(hub.everybody)] == [id]
        await asyncio.to_thread(alice.close)


@pytest.mark.usefixtures("memory_network")
@aio
async def test_no_client_may_say_that_somebody_is_lost():
    hub, lost = Hub(), []
    hub.on("member_lost", lost.append)
    async with listening(hub) as url, speaking(url) as wire:
        error = await wire.call("member_lost", {"id": "x"})
        assert error["code"] == "unknown-event"
    assert lost == []


# Two of them.


@contextlib.asynccontextmanager
async def node(url, name, **options):
    """Serve a hub that is one node of several; give it, its URL and its backplane."""
    hub = fast(Hub(name, backplane=url, **options))
    backplane = inside(hub).backplane
    presence = backplane.presence
    presence._lease_ms, presence._away_ms, presence._renew_s = 600, 300, 0.05
    async with listening(hub) as address:
        await hub.start()
        try:
            yield hub, address, backplane
        finally:
            await hub.close()


async def until_here(hub, *ids, room=None):
    async with asyncio.timeout(10):
        while [each.id for each in await hub.everybody(room)] != list(ids):
            pass


@pytest.mark.websockets_only
@aio
async def test_everybody_is_seen_at_both_as_they_come_and_go(redis_url):
    name = fresh_name()
    async with (
        node(redis_url, name, history=10) as (one, one_url, _),
        node(redis_url, name, history=10) as (two, two_url, _),
    ):
        for hub in (one, two):
            hub.on("enter", lambda client, room: client.join(room))
            hub.on("leave", lambda client, room: client.leave(room))

            @hub.on("name")
            def set_name(client, name):  # on a thread
                client.name = name

        async with speaking(f"{one_url}?session={TOKEN}") as ana:
            await ana.call("enter", "lobby")
            await ana.call("name", "Ana")
            async with speaking(two_url) as bob:
                await until_here(one, ana.id, bob.id)
                await until_here(two, ana.id, room="lobby")
                [seen] = await two.everybody("lobby")
                assert seen == one.clients[ana.id]._connection.as_member()
                assert seen.name == "Ana"
                assert len(seen.id) == ONE_OF_MANY  # so that no other process has the same
                assert seen.node != (await two.everybody())[1].node
                await ana.call("leave", "lobby")
                await until_here(two, room="lobby")
                await ana.call("enter", "lobby")
            await until_here(one, ana.id)
            await ana.abort()
        await until_here(two)
        async with speaking(f"{one_url}?session={TOKEN}&offset=0") as again:
            assert again.welcome["resumed"]
            await until_here(two, again.id, room="lobby")  # into which its session has put it
            assert (await two.everybody())[0].name == "Ana"
            one.close_room("lobby")
            await until_here(two, room="lobby")


@pytest.mark.websockets_only
@aio
async def test_a_call_reaches_a_client_elsewhere(redis_url):
    name = fresh_name()
    async with (
        node(redis_url, name, history=10) as (one, _, _),
        node(redis_url, name, history=10) as (two, two_url, _),
        speaking(two_url) as bob,
    ):
        await until_here(one, bob.id)
        for to in (bob.id, two.clients[bob.id].user_id):
            asking = asyncio.ensure_future(one.call("pick", Args(1, b"x"), to=to))
            asked = await bob.read()
            assert (asked["event"], asked["data"]) == ("pick", [1, {"$binary": 0}])
            assert await bob.read() == b"x"
            await bob.send({"answer": asked["id"], "data": {"$binary": 0}, "binary": 1}, b"y")
            assert await asking == b"y"
        asking = asyncio.ensure_future(one.call("pick", to=bob.id))
        await bob.read()
        await bob.abort()
        with pytest.raises(ClientGone, match="left before it answered"):
            await asking
        await until_here(one)
        with pytest.raises(ClientGone, match=r"hub\.everybody\(\) lists them"):
            await one.call("pick", to=bob.id)


@pytest.mark.websockets_only
@aio
async def test_what_a_socket_io_client_does_not_take_is_said_from_afar(redis_url):
    name = fresh_name()
    async with node(redis_url, name) as (one, _, _), node(redis_url, name) as (two, _, _):
        async with session_of(two, "0") as session:
            [id] = await until(lambda: list(two.clients))
            await until_here(one, id)
            with pytest.raises(CallFailed, match="at most 10 values of bytes"):
                await one.call("pick", [b"x"] * 11, to=id)
            asking = asyncio.ensure_future(one.call("pick", Args(1, 2), to=id))
            assert await session.said("2") == ["pick", 1, 2]
            number = session.written[-1].removeprefix("2").partition("[")[0]
            session.feed(f"3{number}[3,4]")
            assert await asking == Args(3, 4)
        await until_here(one)


@pytest.mark.websockets_only
@aio
async def test_who_was_at_a_node_that_died_is_told_once_and_failures_are_seen(redis_url):
    name, lost = fresh_name(), []

    async def fails(member):
        lost.append(member)
        raise RuntimeError("a bug")

    async with (
        node(redis_url, name) as (one, _, _),
        node(redis_url, name) as (two, _, _),
    ):
        one.on("member_lost", fails)
        two.on("member_lost", fails)
        async with node(redis_url, name) as (_, dying_url, backplane):
            async with speaking(dying_url) as ana:
                await until_here(one, ana.id)
                expected = (await one.everybody())[0]
                await backplane.link.close()  # as of a process that was killed
        await until(lambda: lost and (one.errors or two.errors))
        assert lost == [expected]
        [failure] = [*one.errors, *two.errors]
        assert (failure.summary, failure.who) == ("RuntimeError: a bug", ana.id)
        assert await one.everybody() == []


@pytest.mark.websockets_only
@aio
async def test_who_is_here_is_asked_also_while_redis_is_not_there(redis_url):
    async with node(redis_url, fresh_name(), history=10) as (hub, url, backplane):
        async with speaking(url) as wire:
            await backplane.link.close()
            assert hub.backplane.status == "down"
            for to in (wire.id, hub.clients[wire.id].user_id):
                asking = asyncio.ensure_future(hub.call("pick", to=to))
                asked = await wire.read()
                await wire.send({"answer": asked["id"], "data": 1})
                assert await asking == 1
            with pytest.raises(BackplaneDown):
                await hub.call("pick", to="somebody")
            with pytest.raises(BackplaneDown, match=r"hub\.clients says who is here"):
                await hub.everybody()

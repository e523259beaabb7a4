"""A room that is closed is closed at all nodes of a hub, at one place among what is said in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.backplane.redis.rig import nodes, redis_of_its_own
from tests.hub.backplane.redis.session_rig import eventually
from tests.hub.protocol.rig import keep, opened
from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from tests.hub.stock import node as stock_client
from tests.node import need
from wslab.errors import BackplaneDown
from wslab.hub import Hub, Limits
from wslab.hub.backplane.backplane import Publication
from wslab.hub.backplane.redis.closings import Closings
from wslab.hub.backplane.redis.message import closing
from wslab.hub.backplane.redis.publisher import Item
from wslab.hub.protocol.room_log import PROGRAM

ALICE, BOB, CAROL = (f"?session={letter * 16}" for letter in "abc")


@contextlib.asynccontextmanager
async def hubs_of(url: str, count: int = 2, **options: Any) -> AsyncIterator[list[tuple[Hub, str]]]:
    """Give nodes of a hub, each with where it listens."""
    async with contextlib.AsyncExitStack() as stack:
        hubs = await stack.enter_async_context(nodes(url, count, **{"history": 50, **options}))
        yield [(hub, await stack.enter_async_context(listening(hub))) for hub in hubs]


@contextlib.contextmanager
def cut_off(hub: Hub) -> Iterator[None]:
    """Have a node not reach its Redis meanwhile."""
    link: Any = inside(hub).backplane.link  # type: ignore[attr-defined]
    port, link._connect["port"] = link._connect["port"], 1
    link.fail("a test cuts it")
    try:
        yield
    finally:
        link._connect["port"] = port


async def is_down(hub: Hub) -> None:
    await until(lambda: hub.backplane.status == "down")


async def is_up(hub: Hub) -> None:
    await until(lambda: hub.backplane.status == "up")


async def die(hub: Hub, other: Hub) -> None:
    """End a node's link without a word, as the end of its process would; Redis has seen it."""
    gone: Any = inside(hub).backplane.link  # type: ignore[attr-defined]
    link: Any = inside(other).backplane.link  # type: ignore[attr-defined]
    await gone.close()
    channel = link.keys.channel(gone.node_id, "sessions")

    async def is_seen() -> bool:
        return not (await link.command("PUBSUB", "NUMSUB", channel))[1]

    await eventually(is_seen)


async def data_of(client: Any) -> list[Any]:
    """Return what the events carry that have come so far."""
    return [each["data"] for each in await client.all() if "data" in each]


async def is_written(hub: Hub, token: str) -> None:
    """Wait until all that a node knows of a session is written down."""
    session = inside(hub).backplane.session(token)
    assert session is not None
    done = asyncio.get_running_loop().create_future()
    inside(hub).backplane.record(session, lambda: done.set_result(None))
    async with asyncio.timeout(5):
        await done


async def has_moved(url: str, offset: int, stack: contextlib.AsyncExitStack) -> tuple[Any, Any]:
    """Come back elsewhere; return the client, and what it was told and sent."""
    client = await stack.enter_async_context(speaking(f"{url}&offset={offset}"))
    return client, await data_of(client)


@pytest.mark.parametrize("is_told", [False, True])
def test_who_leaves_where_it_has_its_place(is_told: bool) -> None:
    sessions, history = opened(9, 60.0)
    names = ("old", "away", "moved", "later", "elsewhere", "other")
    old, away, moved, later, elsewhere, other = (sessions.open(each, 0.0) for each in names)
    left, written = [], []
    item = Item(
        closing("id", "red"),
        Publication(closing("id", "red").said, ["red"], [], frozenset(), PROGRAM),
        None,
        0,
    )

    def empty(room: str, leaving: Any, local: Any) -> None:
        left.append((room, leaving, local))
        for each in (old,) if leaving is None else ():  # whose client is connected
            each.leave(room)

    closings = Closings(sessions, empty, written.append)
    for each in (old, away):
        each.join("red")
    elsewhere._stays.join(history.log("red"), 5, is_exact=True)
    keep(history, "red")
    if is_told:
        item.is_told = True
        closings.tell(item)
        assert left == [("red", None, None)]
    other.join("blue")
    later.join("red")
    moved._stays.join(history.log("red"), 0, is_exact=True)
    history.offset = 3
    keep(history, "red")  # it came too late: something behind it has come before
    history.offset = 4
    closings.came("red", 3, item if is_told else None)
    leaving = {away, moved, later, old} - ({later, old} if is_told else set())
    assert left[-1] == ("red", leaving, None)
    assert {each for each in sessions if "red" in each.rooms} == (
        {later, elsewhere} if is_told else {elsewhere}
    )
    assert set(written) == leaving | ({later} if is_told else set())
    assert away.snapshot().stays.left == [("red", 0, 3)]
    assert later.inside_since("red") == (4 if is_told else None)
    assert (elsewhere.inside_since("red"), other.inside_since("blue")) == (5, 1)


def test_without_sessions_all_leave_once() -> None:
    left = []
    closings = Closings(None, lambda *args: left.append(args), left.append)
    message = closing("id", "red")
    item = Item(message, Publication(message.said, ["red"], [], frozenset(), PROGRAM), None, 0)
    closings.came("red", 3, item)
    closings.came("blue", 4, None)
    item.is_told = True
    closings.tell(item)
    closings.came("red", 5, item)
    assert left == [("red", None, None), ("blue", None, None), ("red", None, None)]


@pytest.mark.parametrize("history", [0, 50])
@aio
async def test_members_at_all_nodes_leave_behind_what_was_said_before(
    redis_url: str, history: int
) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url, 3, history=history) as [(one, at_one), (two, at_two), (three, _)]:
        async with stack:
            urls = [at_one + ALICE, at_two + BOB, at_two + CAROL]
            clients = [await stack.enter_async_context(speaking(url)) for url in urls]
            for client in clients:
                await client.call("join", "lobby")
                await client.call("join", "attic")
            for n in range(20):
                _ = (one, two, three)[n % 3].emit("tick", n, to="lobby")
            heard = []
            closing = two.close_room("lobby")
            behind = two.emit("tick", "behind", to="lobby")
            assert closing == 2  # who is here by now
            async with asyncio.timeout(5):  # and not because it gave up waiting
                assert await closing == 2
            await behind
            assert behind.reached == 0
            await until(lambda: "lobby" not in one.rooms)
            await one.emit("tick", "nobody", to="lobby")
            await three.emit("tick", "end", to=["lobby", "attic"])
            for client in clients:
                got = []
                while (data := (await client.read())["data"]) != "end":
                    got.append(data)
                assert set(range(1, 20, 3)) <= set(got) <= set(range(20))  # all of its closer's
                heard.append(got)
            assert heard[0] == heard[1] == heard[2]
            assert {room: len(them) for room, them in two.rooms.items()} == {"attic": 2}

            async def are_out() -> bool:
                return not await three.everybody("lobby")

            await eventually(are_out)
            assert len(await three.everybody("attic")) == 3
            assert not await three.close_room("a room of nobody's")


@aio
async def test_who_joins_behind_it_is_in_everywhere(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url) as [(one, at_one), (two, at_two)], stack:
        alice = await stack.enter_async_context(speaking(at_one + ALICE))
        bob = await stack.enter_async_context(speaking(at_two + BOB))
        for client in (alice, bob):
            await client.call("join", "lobby")
        await two.close_room("lobby")
        await until(lambda: "lobby" not in one.rooms)
        place = 0
        for hub, client in ((one, alice), (two, bob)):
            await client.call("join", "lobby")
            place = (await hub.emit("tick", 1, to="lobby")).offset or 0
        await alice.abort()
        again, _ = await has_moved(at_two + ALICE, place, stack)
        assert two.clients[again.id].rooms == {"lobby"}
        assert len(two.rooms["lobby"]) == 2


@pytest.mark.parametrize("how", ["away", "handed over", "its process has died", "trimmed"])
@aio
async def test_who_comes_back_elsewhere_is_out_and_gets_what_was_said_before(
    redis_url: str, how: str
) -> None:
    stack = contextlib.AsyncExitStack()
    hubs = hubs_of(redis_url, 3, history=3)
    async with hubs as [(one, at_one), (two, at_two), (_, at_three)], stack:
        alice = await stack.enter_async_context(speaking(at_one + ALICE))
        await alice.call("join", "lobby", n=1)
        await alice.call("join", "attic", n=2)
        place = (await one.emit("tick", 0)).offset or 0
        await is_written(one, "a" * 16)
        if how == "its process has died":
            await die(one, two)
        await alice.abort()
        await until(lambda: not one.clients)
        if how == "handed over":
            await one.close()
        await two.emit("tick", 1, to="lobby")
        await two.close_room("lobby")
        for n in range(2, 150 if how == "trimmed" else 3):
            await two.emit("tick", n, to="lobby")
        await two.emit("tick", "attic", to="attic")
        again, got = await has_moved(at_two + ALICE, place, stack)
        assert again.welcome["resumed"] is True
        assert two.clients[again.id].rooms == {"attic"}
        if how == "trimmed":
            assert (again.welcome["gap"], got) == ("too old", [])
        else:
            assert (again.welcome["gap"], got) == (None, [1, "attic"])
        await two.emit("tick", 3, to="lobby")
        assert await data_of(again) == []
        await two.clients[again.id].emit("tick", 4)
        assert await data_of(again) == [4]
        await again.abort()  # it may have read nothing of it
        again, more = await has_moved(at_three + ALICE, place, stack)
        assert more == ([] if how == "trimmed" else [*got, 4])


@aio
async def test_who_lost_sight_of_its_rooms_is_out_all_the_same(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url) as [(one, at_one), (two, at_two)], stack:
        alice = await stack.enter_async_context(speaking(at_one + ALICE))
        for n, room in enumerate(("lobby", "attic"), 1):
            await alice.call("join", room, n=n)
        await one.emit("tick", 0)
        session = inside(one).backplane.session("a" * 16)
        assert session is not None
        session.doubt()
        await is_written(one, "a" * 16)
        await alice.abort()
        await die(one, two)
        await two.close_room("lobby")
        again, _ = await has_moved(at_two + ALICE, 0, stack)
        assert again.welcome["gap"] == "too old"
        assert two.clients[again.id].rooms == {"attic"}


@pytest.mark.parametrize("history", [0, 50])
@aio
async def test_what_closed_it_long_before_a_join_is_of_no_account(
    redis_url: str, history: int
) -> None:
    hubs = hubs_of(redis_url, history=history)
    async with hubs as [(one, at_one), (two, _)], speaking(at_one) as alice:
        await two.close_room("lobby")
        for n in range(150):
            await two.emit("before", n, to="lobby")
        await asyncio.sleep(0.2)  # as long as a machine may take for one exchange with Redis
        backplane: Any = inside(one).backplane
        backplane.rooms.counter = 0  # as if no look at Redis had told how far it is
        await alice.call("join", "lobby")
        await two.emit("behind", 1, to="lobby")
        assert (await alice.read())["data"] == 1
        assert len(one.rooms["lobby"]) == 1
        assert one.backplane.lost == 0


@pytest.mark.parametrize("count", [1, 150])
@aio
async def test_a_node_that_was_cut_off_reads_of_it(redis_url: str, count: int) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url) as [(one, _), (two, at_two)], stack:
        bob = await stack.enter_async_context(speaking(at_two + BOB))
        await bob.call("join", "lobby")
        await two.emit("tick", 0, to="lobby")
        with cut_off(two):
            await is_down(two)
            await one.emit("tick", 1, to="lobby")
            await one.close_room("lobby")
            for n in range(count):
                await one.emit("tick", ["behind", n], to="lobby")
            assert len(two.rooms["lobby"]) == 1  # it has not heard
        await until(lambda: "lobby" not in two.rooms)
        if count == 1:
            assert await data_of(bob) == [0, 1]
            return
        assert (await bob.closed())[0] == 1012  # what was said before is not kept any more
        again, got = await has_moved(at_two + BOB, 1, stack)
        assert (again.welcome["gap"], got) == ("too old", [])
        assert not two.clients[again.id].rooms


@aio
async def test_while_redis_is_away_it_is_closed_here_at_once(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url) as [(one, at_one), (two, at_two)], stack:
        alice = await stack.enter_async_context(speaking(at_one + ALICE))
        bob = await stack.enter_async_context(speaking(at_two + BOB))
        carol = await stack.enter_async_context(speaking(at_one + CAROL))
        for client in (alice, bob, carol):
            await client.call("join", "lobby")
        place = (await one.emit("tick", 0, to="lobby")).offset or 0
        await until(lambda: inside(two).backplane.latest_offset() == place)
        await carol.abort()  # and may come back
        await until(lambda: len(one.clients) == 1)
        with cut_off(one):
            await is_down(one)
            await one.emit("tick", 1, to="lobby")
            assert await one.close_room("lobby") == 1
            assert (await one.emit("tick", "behind", to="lobby")).reached == 0
            assert await data_of(alice) == [0, 1]
            await alice.call("join", "lobby")
            await one.emit("tick", 2, to="lobby")
            assert await data_of(alice) == [2]
            assert len(two.rooms["lobby"]) == 1
        await until(lambda: "lobby" not in two.rooms)
        assert await data_of(bob) == [0, 1]
        await is_up(one)
        place_2 = (await one.emit("tick", 3, to="lobby")).offset or 0
        assert [each.id for each in one.rooms["lobby"]] == [alice.id]  # she joined behind it
        assert await data_of(alice) == ["behind", 3]  # both have their place behind the closing
        again, got = await has_moved(at_one + CAROL, place, stack)
        assert (again.welcome["gap"], got) == (None, [1])  # she was in it until it had its place
        assert not one.clients[again.id].rooms
        await is_written(one, "a" * 16)
        await alice.abort()
        again, _ = await has_moved(at_two + ALICE, place_2, stack)
        assert two.clients[again.id].rooms == {"lobby"}


@pytest.mark.parametrize("when", ["on its way", "said later"])
@aio
async def test_what_had_its_place_already_comes_before_it(tmp_path: Path, when: str) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with hubs_of(server.url) as [(one, at_one), (two, _)], speaking(at_one) as alice:
            await alice.call("join", "lobby")
            await one.emit("tick", 0, to="lobby")
            link: Any = inside(one).backplane.link  # type: ignore[attr-defined]
            stream = link.keys.room("lobby").encode()
            hear, link._heard[stream] = link._heard[stream], lambda _payload: None  # it gets lost
            for n in range(1, 4):
                _ = one.emit("tick", n, to="lobby")
                if n == 2 and when == "on its way":
                    closing = one.close_room("lobby")
            await until(lambda: one.backplane.published == (5 if when == "on its way" else 4))
            assert len(one.rooms["lobby"]) == 1
            with cut_off(one):
                await is_down(one)
                if when != "on its way":
                    closing = one.close_room("lobby")
                assert await closing == 1
                _ = one.emit("tick", "behind", to="lobby")
                link._heard[stream] = hear
            await is_up(one)
            await two.emit("tick", "end")
            last = [1, 2] if when == "on its way" else [1, 2, 3]
            assert await data_of(alice) == [0, *last, "end"]


@aio
async def test_a_hub_that_refuses_closes_nothing(redis_url: str) -> None:
    async with (
        hubs_of(redis_url, when_down="refuse") as [(one, at_one), _],
        speaking(at_one) as alice,
    ):
        await alice.call("join", "lobby")
        with cut_off(one):
            await is_down(one)
            with pytest.raises(BackplaneDown, match="'close_room' was not emitted"):
                one.close_room("lobby")
            assert len(one.rooms["lobby"]) == 1


@aio
async def test_what_is_let_go_of_for_its_bytes_closes_rooms_all_the_same(redis_url: str) -> None:
    async with (
        hubs_of(redis_url, limits=Limits(backlog=1000)) as [(one, at_one), (two, _)],
        speaking(at_one) as alice,
    ):
        await alice.call("join", "lobby")
        await one.emit("tick", 0, to="lobby")
        feed = inside(one).backplane.rooms.feed  # type: ignore[attr-defined]
        feed.limit_bytes = 10_000
        hold = feed.follow("a stream that is never read", 0)
        await two.close_room("lobby")
        for n in range(30):
            await two.emit("tick", {"n": n, "x": "x" * 1000})
            assert feed.size_bytes <= 12_000
        assert (await alice.closed())[0] == 1012
        await until(lambda: "lobby" not in one.rooms)
        feed.end(hold)
        async with speaking(f"{at_one}?session={alice.welcome['session']}&offset=1") as again:
            assert (again.welcome["gap"], again.welcome["resumed"]) == ("too old", True)
            assert not one.clients[again.id].rooms


@aio
async def test_a_handler_that_runs_again_closes_it_once(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with hubs_of(redis_url) as [(one, at_one), (two, at_two)], stack:

        async def close(client: Any, room: str) -> int:
            return await (one if client.id in one.clients else two).close_room(room)

        for hub in (one, two):
            hub.on("close", close)
        alice = await stack.enter_async_context(speaking(at_one + ALICE))
        bob = await stack.enter_async_context(speaking(at_two + BOB))
        await bob.call("join", "lobby")
        await is_written(one, "a" * 16)
        writer = inside(one).backplane.redis_sessions.writer  # type: ignore[attr-defined]
        writer.record = lambda *_: None  # what it handles from now on, nobody hears of
        await alice.emit("close", "lobby", id=1, n=1)
        await until(lambda: "lobby" not in two.rooms)
        await bob.call("join", "lobby")
        await die(one, two)
        again = await stack.enter_async_context(speaking(at_two + ALICE))
        assert await again.call("close", "lobby", id=1, n=1) == 0
        assert len(two.rooms["lobby"]) == 1


@pytest.mark.websockets_only
@aio
async def test_stock_clients_leave_too_and_recover_without_it(redis_url: str) -> None:
    need("socket.io-client")
    async with hubs_of(redis_url) as [(one, at_one), (two, at_two)]:
        urls = [each.replace("ws:", "http:").rstrip("/") for each in (at_one, at_two)]
        async with stock_client(urls[0], transports=["websocket"]) as client:
            _, first, _ = await client.hear()
            for room in ("lobby", "attic", "cellar"):
                await client.call("join", room)
            await two.close_room("cellar")
            await until(lambda: "cellar" not in one.rooms)
            await two.emit("tick", 1, to="attic")
            assert (await client.hear())[:3] == ["event", "tick", 1]
            client.say("cut")
            assert await client.hear() == ["disconnect", "forced close"]
            await until(lambda: not one.clients)
            await two.emit("tick", 2, to="lobby")
            await two.close_room("lobby")
            await two.emit("tick", 3, to="lobby")
            await two.emit("tick", 4, to="attic")
            client.say("goto", urls[1])
            assert await client.hear() == ["connect", first, True]
            assert [(await client.hear())[2] for _ in range(2)] == [2, 4]
            [here] = two.clients.values()
            assert here.rooms == {"attic"}


def test_the_tokens_are_of_the_length_that_a_hub_takes() -> None:
    assert {len(each) for each in (ALICE, BOB, CAROL)} == {len(f"?session={TOKEN}")}

"""A client that comes back to another process of the hub: two hubs over one Redis, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import wslab
from tests.hub.backplane.redis.rig import fresh_name, nodes, redis_of_its_own
from tests.hub.backplane.redis.session_rig import eventually
from tests.hub.machines.relay import Relay
from tests.hub.node_client import node as hub_js
from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from tests.hub.stock import node as stock_client
from tests.node import need
from wslab.hub import Hub, Limits
from wslab.hub.backplane.redis import sessions as module
from wslab.hub.backplane.redis.keys import token_hash

MINE = f"?session={TOKEN}"
HUB_JS = Path(wslab.__file__).parent / "hub" / "hub.js"


@contextlib.asynccontextmanager
async def two(url: str, **options: Any) -> AsyncIterator[tuple[Hub, Hub, str, str]]:
    """Give two nodes of a hub, and where they listen."""
    async with (
        nodes(url, **{"history": 50, **options}) as (one, other),
        listening(one) as at_one,
        listening(other) as at_other,
    ):
        yield one, other, at_one, at_other


@contextlib.asynccontextmanager
async def one_behind_a_wire(url: str) -> AsyncIterator[tuple[Hub, Hub, str, str, Relay]]:
    """Give two nodes, and what lies between the first one and Redis."""
    name, place = fresh_name(), urlsplit(url)
    assert place.port is not None
    async with (
        Relay(lambda: place.port) as wire,
        nodes(place._replace(netloc=f"127.0.0.1:{wire.port}").geturl(), 1, name=name, history=50)
        as [one],
        nodes(url, 1, name=name, history=50) as [other],
        listening(one) as at_one,
        listening(other) as at_other,
    ):  # fmt: skip
        yield one, other, at_one, at_other, wire


@contextlib.asynccontextmanager
async def parted(hub: Hub, wire: Relay) -> AsyncIterator[None]:
    """Keep a node and Redis apart for a while."""
    wire.is_refusing = True
    wire.cut()
    await until(lambda: hub.backplane.status != "up")
    yield
    wire.is_refusing = False
    await until(lambda: hub.backplane.status == "up")


async def die(hub: Hub) -> None:
    """End a node's link without a word, as the end of its process would."""
    await inside(hub).backplane.link.close()  # type: ignore[attr-defined]


def writer(hub: Hub) -> Any:
    """Return what writes a node's sessions down."""
    return inside(hub).backplane.redis_sessions.writer  # type: ignore[attr-defined]


async def is_written(hub: Hub) -> None:
    """Wait until all that a node knows of its sessions is written down."""
    sessions = tuple(inside(hub).backplane.sessions)  # type: ignore[attr-defined]
    assert sessions
    for session in sessions:
        done = asyncio.Event()
        inside(hub).backplane.record(session, done.set)
        async with asyncio.timeout(5):
            await done.wait()


async def alice_in_the_lobby(stack: contextlib.AsyncExitStack, hub: Hub, at: str) -> Any:
    """Return a client with the session, in a room, of which all is written down."""
    alice = await stack.enter_async_context(speaking(at + MINE))
    await alice.call("join", "lobby", id=1, n=1)
    await is_written(hub)
    return alice


async def next_of(wire: Any, event: str) -> Any:
    """Return the next packet of an event."""
    while (packet := await wire.read()).get("event") != event:
        pass
    return packet


@pytest.mark.parametrize("how", ["handed over", "taken from a dead process"])
@aio
async def test_nothing_is_lost_and_nothing_comes_twice(redis_url: str, how: str) -> None:
    async with (
        two(redis_url) as (one, other, at_one, at_other),
        contextlib.AsyncExitStack() as stack,
    ):
        worked: list[Any] = []
        for hub in (one, other):
            hub.on("work", lambda client, data: worked.append(data) or [data, b"x"])
        alice = await stack.enter_async_context(speaking(at_one + MINE))
        assert alice.welcome["resumed"] is False
        await alice.call("join", "lobby", id=1, n=1)
        assert await alice.call("work", "once", id=2, n=2) == ["once", {"$binary": 0}]
        assert await alice.read() == b"x"
        [client] = one.clients.values()
        client.name, client.data["score"] = "Ada", 3
        user_id = client.user_id
        await other.emit("tick", 1, to="lobby")
        place = (await next_of(alice, "tick"))["offset"]
        await alice.abort()
        await is_written(one)
        if how != "handed over":
            await die(one)
        await other.emit("tick", 2, to="lobby")
        await other.emit("nothing", to="elsewhere")
        await other.emit("tick", 3)
        again = await stack.enter_async_context(speaking(f"{at_other}{MINE}&offset={place}"))
        told = again.welcome
        assert (told["resumed"], told["gap"], told["received"]) == (True, None, 2)
        assert told["user"] == user_id
        assert [(await again.read())["data"] for _ in range(2)] == [2, 3]
        assert await again.call("work", "once", id=2, n=2) == ["once", {"$binary": 0}]
        assert await again.read() == b"x"
        assert worked == ["once"]
        assert await again.call("work", "more", id=3, n=3) == ["more", {"$binary": 0}]
        assert await again.read() == b"x"
        here = other.clients[again.id]
        assert (here.name, here.rooms, here.data) == ("Ada", {"lobby"}, {"score": 3})
        assert here.is_resumed
        await other.emit("tick", 4, to="lobby")
        await here.emit("mine", 5)
        assert [(await next_of(again, e))["data"] for e in ("tick", "mine")] == [4, 5]
        assert one.errors_seen == other.errors_seen == 0


@aio
async def test_its_connection_elsewhere_is_told_and_it_may_go_to_and_fro(redis_url: str) -> None:
    async with (
        two(redis_url) as (one, other, at_one, at_other),
        contextlib.AsyncExitStack() as stack,
    ):
        wire = await stack.enter_async_context(speaking(at_one + MINE))
        await wire.call("join", "lobby", id=1, n=1)
        heard, place = [], None
        for turn in range(6):
            hub, at = ((other, at_other), (one, at_one))[turn % 2]
            await (one, other)[turn % 3 % 2].emit("tick", turn, to="lobby")
            offset = f"&offset={place}" if place else ""
            before, wire = wire, await stack.enter_async_context(speaking(f"{at}{MINE}{offset}"))
            assert (await before.closed()) == (4409, "session continued elsewhere")
            assert (wire.welcome["resumed"], wire.welcome["gap"]) == (True, None)
            packet = await next_of(wire, "tick")
            heard.append(packet["data"])
            place = packet["offset"]
            assert hub.clients[wire.id].rooms == {"lobby"}
        assert heard == list(range(6))
        assert sum(len(hub.clients) for hub in (one, other)) == 1
        assert await wire.all() == []


@aio
async def test_a_handler_ends_before_its_session_goes_on_elsewhere(redis_url: str) -> None:
    async with two(redis_url) as (one, other, at_one, at_other):
        may_end, log = asyncio.Event(), []
        for hub in (one, other):

            @hub.on("work")
            async def work(client: Any, data: Any, hub: Hub = hub) -> str:
                log.append("begun")
                if hub is one:
                    await may_end.wait()
                log.append("ended")
                return "done"

            @hub.on("connect")
            async def connect(client: Any) -> None:
                log.append("connect")

            @hub.on("disconnect")
            async def disconnect(client: Any, reason: str) -> None:
                log.append("disconnect")

        async with speaking(at_one + MINE) as alice:
            await alice.emit("work", id=1, n=1)
            await until(lambda: log[-1] == "begun")
            await alice.abort()
            coming = asyncio.ensure_future(_come(at_other + MINE))
            await until(lambda: one.clients == {})
            may_end.set()
            async with await coming as again:
                assert await again.call("work", id=1, n=1) == "done"
        assert [each for each in log if each != "disconnect"] == [
            "connect", "begun", "ended", "connect",
        ]  # fmt: skip


async def _come(url: str) -> Any:
    return speaking(url)


@aio
async def test_a_packet_whose_process_ended_in_its_middle_comes_again_and_says_nothing_twice(
    redis_url: str,
) -> None:
    async with (
        two(redis_url, limits=Limits(grace_s=0.2)) as (one, other, at_one, at_other),
        contextlib.AsyncExitStack() as stack,
    ):
        begun = asyncio.Event()
        for hub in (one, other):

            @hub.on("order")
            async def order(client: Any, what: str, hub: Hub = hub) -> str:
                await hub.emit("ordered", what, to="kitchen")
                await client.emit("noted", what)
                if hub is one:
                    begun.set()
                    await asyncio.sleep(3600)
                await hub.emit("paid", what, to="kitchen")
                return "done"

        cook = await stack.enter_async_context(speaking(at_other))
        await cook.call("join", "kitchen")
        alice = await stack.enter_async_context(speaking(at_one + MINE))
        await alice.emit("order", "soup", id=1, n=1)
        await begun.wait()
        place = (await next_of(alice, "noted"))["offset"]
        await is_written(one)
        await die(one)
        await alice.abort()
        again = await stack.enter_async_context(speaking(f"{at_other}{MINE}&offset={place}"))
        assert again.welcome["received"] == 0  # it is not known to have been handled
        assert await again.call("order", "soup", id=1, n=1) == "done"
        assert [each["data"] for each in await cook.all() if each["event"] == "ordered"] == ["soup"]


@aio
async def test_a_process_that_stands_still_is_passed_over_and_learns_so(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MORE_S", 0.2)
    limits = Limits(grace_s=0.1)
    async with two(redis_url, limits=limits) as (one, other, at_one, at_other):
        async with speaking(at_one + MINE) as alice:
            await alice.call("join", "lobby", id=1, n=1)
            await is_written(one)
            remote = inside(one).backplane.redis_sessions  # type: ignore[attr-defined]
            hear = inside(one).backplane.link._heard  # type: ignore[attr-defined]
            hear[remote._channel.encode()] = lambda _payload: None  # it hears nothing
            async with speaking(at_other + MINE) as again:
                assert again.welcome["resumed"] is True
                assert again.welcome["received"] == 1
                await alice.emit("join", "garden", id=2, n=2)  # it is still served there
                assert await alice.closed() == (4409, "session continued elsewhere")
                assert one.backplane.fenced == 1
                assert await again.call("join", "attic", id=2, n=2) is None
                assert other.clients[again.id].rooms == {"lobby", "attic"}


@aio
async def test_junk_tokens_and_strangers_do_not_fill_redis(redis_url: str) -> None:
    async with two(redis_url, limits=Limits(sessions=5)) as (one, _other, at_one, _):
        link = inside(one).backplane.link  # type: ignore[attr-defined]
        for nth in range(40):
            async with speaking(f"{at_one}?session=junk-{nth:016}&offset=5") as wire:
                await wire.abort()
            await until(lambda: not one.clients)
        names = await link.command("KEYS", link.keys.session("*"))
        assert len(names) <= 5
        assert all([await link.command("PTTL", each) > 0 for each in names])


@aio
async def test_who_says_goodbye_is_forgotten_everywhere(redis_url: str) -> None:
    async with two(redis_url) as (one, _other, at_one, at_other):
        async with speaking(at_one + MINE) as alice:
            await alice.call("join", "lobby", id=1, n=1)
            await is_written(one)
        link = inside(one).backplane.link  # type: ignore[attr-defined]
        key = link.keys.session(token_hash(TOKEN))

        async def is_gone() -> bool:
            return not await link.command("EXISTS", key)

        await eventually(is_gone)
        async with speaking(f"{at_other}{MINE}&offset=7") as again:
            assert (again.welcome["resumed"], again.welcome["gap"]) == (False, "session unknown")


@aio
async def test_what_is_not_kept_any_more_is_a_gap(redis_url: str) -> None:
    async with two(redis_url, history=2) as (_one, other, at_one, at_other):
        async with speaking(at_one + MINE) as alice:
            await alice.call("join", "lobby", id=1, n=1)
            await other.emit("tick", 0, to="lobby")
            place = (await next_of(alice, "tick"))["offset"]
            await alice.abort()
        for n in range(200):
            await other.emit("tick", n, to="lobby")
        async with speaking(f"{at_other}{MINE}&offset={place}") as again:
            assert (again.welcome["resumed"], again.welcome["gap"]) == (True, "too old")
            assert other.clients[again.id].rooms == {"lobby"}


@pytest.mark.websockets_only
@aio
async def test_a_stock_client_of_socket_io_recovers_at_another_process(redis_url: str) -> None:
    need("socket.io-client")
    async with two(redis_url) as (one, other, at_one, at_other):
        urls = [each.replace("ws:", "http:").rstrip("/") for each in (at_one, at_other)]
        async with stock_client(urls[0], transports=["websocket"]) as client:
            kind, first, recovered = await client.hear()
            assert (kind, recovered) == ("connect", False)
            await client.call("join", "red")
            for turn in range(1, 4):
                hub = (one, other)[turn % 2]
                client.say("cut")
                assert await client.hear() == ["disconnect", "forced close"]
                await other.emit("tick", turn, to="red")
                client.say("goto", urls[turn % 2])
                assert await client.hear() == ["connect", first, True]
                assert (await client.hear())[:3] == ["event", "tick", turn]
                [here] = hub.clients.values()
                assert (here.id, here.rooms, here.is_resumed) == (first, {"red"}, True)
            client.say("cut")
            await client.hear()
            for n in range(200):
                await other.emit("tick", n, to="red")
            client.say("goto", urls[0])  # not all is kept: it is a new client, and told so
            assert (await client.hear())[::2] == ["connect", False]


@aio
async def test_a_session_goes_on_at_another_process_for_its_owner_alone(redis_url: str) -> None:
    async with two(redis_url) as (one, other, at_one, at_other):
        for hub in (one, other):
            hub.on(
                "authenticate", lambda credentials: {"a": "alice", "b": "bob"}[credentials.token]
            )
        async with speaking(f"{at_one}{MINE}&token=a") as alice:
            await alice.call("join", "lobby", id=1, n=1)
            await is_written(one)
            async with speaking(f"{at_other}{MINE}&token=b", welcomed=False) as bob:
                error = (await bob.read())["data"]
                assert "somebody else's" in error["message"]
                assert (await bob.closed())[0] == 4403
            assert await alice.call("join", "attic", id=2, n=2) is None  # not even disturbed
            async with speaking(f"{at_other}{MINE}&token=a") as again:
                assert again.welcome["resumed"] is True
                assert (await alice.closed())[0] == 4409
                assert other.clients[again.id].user_id == "alice"
                assert other.clients[again.id].rooms == {"lobby", "attic"}


@aio
async def test_receipts_that_redis_never_heard_of_are_told_as_a_gap(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with two(redis_url) as (one, other, at_one, at_other), stack:
        alice = await stack.enter_async_context(speaking(at_one + MINE))
        await alice.emit("join", "one", n=1)
        await until(lambda: one.rooms.get("one"))
        await is_written(one)
        await die(one)  # it goes on serving its clients, and nobody else hears of it
        await alice.emit("join", "two", n=2)
        while (await alice.read()).get("received") != 2:
            pass
        await alice.abort()
        again = await stack.enter_async_context(speaking(at_other + MINE))
        assert (again.welcome["resumed"], again.welcome["received"]) == (True, 1)
        await again.emit("join", "three", n=3)  # a client keeps nothing that it was told came
        error = (await next_of(again, "error"))["data"]
        assert error["code"] == "gap"
        assert "1 packets before this one came to another process" in error["message"]
        assert other.clients[again.id].rooms == {"one", "three"}
        while (await again.read()).get("received") != 3:
            pass
        assert await again.call("join", "four", id=4, n=4) is None


@aio
async def test_who_says_nothing_learns_what_its_process_could_not_write_down(
    redis_url: str,
) -> None:
    stack = contextlib.AsyncExitStack()
    async with one_behind_a_wire(redis_url) as (one, other, at_one, at_other, wire), stack:
        alice = await alice_in_the_lobby(stack, one, at_one)
        async with parted(one, wire):
            await alice.emit("join", "attic", n=2)
            while (await alice.read()).get("received") != 2:
                pass
            await alice.abort()
            silent = await stack.enter_async_context(speaking(at_other + MINE))
            assert (silent.welcome["received"], silent.welcome["gap"]) == (1, None)
            place = silent.welcome["offset"]
        assert (await silent.closed())[0] == 1012
        again = await stack.enter_async_context(speaking(f"{at_other}{MINE}&offset={place}"))
        assert (again.welcome["resumed"], again.welcome["gap"]) == (True, "too old")
        assert other.clients[again.id].rooms == {"lobby"}
        await again.abort()
        again = await stack.enter_async_context(speaking(f"{at_other}{MINE}&offset={place}"))
        assert again.welcome["gap"] == "too old"  # it may not have read that
        told = again.welcome["offset"]
        for at in (at_other, at_one):
            await again.abort()
            again = await stack.enter_async_context(speaking(f"{at}{MINE}&offset={told}"))
            assert (again.welcome["resumed"], again.welcome["gap"]) == (True, None)


@aio
async def test_who_was_told_nothing_while_its_process_was_cut_off_hears_of_no_gap(
    redis_url: str,
) -> None:
    stack = contextlib.AsyncExitStack()
    async with one_behind_a_wire(redis_url) as (one, other, at_one, at_other, wire), stack:
        alice = await alice_in_the_lobby(stack, one, at_one)
        session = inside(one).backplane.session(TOKEN)
        async with parted(one, wire):
            await alice.abort()
            again = await stack.enter_async_context(speaking(f"{at_other}{MINE}"))
            assert again.welcome["gap"] is None
        await until(lambda: session is not None and session.is_gone)  # it has learned who has it
        assert await again.call("join", "attic", id=2, n=2) is None
        assert other.clients[again.id].rooms == {"lobby", "attic"}


@aio
async def test_who_comes_back_to_the_process_that_was_cut_off_hears_of_the_gap(
    redis_url: str,
) -> None:
    stack = contextlib.AsyncExitStack()
    async with one_behind_a_wire(redis_url) as (one, _other, at_one, at_other, wire), stack:
        alice = await alice_in_the_lobby(stack, one, at_one)
        async with parted(one, wire):
            await alice.call("join", "attic", id=2, n=2)
            await alice.abort()
            silent = await stack.enter_async_context(speaking(at_other + MINE))
            assert silent.welcome["gap"] is None
            await silent.abort()
            coming = asyncio.ensure_future(_welcome(stack, at_one + MINE))
        again = await coming
        told = again.welcome["gap"]
        if told is None:  # it came in the moment before that was known
            assert (await again.closed())[0] == 1012
            again = await _welcome(stack, at_one + MINE)
            told = again.welcome["gap"]
        assert told is not None


@pytest.mark.websockets_only
@pytest.mark.parametrize("make", ["wslab.connect", "hub.js"])
@aio
async def test_our_clients_know_it_at_once_even_if_that_process_is_never_back(
    redis_url: str, make: str
) -> None:
    async with (
        two(redis_url) as (one, other, at_one, at_other),
        Relay(lambda: urlsplit(at.pop() if len(at) > 1 else at[0]).port) as door,
    ):
        at = [at_other, at_one]
        url, told = f"ws://127.0.0.1:{door.port}/", asyncio.Queue[Any]()
        if make == "hub.js":
            need("ws")
            async with hub_js("hub_js.mjs", HUB_JS) as page:
                page.do("connect", url, {"firstDelayMs": 5, "maxDelayMs": 50})
                await page.told_of("welcome", {"gap": None})
                await is_written(one)
                await die(one)
                page.do("call", 1, "join", "attic")
                await page.told_of("answer", 1)
                door.cut()
                assert (await page.told_of("welcome"))[1]["gap"] == "packets lost"
                return
        loop = asyncio.get_running_loop()

        def tell(data: Any) -> None:
            loop.call_soon_threadsafe(told.put_nowait, data)

        client = await asyncio.to_thread(wslab.connect, url, reconnect=True)
        client.on("welcome", tell)
        assert (await told.get())["gap"] is None
        await is_written(one)
        await die(one)
        await asyncio.to_thread(client.call, "join", "attic")
        door.cut()
        assert (await told.get())["gap"] == "packets lost"
        assert client.gap == "packets lost"
        await asyncio.to_thread(client.call, "join", "attic")
        assert [each.rooms for each in other.clients.values()] == [{"attic"}]
        await asyncio.to_thread(client.close)


@pytest.mark.websockets_only
@aio
async def test_a_stock_client_that_joined_where_nobody_could_write_it_down_is_a_new_one(
    redis_url: str,
) -> None:
    need("socket.io-client")
    async with one_behind_a_wire(redis_url) as (one, other, at_one, at_other, wire):
        urls = [each.replace("ws:", "http:").rstrip("/") for each in (at_one, at_other)]
        async with stock_client(urls[0], transports=["websocket"]) as client:
            _, first, _ = await client.hear()
            await client.call("join", "red")
            async with parted(one, wire):
                await client.call("join", "blue")
                client.say("cut")
                assert await client.hear() == ["disconnect", "forced close"]
                client.say("goto", urls[1])
                assert await client.hear() == ["connect", first, True]
                assert other.clients[first].rooms == {"red"}
            assert (await client.hear())[0] == "disconnect"
            client.say("goto", urls[1])
            kind, second, recovered = await client.hear()
            assert (kind, recovered) == ("connect", False)  # so it joins what it wants to be in
            assert second != first


@pytest.mark.parametrize("asks", [True, False])
@aio
async def test_what_is_not_numbered_is_written_down_as_well(redis_url: str, asks: bool) -> None:
    stack = contextlib.AsyncExitStack()
    async with two(redis_url) as (one, other, at_one, at_other), stack:

        @one.on("score")
        async def score(client: Any, points: int) -> int:
            client.data["score"] = points
            return points

        alice = await stack.enter_async_context(speaking(at_one + MINE))
        link = inside(one).backplane.link  # type: ignore[attr-defined]
        await is_written(one)
        with server_that_waits(link):
            await alice.emit("score", 3, **({"id": 1} if asks else {}))
            if asks:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(alice.read(), 0.2)
        if asks:
            assert (await alice.read())["answer"] == 1
        else:
            await eventually(lambda: _has_score(link))
        await die(one)
        await alice.abort()
        again = await stack.enter_async_context(speaking(at_other + MINE))
        assert other.clients[again.id].data == {"score": 3}


@contextlib.contextmanager
def server_that_waits(link: Any) -> Iterator[None]:
    """Send nothing of a link on its way before the end."""
    post, held = link.post, []

    def hold(*words: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        held.append((future, words))
        return future

    link.post = hold
    yield
    del link.post
    for future, words in held:
        answer = post(*words)
        answer.add_done_callback(lambda done, future=future: future.set_result(done.result()))


async def _has_score(link: Any) -> bool:
    state = await link.command("HGET", link.keys.session(token_hash(TOKEN)), "state")
    return b'"score":3' in state


@aio
async def test_a_room_that_is_closed_is_closed_for_who_comes_back_elsewhere(redis_url: str) -> None:
    stack = contextlib.AsyncExitStack()
    async with two(redis_url) as (one, other, at_one, at_other), stack:
        alice = await stack.enter_async_context(speaking(at_one + MINE))
        await alice.call("join", "lobby", id=1, n=1)
        await alice.call("join", "attic", id=2, n=2)
        await alice.abort()
        await until(lambda: not one.clients)
        assert one.close_room("lobby") == 0
        await is_written(one)
        await die(one)
        again = await stack.enter_async_context(speaking(at_other + MINE))
        assert other.clients[again.id].rooms == {"attic"}


@pytest.mark.parametrize("hears_first", ["both", "the one"])
@aio
async def test_who_is_sent_away_since_redis_lost_its_data_finds_its_session_elsewhere(
    tmp_path: Path, hears_first: str
) -> None:
    stack = contextlib.AsyncExitStack()
    with redis_of_its_own(tmp_path) as server:
        async with two(server.url) as (one, other, at_one, at_other), stack:
            there: Any = inside(other).backplane
            there.link.beat_listeners.remove(there._beat)
            alice = await stack.enter_async_context(speaking(at_one + MINE))
            await alice.call("join", "lobby", id=1, n=1)
            await other.emit("tick", 1, to="lobby")
            place = (await next_of(alice, "tick"))["offset"]
            await is_written(one)
            with server.client() as client:
                client.flushall()
            assert (await alice.closed())[0] == 1012
            if hears_first == "both":
                await there._beat()
            again = await stack.enter_async_context(speaking(f"{at_other}{MINE}&offset={place}"))
            told = again.welcome
            assert (told["resumed"], told["received"], told["gap"]) == (True, 1, "too old")
            assert other.clients[again.id].rooms == {"lobby"}
            await there._beat()  # nobody is sent away again who has come behind the loss
            await one.emit("tick", 2, to="lobby")
            tick = await next_of(again, "tick")
            assert tick["data"] == 2
            assert tick["offset"] > place


@aio
async def test_who_comes_elsewhere_while_redis_is_away_is_no_stranger_where_it_is_back_soon(
    tmp_path: Path,
) -> None:
    stack = contextlib.AsyncExitStack()
    with redis_of_its_own(tmp_path) as server:
        async with two(server.url) as (one, other, at_one, at_other), stack:
            alice = await stack.enter_async_context(speaking(at_one + MINE))
            await alice.call("join", "lobby", id=1, n=1)
            await is_written(one)
            server.kill()
            await until(lambda: "up" not in (one.backplane.status, other.backplane.status))
            await one.emit("tick", 1, to="lobby")  # it has no place yet
            await next_of(alice, "tick")
            await alice.abort()
            coming = asyncio.ensure_future(_welcome(stack, f"{at_other}{MINE}&offset=0"))
            await asyncio.to_thread(server.start)
            told = (await coming).welcome
            assert (told["resumed"], told["received"]) == (True, 1)
            assert told["gap"] == "too old"  # for nobody knows whether it had that one
            [here] = other.clients.values()
            assert here.rooms == {"lobby"}


async def _welcome(stack: contextlib.AsyncExitStack, url: str) -> Any:
    return await stack.enter_async_context(speaking(url))

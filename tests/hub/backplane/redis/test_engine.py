"""Two processes of a hub over one Redis: here two hubs in one process, each with its own link."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

import wslab
from tests.hub.backplane.redis.rig import fast, fresh_name, nodes, prepare
from tests.hub.backplane.redis.session_rig import eventually
from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from wslab.hub import Hub


@aio
async def test_what_is_said_on_one_node_comes_to_members_on_all_in_one_order(
    redis_url: str,
) -> None:
    async with (
        nodes(redis_url, history=50) as (one, two),
        listening(one) as at_one,
        listening(two) as at_two,
        speaking(at_one) as alice,
        speaking(at_two) as bob,
    ):
        for client in (alice, bob):
            await client.call("join", "lobby")
        for n in range(20):
            await (alice, bob)[n % 2].emit("say", {"event": "tick", "data": n, "to": "lobby"})
        heard = []
        for client in (alice, bob):
            got = [await client.read() for _ in range(20)]
            heard.append([(each["data"], each["offset"]) for each in got])
        assert heard[0] == heard[1]
        assert sorted(n for n, _ in heard[0]) == list(range(20))
        offsets = [offset for _, offset in heard[0]]
        assert offsets == sorted(set(offsets))
        assert one.node_id != two.node_id
        assert (one.backplane.status, one.backplane.published) == ("up", 10)
        assert one.backplane.received == 20


@aio
async def test_without_history_it_carries_all_the_same(redis_url: str) -> None:
    async with (
        nodes(redis_url) as (one, two),
        listening(one) as at_one,
        listening(two) as at_two,
        speaking(at_one) as alice,
        speaking(at_two) as bob,
    ):
        delivery = await one.emit("news", {"n": 1}, skip=one.clients[alice.id])
        assert (delivery.sent, delivery.skipped, delivery.elsewhere) == (0, 1, None)
        assert (await bob.read())["data"] == {"n": 1}
        await one.clients[alice.id].emit("for you", [b"\x01\x02", 2])
        assert (await alice.read())["event"] == "for you"
        assert await alice.read() == b"\x01\x02"
        await two.broadcast("raw text", skip=two.clients[bob.id])
        assert await alice.read() == "raw text"
        await two.broadcast(b"raw bytes")
        assert await alice.read() == await bob.read() == b"raw bytes"


@aio
async def test_an_emit_behind_a_join_is_never_missed(redis_url: str) -> None:
    async with (
        nodes(redis_url, history=50) as (one, two),
        listening(one) as at_one,
        speaking(at_one) as alice,
    ):
        [client] = one.clients.values()
        for n in range(50):
            await two.emit("before", n, to=f"room {n}")
            client.join(f"room {n}")
            delivery = one.emit("own", n, to=f"room {n}")
            await delivery
            assert delivery.reached == 1
            await two.emit("behind", n, to=f"room {n}")
        got: list[tuple[str, int]] = []
        while len(got) < 100:
            each = await alice.read()
            if (
                each["event"] != "before"
            ):  # which may have been said in that instant, by Redis's clock
                got.append((each["event"], each["data"]))
        assert got == [(event, n) for n in range(50) for event in ("own", "behind")]


@aio
async def test_a_handler_that_is_one_emit_answers_how_many_it_reached_here(redis_url: str) -> None:
    async with nodes(redis_url) as (one, _), listening(one) as url, speaking(url) as alice:

        @one.on("shout")
        async def shout(client: Any, text: str) -> Any:
            return one.emit("shouted", text)  # not awaited

        await alice.emit("shout", "hello", id=7)
        assert (await alice.read())["event"] == "shouted"
        assert await alice.read() == {"answer": 7, "data": 1}


@aio
async def test_a_plain_function_names_its_client_from_its_thread(redis_url: str) -> None:
    async with nodes(redis_url, history=10) as (one, two), listening(one) as url:
        one.on("name", lambda client, name: setattr(client, "name", name))
        async with speaking(f"{url}?session={TOKEN}") as alice:
            for n in range(20):
                assert await alice.call("name", f"alice {n}") is None

            async def is_named() -> bool:  # there: each node writes on a connection of its own
                [member] = await two.everybody()
                return member.name == "alice 19"

            await eventually(is_named)
            assert one.errors_seen == 0


@aio
async def test_what_was_said_before_a_join_is_not_told(redis_url: str) -> None:
    async with (
        nodes(redis_url, history=50) as (one, two),
        listening(one) as at_one,
        speaking(at_one) as alice,
    ):
        for n in range(5):
            await two.emit("before", n, to="lobby")
        await asyncio.sleep(0.2)  # as long as a machine may take for one exchange with Redis
        backplane: Any = one._context.backplane
        backplane.rooms.counter = 0  # as if no look at Redis had told how far it is
        await alice.call("join", "lobby")
        for n in range(5, 10):
            await two.emit("behind", n, to="lobby")
        assert [(await alice.read())["data"] for _ in range(5)] == list(range(5, 10))
        assert backplane.rooms.feed.late == one.backplane.gaps == 0


@aio
async def test_nor_later_as_if_it_were_a_gap(redis_url: str) -> None:
    name = fresh_name()
    late = fast(Hub(name, history=50, backplane=redis_url), beat_s=3600.0)
    prepare(late)
    async with nodes(redis_url, 1, name=name, history=50) as [one], listening(late) as at_late:
        await late.start()  # and from now on it does not hear by itself how far Redis is
        for n in range(5):
            await one.emit("before", n, to="lobby")
        await asyncio.sleep(0.2)  # as above
        async with speaking(at_late) as alice:
            await alice.call("join", "lobby")
            await inside(late).backplane.rooms.follow("lobby")  # type: ignore[attr-defined]
            await one.emit("behind", 5, to="lobby")
            assert (await alice.read())["event"] == "behind"
        assert late.backplane.gaps == 0
        await late.close()


@aio
async def test_a_node_receives_no_rooms_in_which_it_has_nobody(redis_url: str) -> None:
    async with nodes(redis_url, history=50) as (one, two), listening(one) as at_one:
        async with speaking(at_one) as alice:
            await alice.call("join", "here")
            for n in range(10):
                await two.emit("tick", n, to="elsewhere")
                await two.emit("tick", n, to=["here", "elsewhere"])
            await until(lambda: one.backplane.received == 10)
            got = [await alice.read() for _ in range(10)]
            assert [each["data"] for each in got] == list(range(10))
        assert one.backplane.filled == one.backplane.gaps == 0


@aio
async def test_a_client_comes_back_to_another_node_and_misses_nothing(redis_url: str) -> None:
    async with (
        nodes(redis_url, history=50) as (one, two),
        listening(one) as at_one,
        listening(two) as at_two,
    ):
        async with speaking(f"{at_one}?session={TOKEN}") as alice:
            await alice.call("join", "lobby")
            await two.emit("tick", 1, to="lobby")
            first = await alice.read()
            assert first["data"] == 1
            await alice.abort()
        await until(lambda: not one.clients)
        await two.emit("tick", 2, to="lobby")
        await one.emit("tick", 3)
        async with speaking(f"{at_two}?session={TOKEN}&offset={first['offset']}") as alice:
            assert alice.welcome["resumed"] is True
            assert alice.welcome["gap"] is None
            assert [(await alice.read())["data"] for _ in range(2)] == [2, 3]
            await one.emit("tick", 4, to="lobby")
            assert (await alice.read())["data"] == 4
            [client] = two.clients.values()
            await client.emit("tick", 5)
            assert (await alice.read())["data"] == 5
            assert client.rooms == {"lobby"}
            assert [member.node for member in await one.everybody()] == [two.node_id]


# Its life.


def test_wslab_serve_starts_and_ends_it_and_again(redis_url: str) -> None:
    hub = Hub(fresh_name(), backplane=redis_url, history=10)
    admin = hub.of("/admin")
    assert (hub.backplane.status, hub.backplane.url) == ("connecting", redis_url)
    with wslab.serve(hub, page=False) as server:
        assert hub.backplane.status == admin.backplane.status == "up"
        first = hub.node_id
        assert wslab.run(hub.emit, "tick").reached == 0
        server.restart()
        assert hub.backplane.status == "up"
        assert hub.node_id != first
    assert (hub.backplane.status, hub.backplane.why) == ("down", "it was closed")


@aio
async def test_the_lifespan_of_an_application_starts_and_ends_it(redis_url: str) -> None:
    hub = Hub(fresh_name(), backplane=redis_url)
    told, seen = asyncio.Queue[Any](), []

    async def send(message: Any) -> None:
        seen.append((message["type"], hub.backplane.status))

    life = asyncio.ensure_future(hub.asgi()({"type": "lifespan"}, told.get, send))
    told.put_nowait({"type": "lifespan.startup"})
    await until(lambda: seen)
    told.put_nowait({"type": "lifespan.shutdown"})
    await life
    assert seen == [("lifespan.startup.complete", "up"), ("lifespan.shutdown.complete", "up")]
    assert hub.backplane.status == "down"


@aio
async def test_the_first_client_starts_it_where_nobody_has(redis_url: str) -> None:
    hub = Hub(fresh_name(), backplane=redis_url)
    _ = hub.emit("early", 1)  # nobody is here: it waits for Redis, and for others
    assert hub.backplane.queued == 1
    try:
        async with listening(hub) as url, speaking(url):
            assert hub.backplane.status == "up"
            await until(lambda: hub.backplane.published == 1)
    finally:
        await hub.close()


@aio
async def test_a_backplane_is_given_before_the_first_client(redis_url: str) -> None:
    hub = Hub(fresh_name())
    admin = hub.of("/admin")
    assert hub.backplane.status == "memory"
    with pytest.raises(ValueError, match="redis://"):
        hub.set_backplane("http://127.0.0.1/")
    with pytest.raises(TypeError, match="expected backplane= as a URL"):
        hub.set_backplane(6379)  # type: ignore[arg-type]
    assert hub.backplane.status == "memory"
    hub.set_backplane(redis_url)
    assert hub.backplane.status == admin.backplane.status == "connecting"
    try:
        async with listening(hub) as url, speaking(url) as alice:
            await hub.emit("tick", 1)
            assert (await alice.read())["data"] == 1
            with pytest.raises(RuntimeError, match="before its first client"):
                hub.set_backplane(None)
    finally:
        await hub.close()


def test_what_a_hub_is_told() -> None:
    with pytest.raises(ValueError, match='"queue" or "refuse"'):
        Hub(when_down="wait")  # type: ignore[arg-type]


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wslab.hub.backplane.redis.engine", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "wslab\[redis\]"') as error:
        Hub(backplane="redis://:secret@127.0.0.1/")
    assert "secret" not in str(error.value)

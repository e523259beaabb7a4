"""What befalls Redis and the line to it: nothing is lost without a word, nothing comes twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.hub.backplane.redis.rig import nodes, redis_of_its_own
from tests.hub.rig import TOKEN, aio, listening, speaking, until
from tests.redis_server import RedisServer
from wslab.errors import BackplaneDown
from wslab.hub import Hub, Limits
from wslab.hub.backplane.redis import engine

pytestmark = pytest.mark.websockets_only


@contextlib.asynccontextmanager
async def two(server: RedisServer, **options: Any) -> AsyncIterator[tuple[Hub, Hub, Any, Any]]:
    """Give two nodes, and a client of each in the room "lobby"."""
    async with (
        nodes(server.url, history=100, **options) as (one, other),
        listening(one) as at_one,
        listening(other) as at_other,
        speaking(f"{at_one}?session={TOKEN}") as alice,
        speaking(f"{at_other}?session={TOKEN[::-1]}") as bob,
    ):
        alice.url, bob.url = f"{at_one}?session={TOKEN}", f"{at_other}?session={TOKEN[::-1]}"
        for client in (alice, bob):
            await client.call("join", "lobby")
        yield one, other, alice, bob


async def ticks(client: Any, count: int) -> list[int]:
    """Return what the next events carry."""
    return [(await client.read())["data"] for _ in range(count)]


async def all_up(*hubs: Hub) -> None:
    await until(lambda: all(hub.backplane.status == "up" for hub in hubs))


async def talk(one: Hub, other: Hub, disturb: Any) -> None:
    """Have both emit 100 events in turn, while something is done between them."""
    for n in range(100):
        _ = (one, other)[n % 2].emit("tick", n, to="lobby")
        if n == 30:
            await disturb()
        await asyncio.sleep(0.002)


async def told_once(client: Any, count: int = 100) -> None:
    """See that all came once; in order of each sender."""
    got = await ticks(client, count)
    assert sorted(got) == list(range(count))
    assert await client.all() == []


def _kill(what: str, server: RedisServer) -> Any:
    async def disturb() -> None:
        with server.client() as client:
            if what == "script":
                client.script_flush()
                return
            for each in client.client_list():
                if each["name"].endswith(f":{what}"):
                    client.client_kill_filter(_id=each["id"])

    return disturb


@aio
@pytest.mark.parametrize("what", ["script", "commands", "listens"])
async def test_scripts_are_flushed_or_connections_killed(tmp_path: Path, what: str) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            await talk(one, other, _kill(what, server))
            await all_up(one, other)
            for client in (alice, bob):
                await told_once(client)
            assert one.backplane.lost == other.backplane.lost == 0
            if what != "script":
                assert one.backplane.reconnects == other.backplane.reconnects == 1


@aio
async def test_a_line_that_is_back_at_once_has_cost_nothing_but_time(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            for hub in (one, other):
                hub._context.backplane.link.deadline_s = 20.0  # on a busy machine, too
            await _kill("commands", server)()
            for n in range(20):
                _ = (one, other)[n % 2].emit("tick", n, to="lobby")
                await asyncio.sleep(0.005)
            await until(lambda: one.backplane.reconnects == other.backplane.reconnects == 1)
            got = [[await client.read() for _ in range(20)] for client in (alice, bob)]
            assert [each["offset"] for each in got[0]] == [each["offset"] for each in got[1]]
            assert sorted(each["data"] for each in got[0]) == list(range(20))


@aio
async def test_what_is_heard_first_behind_a_break_waits_for_what_was_said_in_it(
    tmp_path: Path,
) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, _bob):
            await alice.call("join", "attic")
            backplane: Any = one._context.backplane
            link, feed = backplane.link, backplane.rooms.feed
            listen_again, lobby = link._listen_again, link.keys.room("lobby")

            async def listen_while_others_speak() -> None:
                await other.emit("tick", 1, to="attic")  # which this node does not hear
                await listen_again()
                seen = feed.seen[lobby]
                await other.emit("tick", 2, to="lobby")
                await until(lambda: feed.seen[lobby] > seen)  # before it has read anything

            link._listen_again = listen_while_others_speak
            await _kill("listens", server)()
            # Who had seen the later one first, and came again then, would never get the earlier.
            assert await ticks(alice, 2) == [1, 2]
            assert feed.late == 0


@aio
async def test_what_redis_refuses_to_have_read_is_read_again(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, _bob):
            rooms: Any = one._context.backplane.rooms
            fill = rooms._fill

            async def refuse_once(some: Any) -> Any:
                rooms._fill = fill
                raise ResponseError("BUSY Redis is busy running a script")

            rooms._fill = refuse_once
            await alice.call("join", "attic")
            await until(lambda: one.backplane.reconnects == 1)
            await other.emit("tick", 1, to="attic")
            assert await ticks(alice, 1) == [1]
            assert one.errors_seen == 0


@aio
async def test_redis_is_started_again_with_its_data(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            await talk(one, other, lambda: asyncio.to_thread(server.restart))
            await all_up(one, other)
            for client in (alice, bob):
                await told_once(client)
            assert one.backplane.queued == other.backplane.queued == 0
            assert one.backplane.lost == other.backplane.lost == 0


@aio
@pytest.mark.parametrize("how", ["restart", "flush"])
async def test_redis_has_lost_its_data(tmp_path: Path, how: str) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            _ = one.emit("tick", 0, to="lobby")
            before = [(await client.read())["offset"] for client in (alice, bob)]
            mark, other_mark = (hub._context.backplane.mark for hub in (one, other))
            assert mark == other_mark != ""
            if how == "restart":
                await asyncio.to_thread(server.restart, keeps_data=False)
            else:
                with server.client() as client:
                    client.flushall()
            for client in (alice, bob):
                assert (await client.closed())[0] == 1012
            await all_up(one, other)
            assert one.backplane.lost == other.backplane.lost == 1
            # Places of before are places still: who names one to another node hears nothing twice.
            assert {hub._context.backplane.mark for hub in (one, other)} == {mark}
            for hub, old, offset in ((one, alice, before[0]), (other, bob, before[1])):
                async with speaking(f"{old.url}&offset={offset}") as again:
                    assert again.welcome["resumed"] is True
                    assert again.welcome["gap"] == "too old"
                    await hub.emit("tick", 1, to="lobby")
                    event = await again.read()
                    assert (event["data"], event["offset"] > offset) == (1, True)


@aio
async def test_redis_stands_still(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            server.hold()
            try:
                delivery = await one.emit("tick", 0, to="lobby")  # on its way when it is noticed
                assert delivery.is_queued_for_backplane
                assert one.backplane.status == "down"
                began_s = time.monotonic()
                again = await one.emit("tick", 1, to="lobby")  # at once, to those who are here
                assert time.monotonic() - began_s < 0.2
                assert (again.is_queued_for_backplane, again.reached) == (True, 1)
                assert await ticks(alice, 2) == [0, 1]
                assert one.backplane.queued == 2
                assert one.backplane.queued_bytes > 0
                assert "within" in one.backplane.why
            finally:
                server.resume()
            await all_up(one, other)
            assert await ticks(bob, 2) == [0, 1]
            await other.emit("tick", 2, to="lobby")
            assert await ticks(alice, 1) == await ticks(bob, 1) == [2]  # and nothing twice
            assert one.backplane.queued == one.backplane.queued_bytes == 0


@aio
async def test_redis_pauses_its_clients(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):

            async def pause() -> None:
                with server.client() as client:
                    client.client_pause(800)  # longer than a link waits

            await talk(one, other, pause)
            await all_up(one, other)
            for client in (alice, bob):
                await told_once(client)


@aio
async def test_a_node_that_reads_too_slowly_is_cut_off_and_reads_the_rest(tmp_path: Path) -> None:
    limit = {"client_output_buffer_limit": "pubsub 200kb 100kb 1"}
    with redis_of_its_own(tmp_path, **limit) as server:
        limits = Limits(backlog=1000, backlog_bytes=2**26, history_bytes_per_room=2**24)
        async with two(server, limits=limits) as (one, other, alice, bob):
            connection: Any = other._context.backplane.link._subscriptions._connection  # type: ignore[attr-defined]
            connection._writer.transport.pause_reading()  # until Redis has enough of it
            for n in range(60):
                await one.emit("tick", {"n": n, "x": "x" * 100_000}, to="lobby")
            await until(lambda: other.backplane.reconnects == 1)
            await all_up(other)
            for client in (alice, bob):
                assert [(await client.read())["data"]["n"] for _ in range(60)] == list(range(60))
            assert other.backplane.filled > 0
            assert other.backplane.lost == 0


@aio
async def test_what_redis_no_longer_keeps_is_told(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            link: Any = other._context.backplane.link  # type: ignore[attr-defined]
            link._url_before, link._connect["port"] = link._connect["port"], 1  # cut off
            link.fail("a test cuts it")
            await until(lambda: other.backplane.status == "down")
            offset = 0
            for n in range(150):
                offset = (await one.emit("tick", n, to="lobby")).offset or 0
            assert await ticks(alice, 150) == list(range(150))
            link._connect["port"] = link._url_before
            assert (await bob.closed())[0] == 1012
            assert other.backplane.lost == 1
            async with speaking(f"{bob.url}&offset=0") as again:
                assert again.welcome["gap"] == "too old"
                assert again.welcome["offset"] >= offset


@aio
async def test_a_node_that_was_cut_off_for_longer_than_streams_are_kept_says_so(
    tmp_path: Path,
) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, _alice, bob):
            backplanes: Any = [hub._context.backplane for hub in (one, other)]
            keys, link = backplanes[0].link.keys, backplanes[1].link
            port, link._connect["port"] = link._connect["port"], 1
            link.fail("a test cuts it")
            await until(lambda: other.backplane.status == "down")
            for each in backplanes:
                each._kept_s = 1
            await one.emit("tick", 1, to="lobby")
            with server.client() as client:
                await until(lambda: not client.exists(keys.room("lobby")))
            link._connect["port"] = port
            assert (await bob.closed())[0] == 1012
            assert other.backplane.lost >= 1


@aio
async def test_who_cannot_come_back_is_told_by_an_error(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with (
            nodes(server.url) as (one, _),
            listening(one) as url,
            speaking(url) as alice,
        ):
            with server.client() as client:
                client.flushall()
            packet = await alice.read()
            assert (packet["event"], packet["data"]["code"]) == ("error", "gap")
            assert one.complaints["gap"] == 1


@aio
async def test_who_got_something_without_a_place_and_breaks_off_is_told(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, _, alice, _bob):
            await one.emit("tick", 0, to="lobby")
            offset = (await alice.read())["offset"]
            server.kill()
            await until(lambda: one.backplane.status == "down")
            await one.emit("tick", 1, to="lobby")
            assert "offset" not in (packet := await alice.read())
            assert packet["data"] == 1
            await alice.abort()
            await one.emit("tick", 2, to="lobby")
            server.start()
            await all_up(one)
            async with speaking(f"{alice.url}&offset={offset}") as again:
                assert again.welcome["gap"] == "too old"
                await one.emit("tick", 3, to="lobby")
                assert await ticks(again, 1) == [3]  # and not 1 nor 2 again


@aio
async def test_who_comes_back_while_redis_is_away_gets_a_session_of_its_own(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, _bob):
            server.kill()
            await until(lambda: one.backplane.status == "down")
            await until(lambda: other.backplane.status == "down")
            await alice.abort()
            async with speaking(f"{alice.url}&offset=1000") as again:
                told = again.welcome  # nobody can tell whether it has been elsewhere meanwhile
                assert (told["resumed"], told["gap"]) == (False, "session unknown")
                assert isinstance(told["session"], str)
                assert told["session"] not in alice.url
                await again.call("join", "lobby")
                server.start()
                await all_up(one, other)
                await other.emit("tick", 1, to="lobby")
                assert await ticks(again, 1) == [1]


@aio
async def test_a_hub_that_refuses(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server, when_down="refuse") as (one, other, alice, bob):
            server.kill()
            await until(lambda: one.backplane.status == "down")
            with pytest.raises(BackplaneDown, match=r'when_down="queue"'):
                _ = one.emit("tick", 0, to="lobby")
            assert one.backplane.refused == 1
            server.start()
            await all_up(one, other)
            await one.emit("tick", 1, to="lobby")
            assert await ticks(alice, 1) == await ticks(bob, 1) == [1]


@aio
async def test_what_waits_for_redis_has_bounds(tmp_path: Path) -> None:
    limits = Limits(publishing=20, publishing_bytes=20_000, publish_bytes=5_000)
    with redis_of_its_own(tmp_path) as server:
        async with two(server, limits=limits) as (one, other, alice, bob):
            with pytest.raises(ValueError, match=r"at most 5,000 bytes .* got 6,"):
                _ = one.emit("tick", "x" * 6_000)
            server.kill()
            await until(lambda: one.backplane.status == "down")
            for n in range(20):
                await one.emit("tick", n, to="lobby")
            with pytest.raises(BackplaneDown, match="20 events .* wait for it already"):
                _ = one.emit("tick", 20, to="lobby")
            backplane: Any = one._context.backplane
            before = len(backplane.publisher)
            await asyncio.to_thread(server.start)
            await all_up(one, other)
            assert before == 20
            for client in (alice, bob):
                await told_once(client, 20)
            server.kill()
            await until(lambda: one.backplane.status == "down")
            sent = 0
            with pytest.raises(BackplaneDown, match="not emitted"):
                for _n in range(20):
                    await one.emit("tick", "x" * 4_000, to="lobby")
                    sent += 1
            assert sent == 4
            assert one.backplane.queued_bytes <= 20_000


@aio
async def test_what_waits_for_a_reading_has_a_bound_in_bytes(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, _bob):
            feed = one._context.backplane.rooms.feed  # type: ignore[attr-defined]
            feed.limit_bytes = 10_000
            hold = feed.follow("a stream that is never read", 0)
            for n in range(30):
                await other.emit("tick", {"n": n, "x": "x" * 1000}, to="lobby")
                assert feed.size_bytes <= 12_000
            assert (await alice.closed())[0] == 1012
            assert one.backplane.lost >= 1
            feed.end(hold)
            async with speaking(f"{alice.url}&offset=0") as again:
                assert again.welcome["gap"] == "too old"


@aio
async def test_what_is_none_of_ours_is_passed_over_and_seen(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            stream = one._context.backplane.link.keys.room("lobby")  # type: ignore[attr-defined]
            await until(lambda: not one._context.backplane.rooms.feed.holds)  # type: ignore[attr-defined]
            with server.client() as client:
                client.publish(stream, b"hello from another program")
            await other.emit("tick", 1, to="lobby")
            assert await ticks(alice, 1) == await ticks(bob, 1) == [1]
            assert one.errors_seen == 1
            assert one.backplane.reconnects == 0


@aio
async def test_a_room_of_any_name_is_a_room(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            for n, room in enumerate(["lobby:meta", "meta:room:lobby", "a\0b", "}:{", "\ud800"]):
                for client in (alice, bob):
                    await client.call("join", room)
                await one.emit("tick", n, to=[room, "lobby"])
                await other.emit("tick", n, to=room)
                for client in (alice, bob):
                    assert await ticks(client, 2) == [n, n]
            assert one.backplane.reconnects == other.backplane.reconnects == 0


@aio
async def test_an_event_that_redis_never_takes_keeps_no_other_waiting(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, _other, alice, bob):
            with server.client() as client:  # another program has a key of that name
                client.set(one._context.backplane.link.keys.room("taken"), "x")  # type: ignore[attr-defined]
            await one.emit("tick", 0, to="taken")
            await one.emit("tick", 1, to="lobby")
            assert await ticks(alice, 1) == await ticks(bob, 1) == [1]
            assert (one.errors_seen, one.backplane.refused) == (1, 1)
            assert "WRONGTYPE" in str(one.errors[-1])
            assert one.backplane.reconnects == 0


@aio
async def test_redis_takes_nothing_for_a_while(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with two(server) as (one, other, alice, bob):
            with server.client() as client:
                client.config_set("maxmemory", 1)
                delivery = await one.emit("tick", 0, to="lobby")
                assert delivery.is_queued_for_backplane
                await until(lambda: "maxmemory" in one.backplane.why)
                client.config_set("maxmemory", 0)
            await all_up(one, other)
            await one.emit("tick", 1, to="lobby")
            assert await ticks(alice, 2) == [0, 1]
            assert await ticks(bob, 2) == [0, 1]


@aio
async def test_a_hub_starts_without_its_redis(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(engine, "START_S", 0.1)
    with redis_of_its_own(tmp_path) as server:
        server.kill()
        with pytest.raises(BackplaneDown, match=r"was not there within 0\.1 s"):
            async with nodes(server.url, 1, when_down="refuse"):
                pass
        async with two(server) as (one, other, alice, bob):
            await one.emit("tick", 0, to="lobby")
            assert await ticks(alice, 1) == [0]
            server.start()
            await all_up(one, other)
            assert await ticks(bob, 1) == [0]

"""Who is at which node, against a real Redis: leases, ghosts, and who tells of the dead."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name, linked, redis_of_its_own
from tests.hub.rig import aio, until
from wslab.errors import BackplaneDown
from wslab.hub.backplane.member import Member
from wslab.hub.backplane.redis import presence as module
from wslab.hub.backplane.redis.presence import NAME_LENGTH, Presence

QUICK = {"lease_s": 1.5, "renew_s": 0.05, "away_s": 0.3}


class Node:
    """A link with presence on it, and whom it was told are lost."""

    def __init__(self, link: Any, **options: Any) -> None:
        self.link, self.lost = link, list[Member]()
        self.presence = Presence(link, self.lost.append, **options)
        link.up_listeners.append(self.presence.up)
        link.down_listeners.append(self.presence.down)
        link.beat_listeners.append(self.presence.beat)

    def came(self, id: str, *rooms: str, name: str | None = None, user_id: str = "") -> Member:
        member = Member(id, name, user_id or id, self.link.node_id, tuple(sorted(rooms)))
        self.presence.changed(member)
        return member


@contextlib.asynccontextmanager
async def node(url: str, name: str, **options: Any) -> AsyncIterator[Node]:
    async with linked(url, name) as link:
        one = Node(link, **(QUICK | options))
        await one.presence.up()
        yield one


async def left(one: Node) -> set[str]:
    """Return what Redis keeps of a hub's presence."""
    prefix = one.link.keys.nodes.removesuffix("nodes")
    keys = await one.link.command("KEYS", f"{prefix}*")
    return {key.decode().removeprefix(prefix) for key in keys}


@aio
async def test_everybody_is_seen_from_everywhere(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one, node(redis_url, name) as two:
        ana = one.came("a1", "lobby", name="ana", user_id="u1")
        bob = two.came("b1", "lobby", "den", name="b\ud800b")
        eve = one.came("e1", name="")
        for here in (one, two):
            await until_same(here, [ana, bob, eve])
            assert await here.presence.everybody("lobby") == [ana, bob]
            assert await here.presence.everybody("nobody") == []
        ana = one.came("a1", name="ana", user_id="u1")
        one.presence.went("e1")
        assert await one.presence.everybody() == [ana, bob]  # own changes are seen at once
        assert await one.presence.everybody("lobby") == [bob]
        two.presence.went("b1")
        two.presence.went("b1")
        one.presence.went("a1")
        await until_same(two, [])
        await one.presence.leave()
        await two.presence.leave()
        assert await left(one) <= {"renewed"}


async def until_same(one: Node, members: list[Member]) -> None:
    async with asyncio.timeout(10):
        while set(await one.presence.everybody()) != set(members):  # which takes turns of the loop
            pass


@aio
async def test_many_are_written_in_steps_and_found(redis_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "WRITE_MOST", 7)
    name, rng = fresh_name(), random.Random(3)
    async with node(redis_url, name) as one, node(redis_url, name) as two:
        here = {}
        for step in range(400):
            id = f"c{rng.randrange(60)}"
            if rng.random() < 0.3:
                one.presence.went(id)
                here.pop(id, None)
            else:
                here[id] = one.came(id, *rng.sample("abcdef", rng.randrange(6)), name=str(step))
        assert {each.id: each for each in await one.presence.everybody()} == here
        for room in "abcdef":
            expected = {each for each in here.values() if room in each.rooms}
            assert set(await two.presence.everybody(room)) == expected
        await one.presence.leave()
        assert await two.presence.everybody() == []
        assert {
            each for each in await left(two) if each.startswith(("in:", "who:", "mem"))
        } == set()


@aio
async def test_a_dead_node_is_taken_out_and_each_of_its_clients_told_once(
    redis_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "WRITE_MOST", 10)
    name = fresh_name()
    async with node(redis_url, name) as one, node(redis_url, name) as two:
        async with node(redis_url, name, lease_s=1.5) as dying:
            members = {dying.came(f"d{n}", "lobby") for n in range(25)}
            assert set(await dying.presence.everybody("lobby")) == members
        # Its connections have ended, and it says nothing of it.
        assert set(await one.presence.everybody()) == members  # until its lease ends
        await until(lambda: len(one.lost + two.lost) == 25)
        assert set(one.lost + two.lost) == members
        assert await one.presence.everybody() == await two.presence.everybody("lobby") == []
        assert not {each for each in await left(one) if dying.link.node_id in each}


@aio
async def test_a_node_that_leaves_is_not_lost(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one:
        async with node(redis_url, name) as other:
            other.came("x")
            await other.presence.everybody()
            await other.presence.leave()
        assert await one.presence.everybody() == []
        for _ in range(3):
            one.presence._renewed_s = 0.0
            await one.presence.beat()
        assert one.lost == []


@aio
async def test_a_node_that_was_taken_for_dead_registers_anew(redis_url: str) -> None:
    name = fresh_name()
    async with linked(redis_url, name, beat_s=60) as link, node(redis_url, name) as awake:
        asleep = Node(link, **QUICK)  # its link does not beat, so that it renews nothing
        await asleep.presence.up()
        sleeper = asleep.came("s1", "lobby", name="before")
        await until(lambda: awake.lost)
        assert awake.lost == [sleeper]
        sleeper = asleep.came("s1", name="after")  # what it writes now must leave no ghost
        await until(lambda: not asleep.presence._is_writing)
        assert await awake.presence.everybody() == []
        await asleep.presence.beat()
        await until_same(awake, [sleeper])
        assert await awake.presence.everybody("lobby") == []
        assert len(awake.lost) == 1


@aio
async def test_a_lease_ends_when_it_was_to_though_the_hub_is_young(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one:
        async with linked(redis_url, name) as link:
            dying = Node(link, **QUICK)
            await dying.presence.up()
        ends_ms = await one.link.command("ZSCORE", one.link.keys.nodes, link.node_id)
        one.presence._renewed_s = 0.0
        await one.presence.beat()  # the first of all
        again_ms = await one.link.command("ZSCORE", one.link.keys.nodes, link.node_id)
        assert again_ms in (ends_ms, None)


@aio
async def test_where_redis_was_away_no_lease_has_run(tmp_path: Path) -> None:
    name = fresh_name()
    with redis_of_its_own(tmp_path) as redis:
        async with node(redis.url, name) as one, node(redis.url, name) as two:
            members = [one.came("a"), two.came("b")]
            await until_same(one, members)
            redis.hold()
            await until(lambda: one.link.status == two.link.status == "down")
            with pytest.raises(BackplaneDown, match=r"hub\.clients says who is here"):
                await one.presence.everybody()
            await asyncio.sleep(QUICK["lease_s"])  # their leases end: that takes its time
            members[0] = one.came("a", name="while it was away")
            redis.resume()
            await until(lambda: one.link.status == two.link.status == "up")
            await until_same(two, members)
            assert one.lost == two.lost == []


@aio
async def test_where_redis_has_lost_its_data_all_register_anew(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one, node(redis_url, name) as two:
        members = [one.came("a", "lobby"), two.came("b", "lobby")]
        await until_same(one, members)
        keys = one.link.keys
        await one.link.command(
            "DEL", keys.nodes, keys.renewed, *[f"{keys.nodes.removesuffix('nodes')}{each}"
                                                for each in await left(one)]
        )  # fmt: skip
        await until_same(two, members)
        assert await one.presence.everybody("lobby") == members
        assert one.lost == two.lost == []


@aio
async def test_what_one_client_takes_is_bounded(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one:
        for n in range(20):
            one.came("a", name=f"{n}" * 100_000)
        [member] = await one.presence.everybody()
        assert member.name == ("19" * 100_000)[:NAME_LENGTH]
        size = await one.link.command("MEMORY", "USAGE", one.link.keys.members(member.node))
        assert size < 4096


async def _break_off(one: Node) -> None:
    """Have Redis end a node's connections, as CLIENT KILL does."""
    with contextlib.suppress(BackplaneDown):
        for line in (await one.link.command("CLIENT", "LIST")).decode().splitlines():
            words = dict(word.partition("=")[::2] for word in line.split(" "))
            if words["name"].startswith(f"wslab:{one.link.node_id}:"):
                await one.link.command("CLIENT", "KILL", "ID", words["id"])


async def _lose_all(one: Node) -> None:
    """Delete all that Redis keeps of a hub in one step, as FLUSHALL does."""
    prefix = one.link.keys.nodes.removesuffix("nodes")
    text = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end"
    with contextlib.suppress(BackplaneDown):
        await one.link.command("EVAL", text, 0, f"{prefix}*")


@pytest.mark.parametrize("seed", range(6))
@aio
async def test_in_the_end_all_agree_whatever_happened(redis_url: str, seed: int) -> None:
    name, rng, numbers = fresh_name(), random.Random(seed), iter(range(10_000))
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(redis_url, name)) for _ in range(3)]
        here: dict[Node, dict[str, Member]] = {one: {} for one in nodes}
        came, lost_before = set[str](), list[Member]()
        for _ in range(300):
            one = rng.choice(nodes)
            act = rng.random()
            if act < 0.4:
                id = f"c{next(numbers)}"
                here[one][id] = one.came(id, *rng.sample("abc", rng.randrange(3)))
                came.add(id)
            elif act < 0.6 and here[one]:
                id = rng.choice(list(here[one]))
                here[one][id] = one.came(id, *rng.sample("abc", rng.randrange(3)), name=str(act))
            elif act < 0.9 and here[one]:
                id = here[one].pop(rng.choice(list(here[one]))).id
                one.presence.went(id)
            elif act < 0.92:
                await _break_off(one)
            elif act < 0.94:
                with contextlib.suppress(BackplaneDown):
                    await one.link.command("SCRIPT", "FLUSH")
            elif act < 0.95:
                await _lose_all(one)
            elif act < 0.96:  # it dies without a word, and another one comes
                await one.link.close()
                lost_before += one.lost
                nodes.remove(one)
                del here[one]
                nodes.append(await stack.enter_async_context(node(redis_url, name)))
                here[nodes[-1]] = {}
            await asyncio.sleep(0)
        for one in nodes:
            await until(lambda one=one: one.link.status == "up")
        everybody = [each for members in here.values() for each in members.values()]
        await until_same(nodes[0], everybody)
        for one in nodes:
            assert set(await one.presence.everybody()) == set(everybody)
            for room in "abc":
                inside = {each for each in everybody if room in each.rooms}
                assert set(await one.presence.everybody(room)) == inside
        told = [each.id for each in [*lost_before, *(each for one in nodes for each in one.lost)]]
        assert set(told) <= came
        async with asyncio.timeout(20):  # until the leases of the dead have ended, too
            while await nodes[0].link.command("ZCARD", nodes[0].link.keys.nodes) != len(nodes):
                pass
        for one in nodes:
            await one.presence.leave()
        assert await left(nodes[0]) == {"renewed"}

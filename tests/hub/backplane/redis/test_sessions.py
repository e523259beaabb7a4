"""Sessions between nodes, over a real Redis: taken over, handed over, fenced, and never made up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name, redis_of_its_own
from tests.hub.backplane.redis.session_rig import NAME, TOKEN, eventually, node
from tests.hub.rig import aio, until
from wslab.hub import Limits
from wslab.hub.backplane.backplane import Fetched
from wslab.hub.backplane.redis import sessions
from wslab.hub.protocol.packets import Packet


async def _a_life(here: Any) -> Any:
    """Have a session at a node that has said, heard and answered something."""
    session = here.open()
    session.name, session.client_id = "Ada", "a1b2c3"
    session.data.update(score=3, socket=object())
    session.join("red")
    session.join("blue")
    here.local.history.offset = await here.say("one", "red")
    session.leave("blue")
    session.receive(Packet("e", id=1, n=1))
    here.local.keep_answer(session, (b'{"answer":1}', [b"x"]), 13)
    await here.written(session)
    return session


@aio
async def test_a_session_is_handed_over_with_all_that_belongs_to_it(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        before = await _a_life(here)
        session = before
        session.receive(Packet("e", n=2))  # its handler is at work
        here.may_go.clear()
        await here.say("two", "red", "blue")
        await here.say("to everybody", None)
        await here.say(f"not for {NAME}", None)
        await here.say("mine", own=NAME)
        fetching = asyncio.ensure_future(there.sessions.fetch(TOKEN, 1, "5.6.7.8"))
        await until(lambda: here.made_way == [before])
        assert not fetching.done()
        here.may_go.set()
        assert await fetching is Fetched.KNOWN
        assert before.is_gone
        assert (here.fenced, len(here.local), here.writer.by_name) == ([], 0, {})
        session = there.local.continued(TOKEN, 0.0, "5.6.7.8")
        assert (session.received, session.recorded) == (2, 2)
        assert (session.name, session.user_id, session.client_id) == ("Ada", "ada", "a1b2c3")
        assert session.data == {"score": 3}
        assert set(session.rooms) == {"red"}
        assert not session.may_be_behind
        told = session.resume(1)
        assert [past.message for past in told.missed] == ["two", "to everybody", "mine"]
        assert (told.gap, told.received, told.offset) == (None, 2, 1)
        assert session.receive(Packet("e", id=1, n=1)).answer == (b'{"answer":1}', [b"x"])
        assert session.receive(Packet("e", n=3)) is not None
        assert there.local.history.offset == 5
        [failure] = here.failures
        assert "expected client.data of JSON, got 'socket'" in str(failure)
        assert await there.sessions.fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN  # it is here
        assert there.local.get(TOKEN) is session
        # And back again.
        assert await here.sessions.fetch(TOKEN, 5, "1.2.3.4") is Fetched.KNOWN
        assert here.local.get(TOKEN).snapshot().stays == before.snapshot().stays._replace(
            here={"red": 0}, left=[("blue", 0, 1)]
        )
        assert (here.sessions.taken, there.sessions.taken) == (1, 1)


@aio
async def test_who_has_come_back_is_not_handed_over_to_whom_it_left(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        first_visit = here.writer.of(session).claim
        assert await here.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        told = there.sessions._expect(f"released {NAME}")
        channel = here.link.keys.channel(here.link.node_id, "sessions")
        late = f"release {NAME} {there.link.node_id} {first_visit}"
        await there.link.command("PUBLISH", channel, late)
        await told  # whoever waits there asks again
        assert (here.made_way, here.local.get(TOKEN)) == ([], session)
        assert await there.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        assert (here.made_way, session.is_gone) == ([session], True)


@aio
async def test_who_comes_back_while_its_handler_ends_is_not_handed_over(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        here.may_go.clear()
        waits = [True]
        asking = there.sessions.fetch(TOKEN, None, "5.6.7.8", None, lambda: waits[0])
        fetching = asyncio.ensure_future(asking)
        await until(lambda: here.made_way == [session])
        waits[0] = False  # its client has left there, and is here again
        assert await here.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        assert here.local.continued(TOKEN, 0.0, "1.2.3.4") is session
        here.may_go.set()
        assert await fetching is Fetched.MOVED_ON
        assert not session.is_gone
        await here.written(session)
        assert (await here.stored())[b"owner"] == here.link.node_id.encode()


@aio
async def test_where_redis_has_lost_when_its_client_came_it_is_handed_over_all_the_same(
    redis_url: str,
) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        assert await here.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        await here.link.command("DEL", here.link.keys.session(NAME))
        session.receive(Packet("e", n=1))
        await here.written(session)
        assert await there.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        assert (here.made_way, there.sessions.taken) == ([session], 1)


@aio
async def test_a_node_that_is_not_there_any_more_is_passed_over(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as there:
        async with node(redis_url, name) as here:
            await _a_life(here)
        await there.say("two", "red")
        assert await there.sessions.fetch(TOKEN, None, "5.6.7.8") is Fetched.KNOWN
        session = there.local.continued(TOKEN, 0.0, "5.6.7.8")
        assert session.received == 1
        assert session.may_be_behind
        assert [past.message for past in session.resume(None).missed] == ["one", "two"]


@aio
async def test_a_node_that_does_not_answer_is_fenced(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fresh_name()
    monkeypatch.setattr(sessions, "MORE_S", 0.1)
    limits = Limits(grace_s=0)
    async with node(redis_url, name) as here, node(redis_url, name, limits=limits) as there:
        before = await _a_life(here)
        here.may_go.clear()  # for ever, as if it stood still
        assert await there.sessions.fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN
        session = there.local.get(TOKEN)
        assert session.may_be_behind
        await until(lambda: here.fenced == [before])
        assert before.is_gone
        here.may_go.set()  # it wakes, and has nothing to hand over
        await until(lambda: not here.sessions._background)
        assert (await there.stored())[b"owner"] == there.link.node_id.encode()
        there.local.end(session)

        async def is_gone() -> bool:
            return not await there.stored()

        await eventually(is_gone)


@aio
async def test_what_a_fenced_node_writes_is_refused_and_it_learns_so(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = await _a_life(here)
        here.link.unlisten(here.sessions._channel)  # it is told nothing
        await here.link.command("PING")
        await until(lambda: here.link._subscriptions is not None)
        assert await there.sessions.fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN
        told: list[str] = []
        session.name = "Eve"
        here.writer.record(session, lambda: told.append("a receipt"))
        await until(lambda: here.fenced == [session])
        assert told == []
        assert session.is_gone
        assert b"Eve" not in (await there.stored())[b"state"]
        assert there.local.get(TOKEN).name == "Ada"


@aio
async def test_a_flood_of_tokens_that_nobody_knows_leaves_nothing_in_redis(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        for nth in range(300):
            assert await here.sessions.fetch(f"junk-{nth:016}", nth, "6.6.6.6") is Fetched.KNOWN
        assert len(here.local) == 0
        assert here.sessions._fetching == {}
        assert await here.session_keys() == []


@aio
async def test_sessions_that_strangers_leave_behind_are_bounded_and_go(redis_url: str) -> None:
    limits = Limits(sessions=10, answers_bytes_per_session=2000, data_bytes=1000)
    async with node(redis_url, fresh_name(), session_s=0.6, limits=limits) as here:
        for nth in range(50):
            session = here.open(f"junk-{nth:016}")
            for n in range(1, 6):
                session.receive(Packet("e", id=n, n=n))
                here.local.keep_answer(session, (b"x" * 900, ()), 900)
                here.writer.record(session)
            session.data["large"] = "x" * 2000
            await here.written(session)
            here.local.leave(session, 1e9)
            here.writer.record(session)
        keys = await here.session_keys()
        assert 0 < len(keys) <= 10
        for key in keys:
            fields = await here.link.command("HKEYS", key)
            assert len(fields) <= 5 + 2
            assert await here.link.command("MEMORY", "USAGE", key) < 5000

        async def have_gone() -> bool:
            return not await here.session_keys()

        await eventually(have_gone)


@aio
async def test_a_session_lives_as_long_as_its_client_is_here(redis_url: str) -> None:
    async with node(redis_url, fresh_name(), session_s=1.0) as here:
        session = here.open()
        await here.written(session)
        left_ms, renewed = 0, 0
        async with asyncio.timeout(10):
            while renewed < 3:
                now_ms = await here.link.command("PTTL", here.link.keys.session(NAME))
                assert now_ms > 0
                renewed += now_ms > left_ms + 50
                left_ms = now_ms
                await asyncio.sleep(0.02)
        await here.link.command("DEL", here.link.keys.session(NAME))  # Redis has lost it
        await eventually(here.has_stored)
        assert here.fenced == []


@aio
async def test_who_has_gone_takes_nothing_from_where_its_client_may_be_now(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        before = await _a_life(here)
        fetch = there.sessions.fetch
        assert await fetch(TOKEN, 1, "5.6.7.8", None, lambda: False) is Fetched.MOVED_ON
        assert (here.made_way, here.local.get(TOKEN)) == ([], before)
        here.may_go.clear()
        waits = [True]
        fetching = asyncio.ensure_future(fetch(TOKEN, 1, "5.6.7.8", None, lambda: bool(waits)))
        await until(lambda: here.made_way == [before])
        waits.clear()
        here.may_go.set()
        assert await fetching is Fetched.MOVED_ON
        assert (there.sessions.taken, there.local.get(TOKEN)) == (0, None)
        assert await fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN
        assert there.sessions.taken == 1


@aio
async def test_of_two_nodes_that_want_a_session_the_later_has_it(redis_url: str) -> None:
    name = fresh_name()
    async with (
        node(redis_url, name) as here,
        node(redis_url, name) as b,
        node(redis_url, name) as c,
    ):
        await _a_life(here)
        results = await asyncio.gather(
            b.sessions.fetch(TOKEN, 1, "5.6.7.8"), c.sessions.fetch(TOKEN, 1, "5.6.7.8"),
            b.sessions.fetch(TOKEN, 1, "5.6.7.8"),
        )  # fmt: skip
        assert Fetched.KNOWN in results
        async with asyncio.timeout(5):
            owner = (await b.stored())[b"owner"].decode()
            while sum(TOKEN in {each.token for each in one.local} for one in (b, c)) != 1:
                await asyncio.sleep(0.01)
                owner = (await b.stored())[b"owner"].decode()
        winner = b if owner == b.link.node_id else c
        assert winner.local.get(TOKEN).received == 1


@aio
async def test_what_is_no_session_is_as_if_nobody_knew_it_and_seen(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        key = here.link.keys.session(NAME)
        fields = ["claim", "x:1", "owner", "", "received", "0", "state", '{"v":99}']
        await here.link.command("HSET", key, *fields)
        assert await here.sessions.fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN
        assert here.local.get(TOKEN) is None
        assert "expected a session as wslab 1 writes it" in str(here.failures)


@aio
@pytest.mark.parametrize("why", ["trimmed", "too much", "of another life of Redis's data"])
async def test_what_cannot_be_read_any_more_is_a_gap(redis_url: str, why: str) -> None:
    name, limits = fresh_name(), Limits(history_bytes_per_room=4000)
    async with node(redis_url, name) as here, node(redis_url, name, limits=limits) as there:
        session = await _a_life(here)
        for _ in range(3):
            last = await here.say("x" * 2000 if why == "too much" else "two", "red")
        if why == "trimmed":
            await here.link.command(
                "HSET", here.link.keys.meta(here.link.keys.room("red")), "trimmed", "2"
            )
        elif why.startswith("of"):
            there.base = 2
        await here.written(session)
        assert await there.sessions.fetch(TOKEN, 1, "5.6.7.8") is Fetched.KNOWN
        session = there.local.continued(TOKEN, 0.0, "5.6.7.8")
        told = session.resume(1)
        assert (told.gap, told.missed, told.offset) == ("too old", [], last)
        assert set(session.rooms) == {"red"}
        assert session.received == 1


@aio
async def test_while_redis_is_away_nothing_waits_and_it_is_written_down_later(
    tmp_path: Path,
) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with node(server.url, "hub", session_s=60.0) as here:
            session = await _a_life(here)
            told: list[int] = []
            server.kill()
            session.receive(Packet("e", n=2))
            session.has_handled(Packet("e", n=2))
            here.writer.record(session, lambda: told.append(session.receipt))
            await until(lambda: told == [2])
            assert await here.sessions.fetch("b" * 16, 1, "5.6.7.8") is Fetched.UNSURE
            server.restart(keeps_data=False)
            await until(lambda: here.link.status == "up")
            await eventually(here.has_stored)
            async with node(server.url, "hub") as there:
                await here.written(session)
                assert await there.sessions.fetch(TOKEN, None, "5.6.7.8") is Fetched.KNOWN
                assert there.local.get(TOKEN).received == 2
                assert there.local.get(TOKEN).receive(Packet("e", id=1, n=1)).answer


@aio
async def test_a_node_that_closes_hands_over_all_that_it_has(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = await _a_life(here)
        session.receive(Packet("e", n=2))  # whose handler does not end any more
        await here.sessions.close()
        assert (await there.stored())[b"owner"] == b""
        assert await there.sessions.fetch(TOKEN, None, "5.6.7.8") is Fetched.KNOWN
        assert there.local.get(TOKEN).received == 1
        assert not there.local.get(TOKEN).may_be_behind


@aio
async def test_a_session_that_is_somebody_elses_stays_where_it_is(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = await _a_life(here)
        assert await there.sessions.fetch(TOKEN, 1, "6.6.6.6", "eve") is Fetched.ANOTHERS
        assert len(there.local) == 0
        assert here.made_way == []
        assert await there.sessions.fetch(TOKEN, 1, "5.6.7.8", "ada") is Fetched.KNOWN
        assert there.local.get(TOKEN).user_id == session.user_id == "ada"

"""What a node writes down of its sessions: one write at a time, and what waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name
from tests.hub.backplane.redis.session_rig import TOKEN, eventually, node
from tests.hub.rig import aio, until
from wslab.hub.protocol.packets import Packet


def _receive(session: Any, n: int) -> None:
    session.receive(Packet("e", n=n))
    session.has_handled(Packet("e", n=n))


@aio
async def test_one_write_is_on_its_way_and_the_next_takes_all_that_came_meanwhile(
    redis_url: str,
) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        await here.written(session)
        before = (await here.link.command("INFO", "commandstats")).count(b"\n")
        assert before
        sent: list[Any] = []
        post = here.link.post
        here.link.post = lambda *words: sent.append(words) or post(*words)
        told: list[int] = []
        for n in range(1, 101):
            _receive(session, n)
            here.writer.record(session, lambda n=n: told.append((n, session.receipt)))
            if n == 1:
                assert told == []
        await until(lambda: len(told) == 100)
        assert told == [(1, 1), *((n, 100) for n in range(2, 101))]
        assert len(sent) == 2
        here.writer.record(session)
        await here.written(session)
        assert sent[1][2][4] == sent[-1][2][4] == ""  # the rest of it is the same, and not sent
        assert (await here.stored())[b"received"] == b"100"


@aio
async def test_answers_that_had_to_go_go_from_redis_too(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        for n in (1, 2, 3):
            session.receive(Packet("e", id=n, n=n))
            here.local.keep_answer(session, (b"answer", ()), 6)
            await here.written(session)
        here.local._drop_answer(session)
        await here.written(session)
        fields = await here.stored()
        assert sorted(each for each in fields if each.startswith(b"a:")) == [b"a:2", b"a:3"]


@aio
async def test_it_goes_on_when_redis_has_forgotten_scripts_or_sessions(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        session.receive(Packet("e", id=1, n=1))
        here.local.keep_answer(session, (b"answer", ()), 6)
        await here.written(session)
        await here.link.command("SCRIPT", "FLUSH")
        await here.link.command("DEL", here.link.keys.session(here.writer.of(session).name))
        _receive(session, 2)
        await here.written(session)  # all of it, since nothing was there
        fields = await here.stored()
        assert fields[b"received"] == b"2"
        assert b"a:1" in fields


@aio
async def test_an_error_of_redis_is_seen_nobody_waits_and_it_is_tried_again(
    redis_url: str,
) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        await here.written(session)
        key = here.link.keys.session(here.writer.of(session).name)
        await here.link.command("DEL", key)
        await here.link.command("SET", key, "no hash")
        _receive(session, 1)
        await here.written(session)
        assert session.receipt == 1
        assert here.failures
        await here.link.command("DEL", key)
        await eventually(here.has_stored)


@aio
async def test_a_new_session_of_a_token_takes_the_place_of_another_nodes(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        before = here.open()
        await here.written(before)
        session = there.open()  # which did not know of it, since it could not ask
        await there.written(session)
        await until(lambda: here.fenced == [before])
        assert (await here.stored())[b"owner"] == there.link.node_id.encode()
        assert there.local.get(TOKEN) is session


@aio
async def test_of_a_session_that_is_not_its_own_it_writes_nothing(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.local.open("b" * 16, 0.0)
        told: list[str] = []
        here.writer.record(session, lambda: told.append("at once"))
        here.writer.record(session)
        here.local.end(session)
        here.writer.record(session, lambda: told.append("never"))
        assert told == ["at once"]
        assert here.writer.by_name == {}


@aio
async def test_who_was_told_nothing_more_is_not_behind(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        await here.written(session)
        here.link.status = "down"
        here.local.leave(session, 9.0)  # for how long it was here is no news to its client
        here.writer.record(session)
        assert here.writer.of(session).is_ahead is False
        here.link.status = "up"
        await here.written(session)


@aio
@pytest.mark.parametrize("is_back", [True, False])
async def test_who_waits_for_a_write_waits_a_while_where_redis_may_be_back_soon(
    redis_url: str, is_back: bool
) -> None:
    async with node(redis_url, fresh_name()) as here:
        session = here.open()
        await here.written(session)
        await here.writer.is_up()
        here.link.status = "down"
        told: list[int] = []
        for n in (1, 2):
            _receive(session, n)
            here.writer.record(session, lambda: told.append(session.receipt))
        assert told == []
        if is_back:
            here.link.status = "up"
            await here.writer.renew()
            await until(lambda: told == [2, 2])
            assert (await here.stored())[b"received"] == b"2"
        else:
            here.writer.gone()
            assert told == [2, 2]
        assert here.writer.of(session).is_ahead is not is_back
        here.link.status = "up"
        await here.written(session)
        assert here.writer.of(session).is_ahead is False

"""What a node tells of sessions that have gone elsewhere while it could write nothing down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name
from tests.hub.backplane.redis.session_rig import NAME, TOKEN, eventually, node
from tests.hub.rig import aio, until
from wslab.hub.backplane.backplane import Fetched
from wslab.hub.backplane.redis import unwritten
from wslab.hub.protocol.packets import Packet


async def _told_while_away(here: Any, session: Any) -> None:
    """Have a client told of a packet while the node says that Redis is away."""
    here.link.status = "down"
    packet = Packet("e", n=session.received + 1)
    session.receive(packet)
    session.has_handled(packet)
    told: list[int] = []
    here.writer.record(session, lambda: told.append(session.receipt))
    assert told == [session.received]
    here.link.status = "up"


async def _take_over(here: Any, there: Any) -> None:
    """Have one node take over the session of the other, as if that would not answer."""
    await here.link.command("HSET", here.link.keys.session(NAME), "owner", "gone")
    assert await there.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN


async def _is_deaf(there: Any) -> bool:
    """Return whether Redis knows that a node does not hear the others."""
    found = await there.link.command("PUBSUB", "NUMSUB", there.sessions._channel)
    return bool(found[1] == 0)


@aio
@pytest.mark.parametrize("where", ["nowhere", "at a node", "at a node that does not hear"])
async def test_whoever_has_a_session_learns_that_its_client_was_told_more(
    redis_url: str, where: str
) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        key = here.link.keys.session(NAME)
        if where == "nowhere":
            await here.link.command("HSET", key, "owner", "", "claim", "another's")
        else:
            await _take_over(here, there)
        if where == "at a node that does not hear":
            await here.link.command("HSET", key, "owner", "deaf", "claim", "its own")
        await _told_while_away(here, session)
        await here.writer.renew()  # it learns that it has it no more, and the beat after tells
        await until(lambda: session in here.fenced)
        if where == "at a node":
            await until(lambda: there.doubted == [there.local.get(TOKEN)])
            assert not await here.has_stored(b"behind")
        else:
            await eventually(lambda: here.has_stored(b"behind"))
            assert await there.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
            again = there.local.continued(TOKEN, 0.0, "1.2.3.4")
            assert again.resume(None).gap == "too old"
            assert not await here.has_stored(b"behind")
            assert there.doubted == []
        await until(lambda: len(here.writer.unwritten) == 0)


@aio
async def test_a_node_tells_of_them_as_soon_as_redis_is_back(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        await _take_over(here, there)
        await _told_while_away(here, session)
        here.link.beat_listeners.remove(here.writer.renew)  # which would tell, a second later
        await here.writer.is_up()
        await until(lambda: there.doubted == [there.local.get(TOKEN)])


@aio
@pytest.mark.parametrize("when", ["Redis is there for it again", "the client comes again"])
async def test_a_node_that_did_not_hear_it_learns_it_when(redis_url: str, when: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        session = here.open()
        await here.written(session)
        await _take_over(here, there)
        there.link.unlisten(there.sessions._channel)
        await eventually(lambda: _is_deaf(there))
        await _told_while_away(here, session)
        await here.writer.is_up()
        await eventually(lambda: here.has_stored(b"behind"))
        if when == "the client comes again":
            assert await there.sessions.fetch(TOKEN, None, "1.2.3.4") is Fetched.KNOWN
        else:
            await there.writer.is_up()
        await until(lambda: there.doubted == [there.local.get(TOKEN)])
        assert not await here.has_stored(b"behind")


@aio
async def test_what_others_are_to_learn_is_bounded(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "MAX_NAMES", 3)
    async with node(redis_url, fresh_name()) as here:
        here.link.status = "down"
        for n in range(5):
            here.writer.unwritten.note(f"{n}")
        assert list(here.writer.unwritten._names) == ["2", "3", "4"]
        assert "more than 3 clients have gone" in str(here.failures[0])
        here.link.status = "up"
        await until(lambda: len(here.writer.unwritten) == 0)  # nobody has these

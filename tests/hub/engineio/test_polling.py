"""The requests of one session: held, overlapping, cancelled, and what a POST may bring."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.engineio.rig import engine, prepared, soon
from tests.hub.rig import until
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.protocol.limits import Limits

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]


async def silent(session):
    lost = asyncio.Event()
    session.when_lost(lost.set)
    await lost.wait()


async def started(rig):
    sid = await rig.open()
    await until(lambda: rig.seen)
    return sid, rig.last


async def held(request):
    task = asyncio.ensure_future(request)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_what_is_said_in_one_turn_goes_out_together():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        poll = await held(rig.get(sid))
        for text in "abc":
            session.write(prepared(text), PLAIN_JSON)
        assert (await soon(poll)).body == b"4a\x1e4b\x1e4c"


async def test_a_second_get_ends_the_session():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        poll = await held(rig.get(sid))
        second = await soon(rig.get(sid))
        assert (second.status, second.body) == (400, b"")
        assert (await soon(poll)).body == b"1"
        assert session.closed.code == 1002
        assert "a second while one is held" in session.closed.reason


async def test_a_get_whose_client_has_gone_ends_the_session():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        poll = await held(rig.get(sid))
        poll.cancel()
        await asyncio.wait([poll])
        assert session.closed is None
        assert (await rig.get(sid)).status == 400


async def test_a_second_post_ends_the_session():
    async with engine(silent, Limits(poll_bytes=100)) as rig:
        sid, session = await started(rig)
        post = await held(rig.post(sid, "4" + "x" * 200))
        second = await soon(rig.post(sid, "4y"))
        assert (second.status, second.body) == (400, b"")
        assert "a second at once" in session.closed.reason
        await soon(post)


async def test_a_post_is_answered_when_there_is_room_for_more():
    free = asyncio.Event()

    async def slow(session):
        await free.wait()
        got.append(await session.receive())
        await asyncio.Event().wait()

    got = []
    async with engine(
        slow, Limits(poll_bytes=100), ping_interval_s=0.01, ping_timeout_s=0.02
    ) as rig:
        sid, session = await started(rig)
        post = await held(rig.post(sid, "4" + "x" * 200))
        poll = await soon(rig.get(sid))
        assert poll.body == b"2"
        await asyncio.sleep(0.1)  # it cannot answer the ping before its POST is answered
        assert session.is_open
        free.set()
        assert (await soon(post)).body == b"ok"
        assert got == ["x" * 200]


async def test_what_serves_a_session_that_ended_by_itself_ends_with_the_server():
    async def stuck(session):
        served.append(session)
        await asyncio.Event().wait()

    served = []
    async with engine(stuck, ping_interval_s=0.01, ping_timeout_s=0.02) as rig:
        _, session = await started(rig)
        ended = asyncio.Event()
        session.when_lost(ended.set)
        async with asyncio.timeout(10.0):
            await ended.wait()
        assert served == [session]


async def test_a_client_that_does_not_poll_fills_its_bound_and_no_more():
    async with engine(silent, Limits(poll_bytes=10_000)) as rig:
        sid, session = await started(rig)
        written = 0
        while session.write(prepared("x" * 1000), PLAIN_JSON):
            written += 1
        assert written == 8
        assert not session.is_writable
        drained = await held(session.drain())
        assert (await soon(rig.get(sid))).body.count(b"\x1e") == 7
        await soon(drained)
        assert session.is_writable


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff", ()),
        (b"", ()),
        (b"4a\x1e", ()),
        (b"4a", (("Content-Type", "application/octet-stream"),)),
        (b"\x1e".join([b"4"] * 100_000), ()),
    ],
)
async def test_a_body_that_is_none(body, headers):
    async with engine(silent) as rig:
        sid, session = await started(rig)
        answer = await soon(rig.post(sid, body, *headers))
        assert answer.status == 400
        assert session.closed.code == 1002


async def test_other_methods():
    async with engine(silent) as rig:
        sid, _ = await started(rig)
        assert (await rig.get(sid, method="DELETE")).status == 400
        assert (await rig.get(method="HEAD")).body == b'{"code":2,"message":"Bad handshake method"}'

"""One session, by polling and on a WebSocket: order, both directions, its end."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hub.engineio.rig import HOME, engine, prepared, say, soon
from tests.hub.rig import until
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.engineio.life import EngineState
from wslab.hub.protocol.closed import Closed

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]


async def test_a_websocket_is_greeted_and_its_messages_come_back():
    async with engine() as rig, rig.socket() as socket:
        opened = await soon(socket.recv())
        assert opened[0] == "0"
        fields = json.loads(opened[1:])
        [sid] = rig.server.sessions
        assert fields == {
            "sid": sid,
            "upgrades": [],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 1_000_000,
        }
        await socket.send("4hello")
        await socket.send(b"\x00\x01")
        assert await soon(socket.recv()) == "4hello"
        assert await soon(socket.recv()) == b"\x00\x01"
        session = rig.last
        assert (session.transport, session.is_open, session.is_writable) == (
            "websocket",
            True,
            True,
        )
        assert session.path.startswith("/socket.io/?EIO=4")
        assert session.headers["upgrade"] == "websocket"
        assert session.connection.request is not None
        assert sid not in repr(session)


async def test_polling_brings_the_open_packet_at_once_and_messages_in_order():
    async with engine() as rig:
        sid = await rig.open()
        session = rig.last if rig.seen else await until(lambda: rig.seen and rig.last)
        assert (session.id, session.address, session.transport) == (sid, HOME, "polling")
        held = asyncio.ensure_future(rig.get(sid))
        await asyncio.sleep(0)
        answer = await soon(rig.post(sid, "4one\x1ebAAE=\x1e4two"))
        assert (answer.status, answer.body) == (200, b"ok")
        bodies = [(await soon(held)).body]
        while sum(body.count(b"\x1e") + 1 for body in bodies) < 3:
            bodies.append((await soon(rig.get(sid))).body)
        assert b"\x1e".join(bodies) == b"4one\x1ebAAE=\x1e4two"


async def test_a_message_shared_by_many_is_written_to_each_transport():
    async with engine() as rig, rig.socket() as socket:
        sid = await rig.open()
        await until(lambda: len(rig.seen) == 2)
        await soon(socket.recv())
        message = prepared("to all")
        for session in rig.seen:
            assert session.write(message, PLAIN_JSON)
        assert await soon(socket.recv()) == "4to all"
        assert (await soon(rig.get(sid))).body == b"4to all"


async def test_a_client_that_closes_its_websocket():
    async with engine() as rig:
        async with rig.socket() as socket:
            await soon(socket.recv())
        lost = asyncio.Event()
        rig.last.when_lost(lost.set)
        await soon(lost.wait())
        assert rig.last.closed == Closed(1000, "", True)
        assert rig.last.said_goodbye
        assert not rig.server.sessions
        with pytest.raises(rig.last.closed_error, match="closed by the client"):
            await rig.last.receive()


async def test_what_came_before_a_websocket_ended_still_comes():
    lost, got = asyncio.Event(), []

    async def late(session):
        session.when_lost(lost.set)
        await lost.wait()
        with pytest.raises(session.closed_error):
            while True:
                got.append(await session.receive())

    async with engine(late) as rig:
        async with rig.socket() as socket:
            await soon(socket.recv())
            for message in ("4one", b"two", "2", "9", "43"):
                await socket.send(message)
        await until(lambda: len(got) == 3)
        assert got == ["one", b"two", "3"]


async def test_what_came_before_a_close_packet_still_comes():
    async def keep(session):
        await session.drain()
        got.append(await session.receive())
        with pytest.raises(session.closed_error):
            await session.receive()

    got = []
    async with engine(keep) as rig:
        sid = await rig.open()
        held = asyncio.ensure_future(rig.get(sid))
        await asyncio.sleep(0)
        assert (await soon(rig.post(sid, "4last\x1e1"))).body == b"ok"
        assert (await soon(held)).body == b"6"
        await until(lambda: got)
        assert got == ["last"]
        assert rig.last.closed == Closed(1005, "", True)
        assert not rig.last.said_goodbye
        assert (await rig.get(sid)).body == b'{"code":1,"message":"Session ID unknown"}'


async def test_this_side_closes_by_polling_with_the_next_answer():
    async def brief(session):
        await say(session, "bye")

    async with engine(brief) as rig:
        sid = await rig.open()
        await until(lambda: rig.seen and rig.last.state is EngineState.CLOSING)
        assert (rig.last.is_closing, rig.last.is_open, rig.last.is_writable) == (True, False, False)
        assert not rig.last.write(prepared("more"), PLAIN_JSON)
        assert (await soon(rig.get(sid))).body == b"4bye\x1e1"
        assert rig.last.state is EngineState.CLOSED
        assert rig.last.closed == Closed(1000, "", False)


async def test_for_a_restart_there_is_no_close_packet():
    async def brief(session):
        await say(session, "bye")
        await session.close("service restart", 1012)

    async with engine(brief) as rig:
        sid = await rig.open()
        await until(lambda: rig.seen and rig.last.state is EngineState.CLOSING)
        assert (await soon(rig.get(sid))).body == b"4bye\x1e6"
        assert rig.last.closed == Closed(1012, "service restart", False)
        assert (await rig.get(sid)).body == b'{"code":1,"message":"Session ID unknown"}'


async def test_this_side_closes_its_websocket():
    async def brief(session):
        await session.close("enough")

    async with engine(brief) as rig, rig.socket() as socket:
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                await soon(socket.recv())
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1000, "enough")
        await until(lambda: rig.last.state is EngineState.CLOSED)
        assert rig.last.closed == Closed(1000, "enough", False)


async def test_a_session_that_is_cut_off_says_nothing():
    async with engine() as rig, rig.socket() as socket:
        await soon(socket.recv())
        rig.last.abort()
        with pytest.raises(ConnectionClosed) as ended:
            await soon(socket.recv())
        assert ended.value.rcvd is None
        assert rig.last.closed is None


@pytest.mark.parametrize(
    ("packet", "code"),
    [("9", 1002), ("", 1002), ("2", 1002), ("0{}", 1002), ("5", 1002), ("6", 1002), ("b*", 1002)],
)
async def test_what_breaks_the_protocol_ends_the_session_at_once(packet, code):
    async with engine() as rig:
        async with rig.socket() as socket:
            await soon(socket.recv())
            await socket.send(packet)
            with pytest.raises(ConnectionClosed) as ended:
                await soon(socket.recv())
            assert ended.value.rcvd.code == code
            assert ended.value.rcvd.reason.startswith("expected ")
        sid = await rig.open()
        held = asyncio.ensure_future(rig.get(sid))
        await asyncio.sleep(0)
        assert (await soon(rig.post(sid, packet))).status == 400
        assert (await soon(held)).body == b"1"
        assert not rig.server.sessions


async def test_a_message_that_is_too_large():
    async with engine(max_payload=100) as rig:
        async with rig.socket() as socket:
            await soon(socket.recv())
            await socket.send("4" + "x" * 100)
            with pytest.raises(ConnectionClosed) as ended:
                await soon(socket.recv())
            assert ended.value.rcvd.code == 1009
        sid = await rig.open()
        assert (await rig.post(sid, "4" + "x" * 100)).status == 413
        assert not rig.server.sessions


async def test_what_serves_a_session_and_fails_is_told():
    async def fail(session):
        raise ZeroDivisionError("one")

    async with engine(fail) as rig:
        sid = await rig.open()
        assert (await soon(rig.get(sid))).body == b"1"
        [exc] = rig.failed
        assert str(exc) == "one"

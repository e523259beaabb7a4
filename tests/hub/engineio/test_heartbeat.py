"""Heartbeats: when a ping goes out, whose silence counts, and who gets more time."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.engineio.rig import engine, soon
from wslab.hub.engineio.heartbeat import Heartbeat
from wslab.hub.engineio.life import EngineState

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]


class Patient:
    def __init__(self) -> None:
        self.is_listened_to = True
        self.pinged, self.expired = asyncio.Queue(), asyncio.Event()

    def ping(self) -> None:
        self.pinged.put_nowait(None)

    def expire(self) -> None:
        self.expired.set()


async def test_who_answers_is_asked_again_and_who_does_not_expires():
    patient = Patient()
    heartbeat = Heartbeat(patient, 0.01, 0.05)
    for _ in range(3):
        await soon(patient.pinged.get())
        heartbeat.pong()
    assert not patient.expired.is_set()
    await soon(patient.pinged.get())
    await soon(patient.expired.wait())
    assert patient.pinged.empty()


async def test_silence_counts_only_while_somebody_listens():
    patient = Patient()
    patient.is_listened_to = False
    heartbeat = Heartbeat(patient, 0.01, 0.02)
    await soon(patient.pinged.get())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await patient.expired.wait()
    patient.is_listened_to = True
    await soon(patient.expired.wait())
    heartbeat.stop()


async def test_who_says_something_else_gets_its_time_once_more_and_no_more():
    patient = Patient()
    loop = asyncio.get_running_loop()
    heartbeat = Heartbeat(patient, 0.01, 0.1)
    await soon(patient.pinged.get())
    asked_s = loop.time()
    while not patient.expired.is_set():
        heartbeat.heard()
        await asyncio.sleep(0.005)
    assert loop.time() - asked_s < 0.5
    heartbeat.stop()


async def test_a_pong_that_nobody_asked_for_puts_no_ping_off():
    patient = Patient()
    heartbeat = Heartbeat(patient, 0.05, 1.0)
    while patient.pinged.empty():
        heartbeat.pong()
        await asyncio.sleep(0.005)
    heartbeat.stop()


async def test_a_websocket_without_a_pong_ends():
    async with engine(ping_interval_s=0.01, ping_timeout_s=0.05) as rig, rig.socket() as socket:
        await soon(socket.recv())
        for _ in range(3):
            assert await soon(socket.recv()) == "2"
            await socket.send("3")
        assert await soon(socket.recv()) == "2"
        await soon(socket.wait_closed())
        assert (socket.close_code, socket.close_reason) == (1011, "no pong within 0.05 s")
        assert rig.last.state is EngineState.CLOSED


async def test_polling_answers_pings_by_post():
    async with engine(ping_interval_s=0.01, ping_timeout_s=0.2) as rig:
        sid = await rig.open()
        for _ in range(3):
            assert (await soon(rig.get(sid))).body == b"2"
            assert (await soon(rig.post(sid, "3"))).body == b"ok"
        assert (await soon(rig.get(sid))).body == b"2"
        assert (await soon(rig.get(sid))).body == b"1"
        assert not rig.server.sessions


async def test_pongs_do_not_keep_a_session_that_nobody_polls():
    async with engine(ping_interval_s=0.01, ping_timeout_s=0.1) as rig:
        sid = await rig.open()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + 5
        while (await rig.post(sid, "3")).status == 200:
            assert loop.time() < end_s
            await asyncio.sleep(0.01)
        assert not rig.server.sessions


async def test_a_handler_that_does_not_read_is_not_the_clients_fault():
    free = asyncio.Event()

    async def busy(session):
        await free.wait()
        got.append(await session.receive())

    got = []
    async with (
        engine(busy, ping_interval_s=0.01, ping_timeout_s=0.02) as rig,
        rig.socket() as socket,
    ):
        await soon(socket.recv())
        await socket.send("4still here")
        assert await soon(socket.recv()) == "2"
        await asyncio.sleep(0.1)
        assert rig.last.is_open
        free.set()
        await soon(socket.wait_closed())
        assert got == ["still here"]

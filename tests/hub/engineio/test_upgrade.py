"""From polling to a WebSocket: the probe, polls meanwhile, order, and everything that fails."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hub.engineio.rig import engine, prepared, soon
from tests.hub.engineio.test_polling import held, silent, started
from tests.hub.rig import until
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.engineio.life import EngineState
from wslab.hub.protocol.limits import Limits

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]


async def test_a_session_goes_over_and_keeps_its_order():
    async with engine() as rig:
        sid, session = await started(rig)
        poll = await held(rig.get(sid))
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            assert await soon(socket.recv()) == "3probe"
            assert session.state is EngineState.UPGRADING
            assert (await soon(poll)).body == b"6"
            assert (await soon(rig.get(sid))).body == b"6"  # at once
            await soon(rig.post(sid, "4first"))
            await asyncio.sleep(0)
            await socket.send("5")
            await socket.send("4second")
            assert await soon(socket.recv()) == "4first"
            assert await soon(socket.recv()) == "4second"  # and no 6
            assert (session.transport, session.state) == ("websocket", EngineState.WEBSOCKET)
            assert session.connection is not None
            wrong = await rig.get(sid)
            assert (wrong.status, wrong.body) == (400, b'{"code":3,"message":"Bad request"}')
            assert (await rig.post(sid, "4x")).status == 400
            assert session.is_open
        await until(lambda: session.state is EngineState.CLOSED)
        assert session.closed.is_by_client


async def test_what_is_said_during_the_upgrade_goes_to_a_poll_or_to_the_socket():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            session.write(prepared("by poll"), PLAIN_JSON)
            assert (await soon(rig.get(sid))).body == b"4by poll"
            for n in range(100):
                assert session.write(prepared(f"{n}"), PLAIN_JSON)
            await socket.send("5")
            assert [await soon(socket.recv()) for _ in range(100)] == [f"4{n}" for n in range(100)]
            assert session.is_writable


async def test_what_waits_for_who_goes_over_while_it_is_sent_away_goes_out_first():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            for n in range(100):
                assert session.write(prepared(f"{n}"), PLAIN_JSON)
            closing = asyncio.create_task(session.close("too slow", 1013))
            await asyncio.sleep(0)
            assert session.state is EngineState.CLOSING
            await socket.send("5")
            assert [await soon(socket.recv()) for _ in range(100)] == [f"4{n}" for n in range(100)]
            assert await soon(socket.recv()) == "1"
            with pytest.raises(ConnectionClosed):
                await soon(socket.recv())
            assert (socket.close_code, socket.close_reason) == (1013, "too slow")
            await soon(closing)
        assert session.state is EngineState.CLOSED


async def test_a_second_socket_is_accepted_and_closed():
    async with engine() as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            for _ in range(2):
                async with rig.socket(sid) as second:
                    with pytest.raises(ConnectionClosed):
                        await soon(second.recv())
                if session.state is EngineState.UPGRADING:
                    await socket.send("5")
                    await until(lambda: session.state is EngineState.WEBSOCKET)
            await socket.send("4still here")
            assert await soon(socket.recv()) == "4still here"


@pytest.mark.parametrize("said", ["5", "2", "2else", "4hello", "9", b"bytes", None])
async def test_a_socket_that_says_something_else_leaves_the_session_polling(said):
    async with engine() as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            if said is not None:
                await socket.send(said)
                with pytest.raises(ConnectionClosed):
                    await soon(socket.recv())
        await until(lambda: session.state is EngineState.POLLING)
        await soon(rig.post(sid, "4here"))
        assert (await soon(rig.get(sid))).body == b"4here"


async def test_a_socket_that_says_nothing_more_is_let_go_of():
    async with engine(upgrade_timeout_s=0.05) as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            with pytest.raises(ConnectionClosed):
                await soon(socket.recv())
        await until(lambda: session.state is EngineState.POLLING)
        poll = await held(rig.get(sid))  # it is held again
        await soon(rig.post(sid, "4here"))
        assert (await soon(poll)).body == b"4here"


async def test_a_session_that_ends_takes_the_socket_with_it():
    async with engine() as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            await soon(rig.post(sid, "1"))
            with pytest.raises(ConnectionClosed):
                await soon(socket.recv())
        assert session.state is EngineState.CLOSED


async def test_who_is_slow_to_read_what_comes_slows_the_client():
    free = asyncio.Event()

    async def slow(session):
        await free.wait()
        while True:
            got.append(await session.receive())

    got = []
    async with engine(slow) as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            await socket.send("5")
            text = "4" + "x" * 100_000
            sending = asyncio.gather(*[socket.send(text) for _ in range(200)])
            await until(lambda: session.inbox is not None and session.inbox.is_full)
            assert session.inbox.size_bytes < 500_000
            free.set()
            await sending
            await until(lambda: len(got) == 200)


async def test_what_serves_a_session_ends_with_its_websocket():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            await soon(socket.recv())
            await socket.send("5")
            await until(lambda: session.transport == "websocket")
            [task] = rig.server._tasks
            await rig.server.close()  # which is for those who poll
            assert session.is_open
        await until(task.done)


@pytest.mark.parametrize("seed", range(20))
async def test_order_holds_whatever_comes_between(seed):
    """Messages both ways, numbered, while a client polls, posts and goes over at any moment."""
    random = Random(seed)
    received: list[str] = []

    async def serve(session):
        sent = 0
        while True:
            message = await session.receive()
            received.append(message)
            for _ in range(random.randrange(4)):
                while not session.write(prepared(f"s{sent}"), PLAIN_JSON):
                    await session.drain()
                    if session.is_closing:
                        return
                sent += 1
            if message == "end":
                while not session.write(prepared("end"), PLAIN_JSON):
                    await session.drain()

    got: list[str] = []
    async with engine(serve, Limits(poll_bytes=2000)) as rig:
        sid, session = await started(rig)
        said = 0

        def words(count):
            nonlocal said
            said += count
            return [f"4c{n}" for n in range(said - count, said)]

        async def polls():
            while session.transport == "polling" and not paused.is_set():
                body = (await rig.get(sid)).body.decode()
                got.extend(part[1:] for part in body.split("\x1e") if part != "6")
                await asyncio.sleep(0)

        paused = asyncio.Event()
        polling = asyncio.ensure_future(polls())
        for _ in range(random.randrange(30)):
            assert (
                await soon(rig.post(sid, "\x1e".join(words(1 + random.randrange(5)))))
            ).status == 200
            await asyncio.sleep(0.001 * random.randrange(2))
        async with rig.socket(sid) as socket:
            await socket.send("2probe")
            assert await soon(socket.recv()) == "3probe"
            for _ in range(random.randrange(10)):
                await soon(rig.post(sid, "\x1e".join(words(2))))
            paused.set()  # as stock clients do
            await soon(polling)
            await socket.send("5")
            for word in words(random.randrange(50)):
                await socket.send(word)
            await socket.send("4end")
            while not got or got[-1] != "end":
                message = await soon(socket.recv())
                assert message != "6"
                got.append(message[1:])
    assert received == [*[f"c{n}" for n in range(said)], "end"]
    assert got == [*[f"s{n}" for n in range(len(got) - 1)], "end"]

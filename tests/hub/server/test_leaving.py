"""How connections end for handlers: when `disconnect` runs, and what becomes of who is at work."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import struct
import subprocess
import sys
import weakref

import pytest

from tests.hub.rig import TOKEN, aio, inside, listening, speaking, until
from wslab.errors import Refused
from wslab.hub import Hub, Limits


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


def noting(hub, told):
    @hub.on("connect")
    async def connect(client):
        told.append("connect")

    @hub.on("disconnect")
    async def disconnect(client, reason):
        told.append(reason)


@aio
async def test_a_handler_that_streams_ends_a_while_after_its_client(told):
    hub = Hub(limits=Limits(grace_s=0.2))
    noting(hub, told)

    @hub.on("subscribe")
    async def subscribe(client, data):
        try:
            while True:
                await client.emit("tick")
                await asyncio.sleep(0.01)
        finally:
            told.append("ended")

    async with listening(hub) as url:
        async with speaking(url) as wire:
            await wire.emit("subscribe")
            assert (await wire.read())["event"] == "tick"
        await until(lambda: len(told) == 3)
    assert told[0] == "connect"
    assert set(told[1:]) == {"ended", "closed by the client with 1000"}
    assert not hub.errors
    assert inside(hub).admission.alive == 0


@aio
async def test_a_server_that_closes_does_not_wait_for_handlers_for_ever(told):
    for history in (0, 10):
        hub = Hub(limits=Limits(grace_s=0.1), history=history)
        hub.on("wait", lambda client, data: told.append("waits") or asyncio.sleep(60))
        async with listening(hub) as url, speaking(url) as wire:
            await wire.emit("wait", id=1)
            await until(lambda: told)
        told.clear()  # else the server would not have closed
        assert inside(hub).admission.alive == 0


@aio
async def test_a_connect_handler_that_waits_ends_with_its_client(told):
    hub = Hub(limits=Limits(grace_s=0.1))

    @hub.on("connect")
    async def connect(client):
        told.append("connect")
        await asyncio.sleep(60)

    hub.on("disconnect", lambda client, reason: told.append(reason))
    async with listening(hub) as url:
        async with speaking(url, welcomed=False):
            await until(lambda: told)
        await until(lambda: inside(hub).admission.alive == 0)
    assert told == ["connect"]
    assert not hub.errors


@aio
async def test_what_came_before_the_end_is_handled_before_disconnect(told):
    hub = Hub()
    noting(hub, told)

    @hub.on("say")
    async def say(client, data):
        await asyncio.sleep(0.01)
        told.append(data)

    async with listening(hub) as url, speaking(url) as wire:
        for n in range(5):
            await wire.emit("say", n)
        await wire.websocket.close()
        await until(lambda: len(told) == 7)
    assert told == ["connect", 0, 1, 2, 3, 4, "closed by the client with 1000"]


@aio
async def test_a_handler_goes_on_for_a_client_that_may_come_back(told):
    hub = Hub(limits=Limits(grace_s=0.1), history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()
        return "done"

    url_of = f"?session={TOKEN}"
    async with listening(hub) as url:
        async with speaking(url + url_of) as wire:
            await wire.emit("work", id=1, n=1)
            await until(lambda: inside(hub).handlers.running)
            await wire.abort()
        await until(lambda: len(told) == 2)  # it is told although a handler is at work
        async with speaking(f"{url}{url_of}&offset=0") as wire:
            assert wire.welcome["resumed"]
            await wire.emit("work", id=1, n=1)
            await asyncio.sleep(0.3)  # longer than the grace, which does not count for it
            go.set()
            assert (await wire.read()) == {"answer": 1, "data": "done"}
            assert told == ["connect", "the connection broke off (1006)", "connect"]


@aio
async def test_nothing_is_handled_after_disconnect_and_what_was_not_comes_again(told):
    hub = Hub(limits=Limits(grace_s=0.1), history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()
        told.append("worked")

    @hub.on("enter")
    async def enter(client, data):
        told.append("entered")

    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as wire:
            await wire.emit("work", n=1)
            await wire.emit("enter", n=2)
            await until(
                lambda: (
                    inside(hub).handlers.running and wire.websocket.protocol.state.name == "OPEN"
                )
            )
            await wire.websocket.ping()
            await wire.abort()
        await until(lambda: len(told) == 2)
        go.set()
        await until(lambda: not inside(hub).admission.alive)
        assert told == ["connect", "the connection broke off (1006)", "worked"]
        async with speaking(f"{url}?session={TOKEN}&offset=0") as wire:
            assert wire.welcome["resumed"]
            await wire.emit("enter", n=2)
            await until(lambda: "entered" in told)
    assert told[3:5] == ["connect", "entered"]
    assert told.count("entered") == 1


@pytest.mark.parametrize("is_busy", [False, True])
@aio
async def test_an_earlier_connection_ends_before_the_one_that_continues_it(told, is_busy):
    hub = Hub(history=10)
    noting(hub, told)
    go = asyncio.Event()

    @hub.on("work")
    async def work(client, data):
        await go.wait()

    async with listening(hub) as url, speaking(f"{url}?session={TOKEN}") as wire:
        if is_busy:
            await wire.emit("work", n=1)
            await until(lambda: inside(hub).handlers.running)
        wire.websocket.transport.pause_reading()  # half open: it does not answer a close frame
        async with speaking(f"{url}?session={TOKEN}&offset=0") as second:
            assert second.welcome["resumed"]
            ended = "sent away with 4409 (session continued elsewhere)"
            assert told == ["connect", ended, "connect"]
            go.set()


@aio
async def test_many_that_continue_one_session_leave_one(told):
    hub = Hub(history=10)
    noting(hub, told)
    async with listening(hub) as url, asyncio.TaskGroup() as group:
        there = asyncio.Event()

        async def come():
            async with speaking(f"{url}?session={TOKEN}") as wire:
                await until(lambda: len(told) >= 19)
                if [client.id for client in hub.clients.values()] == [wire.id]:
                    there.set()
                await there.wait()

        for _ in range(10):
            group.create_task(come())
    assert len(hub.clients) == 0
    assert told.count("connect") == 10
    await until(lambda: len(told) == 20)


@aio
async def test_who_was_let_in_by_joining_and_then_refused_is_told_to_have_left(told):
    hub = Hub()

    @hub.on("connect")
    async def connect(client):
        client.join("staff")
        raise Refused("no")

    hub.on("disconnect", lambda client, reason: told.append(reason))
    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.closed() == (1008, "no")
        await until(lambda: told)
    assert told == ["sent away with 1008 (no)"]


@pytest.mark.parametrize("wrong", [SystemExit(3), asyncio.CancelledError(), KeyError("x")])
@aio
async def test_nothing_that_connect_raises_ends_the_hub(wrong):
    hub = Hub()

    @hub.on("connect")
    async def connect(client):
        raise wrong

    async with listening(hub) as url:
        for times in (1, 2):
            async with speaking(url, welcomed=False) as wire:
                assert (await wire.closed())[0] == 1011
            assert hub.errors_seen == times


class Odd(Exception):
    def __str__(self):
        return 404


@aio
async def test_an_exception_without_words(caplog):
    hub = Hub()

    @hub.on("odd")
    async def odd(client, data):
        raise Odd

    caplog.set_level(logging.ERROR, "wslab.hub")
    async with listening(hub) as url, speaking(url) as wire:
        answer = await wire.call("odd")
        assert answer == {"code": "failed", "message": "Odd: (its text raised TypeError)"}
        assert str(hub.errors[0]).startswith("Odd: (its text raised TypeError) (in ")
        assert "failed for client" in caplog.text
        assert [record.name for record in caplog.records] == ["wslab.hub"]
        caplog.clear()
        hub.errors.listen(lambda failure: None)  # as a server does that shows it
        await wire.call("odd")
        assert "failed for client" in caplog.text
        assert [record.name for record in caplog.records] == ["wslab.hub.shown"]


@pytest.mark.parametrize("configured", [False, True])
def test_a_failure_under_serve_is_logged_and_never_printed(configured):
    program = f"""
import logging, wslab
if {configured}:
    logging.basicConfig(level=logging.ERROR)
hub = wslab.Hub()
hub.on("fail", lambda client, data: 1 / 0)
with wslab.serve(hub) as server, wslab.connect(server) as alice:
    try:
        alice.call("fail")
    except wslab.errors.CallFailed:
        pass
    assert server.errors_seen == hub.errors_seen == 1
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("ZeroDivisionError") == configured


@aio
async def test_failed_handlers_keep_neither_clients_nor_what_they_held_in_memory():
    class Held:
        pass

    hub = Hub()
    alive = []

    @hub.on("x")
    async def fails(client, data):
        held = Held()
        alive.extend([weakref.ref(client), weakref.ref(held)])
        raise ValueError("x")

    @hub.on("y")
    def fails_on_a_thread(client, data):
        held = Held()
        alive.extend([weakref.ref(client), weakref.ref(held)])
        raise ValueError("y") from OSError("z")

    async with listening(hub) as url:
        for _ in range(5):
            async with speaking(url) as wire:
                await wire.call("x")
                await wire.call("y")
        await until(lambda: not hub.clients)
    gc.collect()
    assert [ref() for ref in alive if ref() is not None] == []
    assert len(alive) == 20
    assert [failure.kind for failure in hub.errors] == ["ValueError"] * 10
    assert "OSError: z" in hub.errors[-1].traceback


@aio
async def test_the_text_of_a_failure_has_a_bound(told):
    hub = Hub()

    @hub.on("x")
    async def fails(client, data):
        raise ValueError(data * 1000)

    async with listening(hub) as url, speaking(url) as wire:
        for _ in range(60):
            answer = await wire.call("x", "y" * 10_000)
            assert len(answer["message"]) < 3_000
    assert hub.errors_seen == 60
    assert hub.errors.size_bytes < 2**20


@aio
async def test_a_name_is_text(told):
    hub = Hub(history=10)

    @hub.on("connect")
    async def connect(client):
        told.append(client.rooms)
        client.name = client.query.get("name")
        client.join("lobby")

    hub.on("rename", lambda client, name: setattr(client, "name", name))
    url_of = f"?name=x%26y&session={TOKEN}"
    async with listening(hub) as url:
        async with speaking(url + url_of) as wire:
            [client] = hub.clients.values()
            assert client.name == "x&y"
            assert client.path == "/?name=x%26y"
            answer = await wire.call("rename", ["x"])
            assert answer["message"] == "TypeError: expected a name as a str, or None, got list"
            await wire.call("rename", "n" * 1000)
            assert len(repr(client)) < 120
            await wire.abort()
        async with speaking(f"{url}{url_of}&offset=0"):
            assert told == [frozenset(), {"lobby"}]  # it sees the rooms that it comes back to


@aio
async def test_all_that_is_too_fast_is_counted_and_told():
    hub = Hub(rate=2)
    heard = []
    hub.on("e", lambda client, data: heard.append(data))
    async with listening(hub) as url, speaking(url) as wire:
        for n in range(20):
            await wire.emit("e", n)
        await wire.emit("e", 20, id=7)
        told = await wire.read()
        assert told["data"]["code"] == "too-fast"
        lost = 0
        answer = await wire.read()
        assert answer["error"]["code"] == "too-fast"
        lost = int(answer["error"]["message"].rsplit("nor were ", 1)[1].split()[0])
        assert len(heard) + lost + 2 == 21
        assert hub.complaints["too-fast"] == lost + 2


@aio
async def test_a_flawed_packet_with_an_id_is_answered():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        for n, flawed in enumerate(
            ('{"event":"","id":%d}', '{"event":"e","binary":65,"id":%d}', '{"id":%d,"n":"x"}')
        ):
            await wire.send(flawed % n)
            answer = await wire.read()
            assert (answer["answer"], answer["error"]["code"]) == (n, "bad-packet")


@aio
async def test_a_write_that_fails_keeps_nobody_in_memory():
    # What asyncio keeps of it would lead, from frame to frame, to all whom the emit was for.
    hub = Hub()
    async with listening(hub) as url, speaking(url), speaking(url) as wire:
        client = hub.clients[wire.id]
        linger = struct.pack("ii", 1, 0)  # closing it resets the connection
        wire.websocket.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        wire.websocket.transport.abort()
        await asyncio.sleep(0)  # it is closed, and the hub's side has not heard of it
        hub.emit("news")
        await until(lambda: len(hub.clients) == 1)
        assert isinstance(client.websocket.connection_exc, OSError)
        assert client.websocket.connection_exc.__traceback__ is None

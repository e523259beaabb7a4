"""Whom a hub lets in, and how much those that have left may have at work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from tests.hub import rig
from tests.hub.rig import (
    TOKEN,
    FakeSocket,
    aio,
    inside,
    listening,
    one,
    speaking,
    until,
)
from wslab.hub import Hub, Limits
from wslab.hub.protocol.come_back import come_back_s
from wslab.hub.server import admission
from wslab.hub.server.hub_client import connection_of
from wslab.wire.http.message import HttpRequest

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.mark.websockets_only
@aio
async def test_more_clients_than_there_is_place_for_are_told_to_come_later():
    hub = Hub(limits=Limits(clients=2))
    async with listening(hub) as url:
        async with speaking(url) as first, speaking(url):
            for _ in range(3):
                async with speaking(url, welcomed=False) as third:
                    code, reason = await third.closed()
                    assert (code, reason) == (
                        1013, "2 clients are connected already: try again later",
                    )  # fmt: skip
            assert len(hub.clients) == 2
            assert await first.call("fence", 5) == 5
        await until(lambda: not inside(hub).admission.alive)
        async with speaking(url) as again:
            assert await again.call("fence", 5) == 5
    assert hub.limited == {"clients": 3}


@pytest.mark.websockets_only
@aio
async def test_a_session_takes_the_place_of_its_own_earlier_connection():
    hub = Hub(history=10, limits=Limits(clients=1))
    async with listening(hub) as url:
        url += f"?session={TOKEN}"
        async with speaking(url) as first, speaking(f"{url}&offset=0") as second:
            assert second.welcome["resumed"]
            assert (await first.closed())[0] == 4409
            async with speaking(url.replace(TOKEN, "another_" + TOKEN), welcomed=False) as third:
                assert (await third.closed())[0] == 1013


@pytest.mark.websockets_only
@aio
async def test_clients_of_one_address_are_counted_where_that_is_asked_for():
    hub = Hub(limits=Limits(clients_per_address=2))
    assert Limits().clients_per_address is None
    async with listening(hub) as url, speaking(url), speaking(url):
        async with speaking(url, welcomed=False) as third:
            code, reason = await third.closed()
            assert code == 1013
            assert reason.startswith("2 clients of your address are connected already")
        other = FakeSocket()
        other.remote_address = ("10.0.0.9", 1)
        task = asyncio.create_task(hub(other))
        await until(lambda: len(hub.clients) == 3)
        other.lose()
        await task
        assert dict(inside(hub).admission.addresses) == {"127.0.0.1": 2}


@aio
async def test_who_is_turned_away_and_does_not_go_is_cut_off(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.admission.TURN_AWAY_S", 0.05)
    monkeypatch.setattr("wslab.hub.server.admission.MAX_TURNING_AWAY", 2)
    hub = Hub(limits=Limits(clients=1))

    class Deaf(FakeSocket):
        async def close(self, code=1000, reason=""):
            await asyncio.Event().wait()

    here = FakeSocket()
    tasks = [asyncio.create_task(hub(here))]
    await until(lambda: hub.clients)
    deaf = [Deaf() for _ in range(5)]
    tasks += [asyncio.create_task(hub(each)) for each in deaf]
    await asyncio.wait(tasks[1:], timeout=5)
    assert all(each.transport.closing for each in deaf)
    assert inside(hub).admission.turning_away == 0
    here.lose()
    await asyncio.gather(*tasks)


def slow_hub(**limits):
    hub = Hub(history=10, limits=Limits(**limits))
    hub.started, ended = 0, []

    @hub.on("slow")
    async def slow(client, data):
        hub.started += 1
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(client.session)

    hub.on("ping", lambda client, data: data)
    return hub, ended


async def ask_and_leave(hub, url, nth, *, count=1, n=1):
    """Connect, ask for something slow, and break off; return the session."""
    token = f"{nth:016}"
    started = hub.started
    async with speaking(f"{url}?session={token}&offset=0") as wire:
        for _ in range(count):
            await wire.emit("slow", id=1, **({"n": n} if n else {}))
        await until(lambda: hub.started > started)
        await wire.abort()
    return token


@aio
async def test_handlers_of_those_that_left_hold_only_a_part_of_all():
    hub, ended = slow_hub(handlers=8, gone_handlers=3, grace_s=30.0)
    async with listening(hub) as url:
        for nth in range(20):
            await ask_and_leave(hub, url, nth)
            await until(lambda: len(inside(hub).admission.leavers) <= 3)
        await until(lambda: inside(hub).handlers.running == 3)
        async with speaking(url) as wire:
            assert await wire.call("ping", 7) == 7
        assert len(ended) == 17
        assert hub.limited == {"gone_handlers": 17}
        # Who was cut off and comes back is told; and may ask for something else.
        async with speaking(f"{url}?session={ended[0]}&offset=0") as wire:
            assert wire.welcome["resumed"]
            assert await wire.call("slow", id=1, n=1) == {
                "code": "failed", "message": "its handler was cancelled",
            }  # fmt: skip
            assert await wire.call("ping", 8, id=2, n=2) == 8
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_of_one_address_those_go_that_were_here_the_shortest():
    hub, ended = slow_hub(gone_handlers=2, grace_s=30.0)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as old:
            await until(lambda: hub.clients)
            connection_of(one(hub))._began_s -= 60.0  # it has been here for a minute
            await old.emit("slow", id=1, n=1)
            await until(lambda: inside(hub).handlers.running)
            await old.abort()
        for nth in range(6):
            await ask_and_leave(hub, url, nth)
        await until(lambda: len(ended) == 5)
        assert TOKEN not in ended
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_the_same_session_again_and_again_does_not_hold_all_handlers():
    hub, ended = slow_hub(handlers_per_client=2, grace_s=30.0)
    async with listening(hub) as url:
        for _ in range(10):
            await ask_and_leave(hub, url, 1, n=0)  # without numbers, so that none waits
        await until(lambda: inside(hub).handlers.running == 2)
        assert len(ended) == 8
        assert hub.limited == {"handlers_per_client": 8}
        for client in tuple(inside(hub).admission.leavers):
            client.cut_off(None)
        await until(lambda: not inside(hub).handlers.running)


@aio
async def test_a_handler_does_not_go_on_for_ever_for_who_may_come_back():
    hub, ended = slow_hub(grace_s=0.02, gone_handler_s=0.05)
    async with listening(hub) as url:
        token = await ask_and_leave(hub, url, 1)
        await until(lambda: ended == [token])
        assert hub.limited == {"gone_handler_s": 1}


@pytest.mark.parametrize("is_plain", [False, True])
@aio
async def test_a_handler_has_its_time(is_plain):
    hub = Hub(limits=Limits(handler_s=0.05))
    if is_plain:
        hub.on("slow", lambda client, data: asyncio.sleep(60))
    else:

        @hub.on("slow")
        async def slow(client, data):
            await asyncio.sleep(60)

    @hub.on("own")
    async def own(client, data):
        raise TimeoutError("its own")

    async with listening(hub) as url, speaking(url) as wire:
        told = await wire.call("slow")
        assert told["code"] == "failed"
        assert told["message"].endswith(
            "the handler did not end within 0.05 s (Limits(handler_s=...))"
        )
        assert (await wire.call("own"))["message"].endswith("its own")
        assert inside(hub).handlers.running == 0
    assert hub.limited == {"handler_s": 1}
    assert hub.errors_seen == 2


@aio
async def test_plain_handlers_of_those_that_left_do_not_pile_up_for_a_thread():
    hub = Hub(limits=Limits(threads=3, grace_s=0.0))
    gate = threading.Event()
    ran = []

    @hub.on("block")
    def block(client, data):
        ran.append(len(data))
        assert gate.wait(10)

    @hub.on("ping")
    async def ping(client, data):
        return data

    pool = concurrent.futures.ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(pool)
    try:
        async with listening(hub) as url:
            for _ in range(20):
                async with speaking(url) as wire:
                    running = inside(hub).handlers.running
                    await wire.emit("block", "x" * 1000)
                    await until(lambda running=running: inside(hub).handlers.running > running)
                await until(
                    lambda: not inside(hub).handlers.running
                )  # nobody waits for it any more
                assert pool._work_queue.qsize() <= 3
            async with speaking(url) as wire:
                assert await wire.call("ping", 5) == 5
                gate.set()
                await wire.emit("block", "the last", id=9)
                assert (await wire.read())["answer"] == 9
        assert ran == [1000, 8]  # who had given up before its thread came did not run
        assert inside(hub).handlers._threads.running == 0
    finally:
        gate.set()


def from_(address, **headers):
    """Return what connects from an address, by way of a proxy."""
    return {"additional_headers": {"X-Forwarded-For": address, **headers}}


BEHIND_A_PROXY = {"proxies": ("127.0.0.1",)}


@aio
async def test_who_connects_too_often_is_told_when_to_come_back():
    hub = Hub(limits=Limits(connects_per_minute=3))
    async with listening(hub) as url:
        for _ in range(3):
            async with speaking(url):
                pass
        if rig.carrier == "asgi":
            with pytest.raises(InvalidStatus) as refused:
                await connect(url)
            response = refused.value.response
            assert response.status_code == 429
            assert response.body.startswith(b"expected at most 3 connections a minute of your add")
            assert 0 < int(response.headers["Retry-After"]) <= 20
        else:
            async with speaking(url, welcomed=False) as wire:
                code, reason = await wire.closed()
                assert code == 1013
                assert 0 < come_back_s(reason) <= 20
    assert hub.limited["connects_per_minute"] == 1


@aio
async def test_a_guess_at_a_token_counts_as_a_connection():
    hub = Hub(limits=Limits(connects_per_minute=2))
    hub.on("authenticate", lambda credentials: {"good": "alice"}.get(credentials.token))
    async with listening(hub) as url:
        for token in ("a", "b"):
            with contextlib.suppress(InvalidStatus, ConnectionClosed):
                async with connect(f"{url}?token={token}") as websocket:
                    await websocket.recv()
                    await websocket.recv()
        with contextlib.suppress(InvalidStatus, ConnectionClosed):
            async with connect(f"{url}?token=good") as websocket:
                await websocket.recv()
                raise AssertionError("it was let in")
    assert hub.limited["connects_per_minute"] == 1
    assert not hub.clients


@aio
async def test_a_flood_from_one_address_while_others_work_on():
    limits = Limits(
        connects_per_minute=30, clients_per_address=10, rooms_per_address=20, **BEHIND_A_PROXY
    )
    hub = Hub(limits=limits)

    @hub.on("join")
    async def join(client, room):
        return client.join(room)

    refused = []

    async def flood(nth):
        # Who floods says that it is another one each time; its proxy says who it is.
        try:
            async with connect(url, **from_(f"9.9.9.{nth}, 6.6.6.6")) as websocket:
                for room in range(10):
                    packet = {"event": "join", "data": f"room {nth} {room}"}
                    await websocket.send(json.dumps(packet))
                async for _ in websocket:
                    pass
            raise ConnectionClosedError(None, None)
        except (InvalidStatus, ConnectionClosed):
            refused.append(nth)

    async with listening(hub) as url, speaking(url, **from_("1.2.3.4")) as alice:
        floods = [asyncio.create_task(flood(nth)) for nth in range(100)]
        for nth in range(20):
            assert await alice.call("join", f"lobby {nth}", id=nth)
        await until(lambda: len(refused) >= 90)
        async with speaking(url, **from_("1.2.3.5")) as bob:
            assert await bob.call("join", "lobby 1")
            assert len(hub.rooms["lobby 1"]) == 2
        assert inside(hub).admission.addresses["6.6.6.6"] <= 10
        assert sum(name.startswith("room") for name in hub.rooms) <= 20
        for task in floods:
            task.cancel()
        await asyncio.wait(floods)
    assert hub.limited["connects_per_minute"] >= 1
    assert hub.limited["clients_per_address"] >= 1
    assert hub.limited["rooms_per_address"] >= 1


@pytest.mark.websockets_only  # uvicorn itself believes a proxy on this machine
@aio
async def test_a_header_from_elsewhere_than_a_proxy_changes_nothing():
    hub = Hub(limits=Limits(clients_per_address=1, proxies=("10.0.0.1",)))
    async with listening(hub) as url, speaking(url, **from_("1.1.1.1")):
        assert dict(inside(hub).admission.addresses) == {"127.0.0.1": 1}
        with contextlib.suppress(InvalidStatus):
            async with speaking(url, welcomed=False, **from_("2.2.2.2")) as wire:
                assert (await wire.closed())[0] == 1013
    assert hub.limited["clients_per_address"] == 1


@aio
async def test_socket_io_sessions_count_by_the_same_rules():
    hub = Hub(limits=Limits(connects_per_minute=2, clients_per_address=1, **BEHIND_A_PROXY))

    def request(*forwarded):
        pairs = tuple(("X-Forwarded-For", each) for each in forwarded)
        target = "/socket.io/?EIO=4&transport=polling"
        return HttpRequest("GET", target, pairs, address=("127.0.0.1", 1))

    async def status(*forwarded):
        return (await hub.http(request(*forwarded))).status

    assert await status("1.1.1.1") == 200
    assert await status("1.1.1.1") == 503  # one client
    assert await status("1.1.1.1") == 429  # and two attempts
    # The last header is the proxy's own: the one before it anybody can write.
    assert await status("2.2.2.2", "1.1.1.1") == 429
    assert hub.refusal(request("1.1.1.1")).status == 429
    assert await status("3.3.3.3") == 200
    await hub.end_http()
    assert hub.limited == {"connects_per_minute": 3, "clients_per_address": 1}


@aio
async def test_where_all_places_are_taken_the_address_with_the_most_gives_way():
    hub = Hub(history=10, limits=Limits(clients=4, **BEHIND_A_PROXY))
    async with contextlib.AsyncExitStack() as stack, listening(hub) as url:

        async def client(address):
            at = f"{url}?session={address}_{len(hub.clients)}_{TOKEN}".replace("1.1.1", "x")
            return await stack.enter_async_context(speaking(at, **from_(address)))

        alice = await client("1.1.1.1")
        many = [await client("6.6.6.6") for _ in range(3)]
        bob = await client("2.2.2.2")
        code, reason = await many[2].closed()  # who came last
        assert (code, reason.partition(":")[0]) == (
            1013, "all places are taken, and your address has the most",
        )  # fmt: skip
        carol = await client("3.3.3.3")
        assert (await many[1].closed())[0] == 1013
        await until(lambda: inside(hub).admission.alive == 4)
        # Nobody has more than whoever would come now.
        for address in ("4.4.4.4", "6.6.6.6"):
            with contextlib.suppress(InvalidStatus):
                async with speaking(url, welcomed=False, **from_(address)) as late:
                    assert (await late.closed())[1].startswith("4 clients are connected already")
        for wire in (alice, bob, carol, many[0]):
            assert await wire.call("fence", 1) == 1
    assert hub.limited == {"clients": 4}
    assert not inside(hub).admission._present


@aio
async def test_those_who_make_way_and_do_not_go_are_bounded(monkeypatch):
    monkeypatch.setattr(admission, "MAX_MAKING_WAY", 2)
    hub = Hub(limits=Limits(clients=6))
    await asyncio.sleep(0)
    tasks = []

    def come(host):
        socket = FakeSocket()
        socket.remote_address = (host, 1)
        socket.never_closes = True

        async def close(code=1000, reason=""):
            await asyncio.Event().wait()

        socket.close = close
        tasks.append(asyncio.create_task(hub(socket)))
        return socket

    sockets = [come("6.6.6.6") for _ in range(6)]
    await until(lambda: len(hub.clients) == 6)
    sockets += [come(f"1.1.1.{nth}") for nth in range(4)]
    await until(lambda: hub.limited["clients"] == 4)
    assert inside(hub).admission.alive == 8
    for socket in sockets:
        socket.lose()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

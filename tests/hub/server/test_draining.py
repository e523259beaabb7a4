"""A hub that is emptied: nobody new, and whoever is here is told when to come back."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect

import wslab
from tests.hub.rig import aio, inside, listening, speaking, until
from tests.hub.server.asgi_rig import Server
from tests.hub.server.socket_io_rig import session_of
from wslab.errors import HandshakeRefused, WrongThread
from wslab.hub import Hub
from wslab.hub.server.draining import Draining
from wslab.wire.http.message import HttpRequest


class Crowd:
    """A part of a hub as draining sees it, in which time passes only while it waits."""

    def __init__(self, count, stays=False):
        self.now_s, self.told = 0.0, []
        self._stays = stays
        self.here = [SimpleNamespace(is_gone=False) for _ in range(count)]
        for each in self.here:
            each.send_away = lambda *args, each=each, **kwargs: self._tell(each, args)
        self.registry = SimpleNamespace(of=lambda room: tuple(self.here))
        self.admission = self

    @property
    def alive(self):
        return len(self.here) + (len(self.told) if self._stays else 0)

    def _tell(self, each, args):
        self.told.append((self.now_s, *args))
        self.here.remove(each)

    async def emptied(self, within_s):
        if self.alive:
            self.now_s += max(within_s, 0.0)

    async def drained(self, seconds):
        return await Draining(lambda: self.now_s).drain([self], seconds, 1.0)


@pytest.mark.parametrize("count", [1, 2, 7, 100, 349, 10_000])
@aio
async def test_they_are_spread_over_the_time(count):
    crowd = Crowd(count)
    assert await crowd.drained(5.0) == count == len(crowd.told)
    times = [each[0] for each in crowd.told]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] <= 5.0
    for nth, at_s in enumerate(times):  # at no time many more or fewer than their part
        assert abs(at_s - 5.0 * nth / count) < 0.5, (nth, at_s)
    assert {each[1:] for each in crowd.told} == {(1012, "service restart, come back in 1 s")}


@aio
async def test_who_does_not_go_is_waited_for_within_a_bound():
    crowd = Crowd(3, stays=True)
    assert await crowd.drained(0.0) == 3
    assert 5.0 <= crowd.now_s <= 10.0


@pytest.mark.usefixtures("memory_network")
@pytest.mark.websockets_only
@aio
async def test_nobody_new_and_those_here_are_told():
    hub = Hub()
    async with listening(hub) as url:
        async with speaking(url) as one, speaking(url) as two:
            draining = asyncio.ensure_future(hub.drain(0.05, come_back_s=2.5))
            told = (1012, "service restart, come back in 2.5 s")
            assert await one.closed() == await two.closed() == told
            assert await draining == 2
        assert hub.is_draining
        assert not hub.clients
        async with speaking(url, welcomed=False) as late:
            assert await late.closed() == told
        assert await hub.drain(60) == 0  # at once, since nobody is here
        hub.is_draining = False
        async with speaking(url):
            assert len(hub.clients) == 1


@pytest.mark.usefixtures("memory_network")
@pytest.mark.websockets_only
@aio
async def test_who_is_only_coming_is_told_as_well():
    hub, may_come = Hub(), asyncio.Event()

    @hub.on("connect")
    async def connect_(client):
        await may_come.wait()

    async with listening(hub) as url, speaking(url, welcomed=False) as wire:
        await until(lambda: inside(hub).admission.alive)
        draining = asyncio.ensure_future(hub.drain(30))
        await until(lambda: hub.is_draining)
        may_come.set()
        assert (await wire.closed())[0] == 1012
        assert await draining == 1


@pytest.mark.usefixtures("memory_network")
@aio
async def test_a_handler_at_work_ends_first():
    hub, ends, did = Hub(), asyncio.Event(), []

    @hub.on("work")
    async def work(client, data):
        await ends.wait()
        did.append(data)

    async with listening(hub) as url, speaking(url) as wire:
        await wire.emit("work", 1)
        await until(lambda: inside(hub).handlers.running)
        draining = asyncio.ensure_future(hub.drain(0))
        assert (await wire.closed())[0] == 1012
        assert not draining.done()
        ends.set()
        assert await draining == 1
        assert did == [1]


@pytest.mark.usefixtures("memory_network")
@aio
async def test_a_client_comes_back_when_it_was_told_to_with_nothing_lost():
    hub = Hub(history=10)
    with wslab.serve(hub) as server:
        alice = await asyncio.to_thread(
            wslab.connect, server, reconnect=wslab.Reconnect(first_delay_s=0, random=lambda: 1.0)
        )
        heard = []
        alice.on("tick", heard.append)
        await until(lambda: hub.clients)
        assert await hub.drain(0, come_back_s=0.05) == 1
        hub.emit("tick", 1)
        with pytest.raises(HandshakeRefused) as refused:
            await asyncio.to_thread(wslab.connect, server)
        assert refused.value.status == 503
        assert ("Retry-After", "1") in refused.value.headers
        assert refused.value.body == b"service restart, come back in 0.05 s\n"
        hub.is_draining = False
        await until(lambda: heard == [1] and alice.reconnects)
        assert alice.reconnects[0].delay_s == 0.05
        await asyncio.to_thread(alice.close)


@aio
async def test_before_it_is_opened_under_asgi():
    hub = Hub()
    await hub.drain(0, come_back_s=3)
    for path in ("/ws", "/socket.io/"):
        query = b"EIO=4&transport=websocket"
        extensions = {"websocket.http.response": {}}
        server = Server(path=path, query_string=query, extensions=extensions)
        server.feed({"type": "websocket.connect"})
        await server.call(hub.asgi())
        assert server.sent[0]["status"] == 503
        assert (b"retry-after", b"3") in server.sent[0]["headers"]


@aio
async def test_socket_io_sessions_end_as_a_whole_so_that_stock_clients_come_back():
    hub = Hub()
    hub.of("/admin")
    async with session_of(hub, "0", "0/admin,") as session:
        await session.said("0/admin,")
        assert await hub.drain(0) == 2
        assert (session.code, session.reason) == (1012, "service restart, come back in 0 s")
        assert not [text for text in session.written if text.startswith("1")]


@pytest.mark.usefixtures("memory_network")
@aio
async def test_polling_goes_on_but_does_not_begin():
    hub = Hub()
    async with listening(hub):
        pass
    begin = HttpRequest("GET", "/socket.io/?EIO=4&transport=polling", address=("127.0.0.1", 1))
    sid = json.loads((await hub.http(begin)).body[1:])["sid"]
    await hub.drain(0)
    response = await hub.http(begin)
    assert (response.status, dict(response.headers)["Retry-After"]) == (503, "0")
    going_on = begin._replace(method="POST", target=f"{begin.target}&sid={sid}", body=b"40")
    assert (await hub.http(going_on)).status == 200
    elsewhere = begin._replace(target=f"{begin.target}&sid={sid[::-1]}")
    assert (await hub.http(elsewhere)).status == 503  # for a proxy, which asks the next process
    await hub.end_http()


@pytest.mark.usefixtures("memory_network")
@pytest.mark.websockets_only
@aio
async def test_nor_by_a_websocket_of_socket_io():
    hub = Hub()
    async with listening(hub) as url:
        await hub.drain(0)
        async with connect(f"{url}socket.io/?EIO=4&transport=websocket") as socket:
            await socket.wait_closed()
            assert socket.close_code == 1012


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_what_is_no_time(seconds):
    with pytest.raises(ValueError, match="seconds"):
        Hub().drain(seconds)


def test_without_any_loop():
    with pytest.raises(WrongThread, match="await it"):
        Hub().drain(0)

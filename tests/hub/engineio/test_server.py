"""Who may come, what they are told otherwise, and what strangers can make a server hold."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hub.engineio.rig import POLL, SOCKET, engine, soon
from tests.hub.engineio.test_polling import held, silent, started
from tests.hub.rig import until
from wslab.hub.engineio import server as server_module
from wslab.hub.protocol.limits import Limits
from wslab.wire.http.message import HttpRequest

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("memory_network")]


async def test_the_open_packet_of_polling():
    async with engine(ping_interval_s=1.5, ping_timeout_s=0.5, max_payload=5000) as rig:
        response = await rig.get()
        fields = json.loads(response.body[1:])
        assert fields | {"sid": ""} == {
            "sid": "",
            "upgrades": ["websocket"],
            "pingInterval": 1500,
            "pingTimeout": 500,
            "maxPayload": 5000,
        }
        assert dict(response.headers)["Content-Type"] == "text/plain; charset=UTF-8"


async def test_ids_are_long_and_never_the_same():
    async with engine(silent) as rig:
        ids = {await rig.open() for _ in range(100)}
        assert len(ids) == 100
        assert {len(sid) for sid in ids} == {20}


async def test_its_path():
    async with engine(path="/chat") as rig:
        assert rig.server.is_asked_for("/chat/?EIO=4")
        assert rig.server.is_asked_for("/chat?EIO=4")
        assert not rig.server.is_asked_for("/chatter/")
        assert not rig.server.is_asked_for("/")


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({}, 200),
        ({"headers": (("Origin", "https://evil.example"), ("Host", "example.org"))}, 403),
        ({"headers": (("Origin", "https://example.org"), ("Host", "example.org"))}, 200),
        ({"headers": (("Origin", "null"), ("Host", "example.org"))}, 403),
        ({"headers": (("Origin", "https://evil.example"),), "is_let_in": True}, 200),
        ({"headers": (("Origin", "https://example.org"),), "is_let_in": False}, 403),
    ],
)
async def test_origins(about, status):
    async with engine() as rig:
        response = await rig.get(**about)
        assert response.status == status
        allowed = dict(response.headers).get("Access-Control-Allow-Origin")
        origin = dict(about.get("headers", ())).get("Origin")
        assert allowed == (origin if status == 200 else None)
        asked = HttpRequest("GET", SOCKET)._replace(**about)
        refusal = rig.server.refusal(asked)
        assert (refusal and refusal.status) == (None if status == 200 else 403)
        assert len(rig.server.sessions) == (status == 200)


async def test_origins_that_are_listed():
    async with engine(origins=["https://good.example"]) as rig:
        good = (("Origin", "https://good.example"), ("Host", "example.org"))
        assert (await rig.get("", *good, is_let_in=False)).status == 200
        own = (("Origin", "https://example.org"), ("Host", "example.org"))
        assert (await rig.get("", *own, is_let_in=True)).status == 403
        preflight = await rig.get("", *good, method="OPTIONS")
        assert preflight.status == 204
        assert dict(preflight.headers)["Access-Control-Allow-Credentials"] == "true"
        assert (await rig.get("", *own, method="OPTIONS")).status == 403
        async with rig.socket() as socket:  # no page
            assert (await soon(socket.recv()))[0] == "0"


async def test_without_polling():
    async with engine(polling=False) as rig:
        assert (await rig.get()).body == b'{"code":0,"message":"Transport unknown"}'
        async with rig.socket() as socket:
            assert (await soon(socket.recv()))[0] == "0"


async def test_a_socket_that_should_have_been_refused_is_closed():
    async with engine() as rig:
        async with rig.socket("unknown") as socket:
            with pytest.raises(ConnectionClosed) as ended:
                await soon(socket.recv())
            assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1008, "Session ID unknown")
        refusal = rig.server.refusal(HttpRequest("GET", SOCKET + "&sid=unknown"))
        assert (refusal.status, refusal.body) == (400, b"Session ID unknown")


async def test_limits_count_sessions():
    async with engine(silent, Limits(clients=3, clients_per_address=2)) as rig:
        await rig.open()
        await rig.open(address=("192.0.2.3", 1))
        async with rig.socket() as socket:  # from another address
            await soon(socket.recv())
            assert (await rig.get(address=("192.0.2.2", 1))).status == 503
            async with rig.socket() as second:
                with pytest.raises(ConnectionClosed) as ended:
                    await soon(second.recv())
                assert ended.value.rcvd.code == 1013
        await until(lambda: len(rig.server.sessions) == 2)
        assert (await rig.get(address=("192.0.2.2", 1))).status == 200


async def test_limits_count_sessions_of_one_address():
    async with engine(silent, Limits(clients=3, clients_per_address=2)) as rig:
        await rig.open()
        await rig.open()
        full = await rig.get()
        assert full.status == 503
        assert "2 clients of your address" in json.loads(full.body)["message"]


async def test_where_all_places_are_taken_the_address_with_the_most_gives_way():
    async with engine(silent, Limits(clients=3)) as rig:
        first = await rig.open(address=("6.6.6.6", 1))
        last = await rig.open(address=("6.6.6.6", 2))
        other = await rig.open(address=("192.0.2.2", 1))
        new = await rig.open(address=("192.0.2.3", 1))
        assert set(rig.server.sessions) == {first, other, new}
        assert last not in rig.server.sessions
        assert (await rig.get(address=("192.0.2.4", 1))).status == 503
        assert (await rig.get(address=("6.6.6.6", 3))).status == 503


async def test_sessions_that_nobody_polls_give_way(monkeypatch):
    monkeypatch.setattr(server_module, "UNPOLLED_S", 0.0)
    async with engine(silent, Limits(unpolled=10)) as rig:
        mine, _ = await started(rig)
        poll = await held(rig.get(mine))
        other = await rig.open(address=("192.0.2.2", 1))
        theirs = [await rig.open(address=("198.51.100.1", n)) for n in range(50)]
        assert len(rig.server.sessions) <= 12
        assert mine in rig.server.sessions
        assert other in rig.server.sessions  # who has few keeps them
        assert theirs[-1] in rig.server.sessions
        assert theirs[0] not in rig.server.sessions
        assert not poll.done()
        poll.cancel()


async def test_closing_it_answers_held_polls_and_ends_what_serves():
    async with engine(silent) as rig:
        sid, session = await started(rig)
        poll = await held(rig.get(sid))
        await rig.server.close()
        assert (await soon(poll)).body == b"1"
        assert session.closed is None
        assert not rig.server.sessions


async def test_a_session_whose_task_is_cancelled_is_cut_off():
    async with engine(silent) as rig:
        _, session = await started(rig)
        for task in tuple(rig.server._tasks):
            task.cancel()
        await until(lambda: not rig.server.sessions)
        assert session.closed is None


async def test_the_headers_of_a_session_in_any_case():
    async with engine(silent) as rig:
        target = POLL + "&room=lobby"
        await rig.get("", ("Cookie", "a=1"), target=target)
        await until(lambda: rig.seen)
        assert rig.last.headers["cookie"] == rig.last.headers.get("COOKIE") == "a=1"
        assert "Cookie" in rig.last.headers
        assert "room=lobby" in rig.last.path
        await asyncio.sleep(0)

"""One client of a hub, as handlers see it."""

from __future__ import annotations

import pytest

from tests.hub.rig import (
    TOKEN,
    aio,
    listening,
    one,
    speaking,
    until,
)
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


@aio
async def test_a_user_id_stays_the_same_and_is_no_secret():
    hub = Hub(history=10)
    told = []

    @hub.on("connect")
    async def connect(client):
        told.append(("connect", client.user_id, client.is_resumed))

    @hub.on("disconnect")
    async def disconnect(client, reason):
        told.append(("disconnect", client.user_id, client.may_return))

    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as wire:
            user_id = one(hub).user_id
            first = one(hub).id
            assert wire.welcome["user"] == user_id
            assert len(user_id) == 12
            assert user_id not in (TOKEN, first)
            await wire.abort()
        await until(lambda: len(told) == 2)
        async with speaking(f"{url}?session={TOKEN}") as wire, speaking(url) as other:
            assert wire.welcome["user"] == user_id
            assert wire.id != first
            assert other.welcome["user"] != user_id
            async with speaking(f"{url}?session={TOKEN}") as again:  # takes it over
                assert again.welcome["user"] == user_id
                assert (await wire.closed())[0] == 4409
                await again.websocket.close(1000)
        await until(lambda: not hub.clients)
        await until(lambda: len(told) == 8)
        mine = [(what, may) for what, who, may in told if who == user_id]
        assert mine == [
            ("connect", False), ("disconnect", True), ("connect", True), ("disconnect", True),
            ("connect", True), ("disconnect", False),
        ]  # fmt: skip
        async with speaking(f"{url}?session={TOKEN}") as wire:  # that session has ended
            assert wire.welcome["user"] != user_id


@aio
async def test_without_a_history_the_user_id_is_the_id():
    hub = Hub()
    told = []
    hub.on("disconnect", lambda client, reason: told.append((client.user_id, client.may_return)))
    async with listening(hub) as url:
        async with speaking(url) as wire:
            assert one(hub).user_id == wire.id
            assert "user" not in wire.welcome
            await wire.abort()
        await until(lambda: told)
        assert told == [(wire.id, False)]


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
            await wire.call("rename", "n" * 256)
            assert len(repr(client)) < 120
            for name in ("n" * 257, "é" * 129):
                answer = await wire.call("rename", name)
                assert (answer["code"], answer["message"][:36]) == (
                    "refused", "expected a name of at most 256 bytes",
                )  # fmt: skip
            assert client.name == "n" * 256
            assert hub.limited["name_bytes"] == 2
            await wire.abort()
        async with speaking(f"{url}{url_of}&offset=0"):
            assert told == [frozenset(), {"lobby"}]  # it sees the rooms that it comes back to


@aio
async def test_the_headers_of_its_request_by_names_in_any_case():
    hub = Hub()
    async with listening(hub) as url:
        async with speaking(url, additional_headers={"Cookie": "a=1", "X-Y": "2"}):
            headers = one(hub).headers
            assert (headers["cookie"], headers["x-y"]) == ("a=1", "2")
            assert headers.get("X-None") is None

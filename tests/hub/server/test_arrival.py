"""Who is let in: what `connect` says, and what comes of what it raises."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.rig import (
    aio,
    inside,
    listening,
    speaking,
    until,
)
from wslab.errors import Refused
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


@aio
async def test_who_is_refused_is_told_with_data():
    hub = Hub()
    given = [{"seats": 0}, {1, 2}]

    @hub.on("connect")
    async def connect(client):
        raise Refused("full", data=given.pop(0))

    async with listening(hub) as url:
        async with speaking(url, welcomed=False) as wire:
            assert (await wire.read())["data"] == {
                "code": "refused", "message": "full", "data": {"seats": 0},
            }  # fmt: skip
            assert await wire.closed() == (1008, "full")
        assert not hub.errors
        async with speaking(url, welcomed=False) as wire:  # JSON holds no set
            assert (await wire.read())["data"] == {"code": "refused", "message": "full"}
            assert await wire.closed() == (1008, "full")
        assert "expected data that JSON can hold" in hub.errors[-1].message


@pytest.mark.parametrize(
    ("refusal", "code", "message", "close"),
    [
        (Refused("members only"), "refused", "members only", (1008, "members only")),
        (Refused(), "refused", "refused", (1008, "refused")),
        (False, "refused", "refused", (1008, "refused")),
        (Refused("é" * 100), "refused", "é" * 100, (1008, "é" * 61)),
        (ValueError("secret"), "failed", "the connect handler failed",
         (1011, "the connect handler failed")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("joins", [False, True])
@aio
async def test_connect_may_refuse(refusal, code, message, close, joins):
    hub = Hub()
    ends = []
    hub.on("disconnect", lambda client, reason: ends.append(reason))

    @hub.on("connect")
    async def connect(client):
        if joins:
            client.join("lobby")
        if isinstance(refusal, Exception):
            raise refusal
        return refusal

    async with listening(hub) as url, speaking(url, welcomed=joins) as wire:
        assert await wire.read() == {"event": "error", "data": {"code": code, "message": message}}
        assert not hub.clients
        assert not hub.rooms
        assert await wire.closed() == close
        await until(lambda: len(ends) == joins)  # who was let in by joining is told to have left
    assert all(end.startswith("sent away with 10") for end in ends)
    assert len(hub.errors) == hub.errors_seen == isinstance(refusal, ValueError)
    assert hub.complaints == {code: 1}


@aio
async def test_a_plain_connect_handler_may_refuse_too():
    hub = Hub()

    @hub.on("connect")
    def connect(client):
        client.join("lobby")
        raise Refused("full")

    async with listening(hub) as url, speaking(url) as wire:
        assert await wire.closed() == (1008, "full")
        assert not hub.rooms


@aio
async def test_who_leaves_while_connect_runs_is_never_listed():
    hub = Hub()
    gate, ends = asyncio.Event(), []
    hub.on("disconnect", lambda client, reason: ends.append(reason))

    @hub.on("connect")
    async def connect(client):
        await gate.wait()

    async with listening(hub) as url:
        async with speaking(url, welcomed=False) as wire:
            await until(lambda: inside(hub).admission.alive == 1)
            await wire.abort()
        gate.set()
        await until(lambda: ends)
        assert ends == ["the connection broke off (1006)"]
        assert not hub.clients


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

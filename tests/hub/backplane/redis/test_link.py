"""The link to a real Redis: it knows when Redis is gone, however silently, and comes up again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name, linked, redis_of_its_own
from tests.hub.rig import aio, until
from wslab.errors import BackplaneDown
from wslab.hub.backplane.redis.keys import Keys
from wslab.hub.backplane.redis.link import RedisLink
from wslab.hub.backplane.status import without_password


@aio
async def test_commands_and_what_is_published(redis_url: str) -> None:
    heard: list[bytes] = []
    async with linked(redis_url) as link:
        assert link.status == "up"
        assert link.why == ""
        channel = link.keys.room("lobby")
        await link.listen(channel, heard.append)
        assert await link.command("PUBLISH", channel, b"one") == 1
        await until(lambda: heard == [b"one"])
        link.unlisten(channel)
        await link.listen(channel, heard.append)  # again, at once
        await link.command("PUBLISH", channel, b"two")
        await until(lambda: heard == [b"one", b"two"])
    assert "closed" in link.why
    with pytest.raises(BackplaneDown, match="closed"):
        await link.command("PING")


@aio
async def test_it_listens_before_redis_is_there_and_again_after_each_break(tmp_path: Path) -> None:
    with redis_of_its_own(tmp_path) as server:
        name, heard, told = fresh_name(), [], []
        server.kill()
        link = RedisLink(server.url, Keys(name), beat_s=0.05, deadline_s=0.5)
        link.down_listeners.append(lambda: told.append("down"))

        async def up() -> None:
            assert await link.command("PING")  # of use already
            told.append(f"{link.status}, and told")

        link.up_listeners.append(up)
        link.start()
        try:
            listening = asyncio.ensure_future(link.listen(link.keys.room("a"), heard.append))
            with pytest.raises(BackplaneDown, match=r"was not there within 0\.2 s"):
                await link.wait_up(0.2)
            await until(lambda: link.status == "down" and "ConnectionError" in link.why)
            with pytest.raises(BackplaneDown, match="Clients of this process go on being served"):
                await link.command("PING")
            server.start()
            await listening
            await link.wait_up(10)
            assert link.reconnects == 0
            server.restart()
            await until(lambda: link.reconnects == 1 and link.status == "up")
            assert told == ["down, and told", "down", "down, and told"]
            await link.command("PUBLISH", link.keys.room("a"), b"x")
            await until(lambda: heard == [b"x"])
        finally:
            await link.close()


@aio
async def test_a_redis_that_stands_still_is_noticed_and_what_is_under_way_ends(
    tmp_path: Path,
) -> None:
    with redis_of_its_own(tmp_path) as server:
        async with linked(server.url) as link:
            server.hold()
            try:
                with pytest.raises(BackplaneDown, match="its connections open|within"):
                    await link.command("PING", timeout_s=30)
                await until(lambda: link.status == "down")
            finally:
                server.resume()
            await link.wait_up(10)
            assert await link.command("PING")


@aio
@pytest.mark.parametrize("which", ["commands", "listens"])
async def test_either_connection_that_is_killed_brings_both_anew(
    redis_url: str, which: str
) -> None:
    async with linked(redis_url) as link:
        clients: bytes = await link.command("CLIENT", "LIST")
        [id] = [
            line.split(b"id=")[1].split()[0]
            for line in clients.splitlines()
            if f"name=wslab:{link.node_id}:{which}".encode() in line
        ]
        async with linked(redis_url) as other:
            await other.command("CLIENT", "KILL", "ID", id)
        await until(lambda: link.reconnects == 1 and link.status == "up")
        heard: list[bytes] = []
        await link.listen(link.keys.room("a"), heard.append)
        await link.command("PUBLISH", link.keys.room("a"), b"x")
        await until(lambda: heard)


@aio
async def test_a_subscriber_that_redis_has_forgotten_is_noticed(redis_url: str) -> None:
    async with linked(redis_url) as link:
        assert link._subscriptions is not None
        link._subscriptions.unsubscribe(link._canary_channel)  # deaf, with its connection open
        await until(lambda: link.reconnects == 1 and link.status == "up")


@aio
async def test_an_error_of_a_listener_is_seen_and_it_comes_up_again(redis_url: str) -> None:
    seen: list[BaseException] = []

    async def fails_once() -> None:
        if not seen:
            raise KeyError("ours")

    link = RedisLink(redis_url, Keys(fresh_name()), seen.append)
    link.up_listeners.append(fails_once)
    link.start()
    try:
        await link.wait_up(10)
        assert [type(exc) for exc in seen] == [KeyError]
    finally:
        await link.close()


@aio
async def test_who_was_told_that_it_is_up_hears_of_each_fall(redis_url: str) -> None:
    told: list[str] = []
    async with linked(redis_url) as link:
        link.down_listeners.append(lambda: told.append(f"down: {link.status}"))

        async def up() -> None:
            told.append("up")

        async def fail_once() -> None:
            if told.count("up") == 1:
                raise OSError("in the middle of it")

        link.up_listeners += [up, fail_once]
        link.fail("for a test")
        await until(lambda: link.reconnects == 1)
        assert told == ["down: down", "up", "down: down", "up"]


@aio
async def test_an_answer_that_takes_too_long(redis_url: str) -> None:
    async with linked(redis_url) as link:
        with pytest.raises(BackplaneDown, match=r"did not answer within 0\.05 s"):
            await link.command("BLPOP", link.keys.room("none"), 0.3, timeout_s=0.05)
        assert await link.command("PING") == b"PONG"  # behind it, and its own answer


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@host/1", "redis://:...@host/1"),
        ("rediss://me:sec@ret@host:1/?password=secret", "rediss://me:...@host:1/"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
    link: Any = RedisLink(url, Keys("chat"))
    assert "ret" not in str(link._down("it is away"))


def test_a_url_that_is_none() -> None:
    with pytest.raises(ValueError, match="redis://"):
        RedisLink("http://127.0.0.1/", Keys("chat"))

"""Many commands on their way on one connection: answered in order, also where scripts are gone."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ResponseError

from tests.hub.backplane.redis.rig import linked
from tests.hub.rig import aio
from wslab.errors import BackplaneDown
from wslab.hub.backplane.redis import commands
from wslab.hub.backplane.redis.script import Script


def _script(text: bytes) -> Script:
    script = Script.__new__(Script)
    script.name, script.text = "test", text
    script.sha = __import__("hashlib").sha1(text).hexdigest()
    return script


APPEND = _script(b"return redis.call('RPUSH', KEYS[1], ARGV[1])")


@aio
async def test_scripts_run_in_order_also_when_redis_has_forgotten_them(redis_url: str) -> None:
    async with linked(redis_url) as link:
        key, rounds = link.keys.room("list"), 300
        asked = []
        for n in range(rounds):
            if n % 60 == 30:
                asked.append(asyncio.ensure_future(link.command("SCRIPT", "FLUSH")))
                await asyncio.sleep(0.002 * (n % 40 == 30))  # some answers come meanwhile
            asked.append(asyncio.ensure_future(link.run(APPEND, [key], [n])))
        await asyncio.gather(*asked)
        values = await link.command("LRANGE", key, 0, -1)
        assert list(map(int, values)) == list(range(rounds))
        await link.command("DEL", key)


@aio
async def test_an_error_is_its_askers_alone(redis_url: str) -> None:
    async with linked(redis_url) as link:
        broken = _script(b"return redis.call('NOSUCH')")
        one, two, three = await asyncio.gather(
            link.command("NOSUCH"), link.run(broken, []), link.command("PING"),
            return_exceptions=True,
        )  # fmt: skip
        with pytest.raises(UnicodeEncodeError):
            await link.command("ECHO", "\ud800")
        assert isinstance(one, ResponseError)
        assert isinstance(two, ResponseError)
        assert three == b"PONG"


@aio
async def test_they_have_a_bound(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked(redis_url) as link:
        monkeypatch.setattr(commands, "MAX_ON_THEIR_WAY", 3)
        answers = [link.command("PING") for _ in range(6)]
        answers = await asyncio.gather(*answers, return_exceptions=True)
        assert answers.count(b"PONG") == 3
        refused = [each for each in answers if isinstance(each, BackplaneDown)]
        assert len(refused) == 3
        assert "too slowly" in str(refused[0])


@aio
async def test_what_is_under_way_when_it_breaks_is_answered_so(redis_url: str) -> None:
    async with linked(redis_url) as link:
        asked = [
            asyncio.ensure_future(link.command("BLPOP", link.keys.room("none"), 30)),
            asyncio.ensure_future(link.run(APPEND, [link.keys.room("list")], [1])),
        ]
        await asyncio.sleep(0)
        await link.close()
        for each in asked:
            with pytest.raises(BackplaneDown):
                await each

"""Scripts travel with the package, and have the hash that Redis gives them."""

from __future__ import annotations

from importlib import resources

import pytest
import redis

from wslab.hub.backplane import redis as package
from wslab.hub.backplane.redis.script import Script

NAMES = [
    path.name.removesuffix(".lua")
    for path in resources.files(package).iterdir()
    if path.name.endswith(".lua")
]


@pytest.mark.parametrize("name", NAMES)
def test_redis_takes_it_and_gives_it_the_same_hash(name: str, redis_url: str) -> None:
    script = Script(name)
    with redis.Redis.from_url(redis_url) as client:
        assert client.script_load(script.text.decode()) == script.sha
    assert name in repr(script)

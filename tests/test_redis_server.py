"""The tests' own Redis does what they ask: restarts with or without its data, and stands still."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.redis_server import RedisServer, need


@pytest.fixture(autouse=True)
def _redis() -> None:
    need()


def test_it_comes_back_on_its_port_with_or_without_its_data(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        url = server.url
        with server.client() as client:
            client.set("kept", "1")
        server.restart()
        with server.client() as client:
            assert client.get("kept") == b"1"
        server.restart(keeps_data=False)
        with server.client() as client:
            assert client.get("kept") is None
        assert server.url == url


def test_it_stands_still_with_its_connections_open(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, server.client() as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.2
        server.hold()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        client.connection_pool.connection_kwargs["socket_timeout"] = 10
        assert client.ping()

"""A lesson's Redis keeps what it answered over a kill, stands still, and is nowhere a riddle."""

from __future__ import annotations

import pytest
import redis

import wslab
from tests.redis_server import need
from wslab.machines import redis_server, start_redis


@pytest.fixture
def server():
    need()
    one = start_redis()
    yield one
    one.stop()
    assert not wslab.running()


def test_it_comes_back_on_its_port_with_or_without_its_data(server):
    url, pid = server.url, server.pid
    assert server.ask("SET", "kept", "1") in (True, b"OK", "OK")
    server.kill()
    assert server.status == "killed"
    with pytest.raises(redis.RedisError):
        server.ask("GET", "kept")
    server.start()
    assert (server.url, server.pid != pid) == (url, True)
    assert server.ask("GET", "kept") == b"1"
    server.restart(keeps_data=False)
    assert server.ask("GET", "kept") is None


def test_it_stands_still(server):
    server.hold()
    with redis.Redis(port=server.port, socket_timeout=0.2, retry=None) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
    server.resume()
    assert server.ask("PING")
    server.hold()  # and it ends all the same


def test_it_says_when_somebody_listens(server):
    with pytest.raises(TimeoutError, match="expected 1 subscribers of 'chat' within 0.1 s, got 0"):
        server.await_subscribers("chat", 1, timeout=0.1)
    with redis.Redis(port=server.port) as client, client.pubsub() as ear:
        ear.subscribe("chat")
        server.await_subscribers("chat", 1)


def test_it_listens_on_loopback_only(server):
    assert "127.0.0.1" in str(server.ask("CONFIG", "GET", "bind"))
    assert "0.0.0.0" not in str(server.ask("CONFIG", "GET", "bind"))


def test_a_port_that_is_taken_meanwhile_is_left_to_who_has_it(server, monkeypatch):
    taken = server.port
    ports = iter([taken, redis_server.free_port()])
    monkeypatch.setattr(redis_server, "free_port", lambda: next(ports))
    other = start_redis()
    assert other.port != taken
    other.stop()


def test_where_there_is_none_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(redis_server.shutil, "which", lambda _name: None)
    with pytest.raises(RuntimeError, match=r"apt install redis-server.*brew.*conda.*WSL"):
        start_redis()

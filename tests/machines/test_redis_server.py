"""A lesson's Redis keeps what it answered over a kill, stands still, and is nowhere a riddle."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

import wslab
from tests.machines.test_process import is_there
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


STARTER = """
import time
from wslab.machines import start_redis
server = start_redis()
print(server.ask("CONFIG", "GET", "dir"), server.folder, flush=True)
time.sleep(60)
"""


def test_nothing_of_it_is_left_where_its_starter_is_killed():
    need()
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        folder = Path(starter.stdout.readline().split()[-1])
        pid = int((folder / "redis.pid").read_text())
        starter.kill()
    deadline_s = time.monotonic() + 10
    while folder.exists() or is_there(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


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
    monkeypatch.setattr(redis_server, "has_redis_server", lambda: False)
    monkeypatch.setattr(redis_server, "has_stand_in", lambda: False)
    with pytest.raises(RuntimeError, match=r"apt install redis-server.*brew.*conda.*fakeredis"):
        start_redis()


STUB = """
import socketserver

class _Answers(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            if line.strip() == b"PING":
                self.wfile.write(b"+PONG\\r\\n")

class TcpFakeServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True

    def __init__(self, address, server_type):
        super().__init__(address, _Answers)
"""


def test_a_stand_in_takes_its_place_and_is_called_so(tmp_path, monkeypatch):
    # Of fakeredis only the way in which it is started: it is not among what the tests install.
    (tmp_path / "fakeredis.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "has_redis_server", lambda: False)
    monkeypatch.setattr(redis_server, "has_stand_in", lambda: True)
    server = start_redis()
    assert (server.name, server.is_stand_in) == ("Redis (stand-in)", True)
    assert repr(wslab.running()[0]).split()[0] == "redisserver"

    def ping():
        with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)

    assert ping() == b"+PONG\r\n"
    server.kill()
    assert server.status == "killed"
    server.start()
    assert ping() == b"+PONG\r\n"
    server.stop()
    assert server.status == "ended"

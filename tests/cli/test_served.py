"""A handler in a user's file, served from a shell."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cli.rig import WAIT_S, Serving, connect, needs_posix, refused
from wslab.cli.served import handler_of

APP = """\
from neighbour import shout

async def handler(websocket):
    async for message in websocket:
        await websocket.send(shout(message))

class Chat:
    async def run(self, websocket):
        await websocket.send("a method's " + await websocket.recv())

chat = Chat()

async def failing(websocket):
    await websocket.recv()
    raise ValueError("my mistake")

async def blocking(websocket):
    import time
    print("blocking", flush=True)
    time.sleep(60)

async def blocking_twice(websocket):
    import signal, time
    print("blocking", flush=True)
    while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        time.sleep(0.001)
    print("stopping", flush=True)
    time.sleep(60)

def plain(websocket):
    pass

from wslab.hub import Hub

hub = Hub()

@hub.on("fail")
async def fail(client, data):
    raise ValueError("the hub's mistake")

@hub.on("fail_on_a_thread")
def fail_on_a_thread(client, data):
    raise StopIteration("the hub's other mistake")
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "neighbour.py").write_text("def shout(text): return text.upper()\n")
    (tmp_path / "queue.py").write_text(
        "async def handler(ws): await ws.send('own ' + await ws.recv())\n"
    )
    (tmp_path / "fails.py").write_text("import os\n\nos.nothing\n")
    (tmp_path / "typo.py").write_text("x = 1\ndef f(:\n")
    return tmp_path


@needs_posix
@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        ("app.py:handler", "HELLO"),
        ("app.py:chat.run", "a method's hello"),
        ("queue.py:handler", "own hello"),  # named as a module that is loaded already
    ],
)
def test_a_handler_of_the_users(app: Path, handler: str, answer: str) -> None:
    with Serving(handler, cwd=app) as serving:
        with connect(serving.url) as alice:
            alice.send("hello")
            assert alice.recv(timeout=WAIT_S) == answer
        assert serving.end(signal.SIGINT)[0] == 0


def test_a_file_elsewhere_finds_its_neighbours(app: Path, tmp_path: Path) -> None:
    assert callable(handler_of(str(app / "app.py:handler")))
    sys.path.remove(str(app))
    for name in ("app", "neighbour"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("app.py:nothing", "app.py has no 'nothing'; its async functions are handler, failing"),
        ("app.py:plain", "got a plain `def`"),
        ("app.py:Chat", "app.py:Chat: expected"),
        ("fails.py:handler", "fails.py line 3: AttributeError: module 'os' has no attribute"),
        ("typo.py:handler", "typo.py line 2: SyntaxError"),
    ],
)
def test_a_handler_that_can_not_be(app: Path, handler: str, expected: str) -> None:
    assert expected in refused("serve", handler, cwd=app)


@needs_posix
def test_a_handlers_error_is_shown_with_its_own_traceback(app: Path) -> None:
    with Serving("app.py:failing", "--quiet", cwd=app) as serving:
        with connect(serving.url) as alice:
            alice.send("x")
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=WAIT_S)
            assert alice.close_code == 1011
        code, out, err = serving.end(signal.SIGINT)
    assert (code, out) == (0, "wslab: stopped\n")
    lines = err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'app.py", line 15, in failing' in lines[1]
    assert lines[-1] == "ValueError: my mistake"
    assert err.count("ValueError: my mistake") == 1
    assert "main.py" not in err


def handshake(url: str) -> socket.socket:
    """Ask for a WebSocket without waiting for the answer, which a blocked server does not give."""
    connection = socket.create_connection(("127.0.0.1", int(url.split(":")[2].rstrip("/"))))
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return connection


@needs_posix
def test_a_handler_that_blocks_is_named_and_not_waited_for(app: Path) -> None:
    with Serving("app.py:blocking", "--quiet", cwd=app) as serving, handshake(serving.url):
        assert serving.line() == "blocking\n"
        code, _, err = serving.end(signal.SIGINT)
    assert code == 1
    assert "blocking() at app.py:" in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


@needs_posix
def test_a_second_interrupt_does_not_wait(app: Path) -> None:
    name = "app.py:blocking_twice"
    with Serving(name, "--quiet", cwd=app) as serving, handshake(serving.url):
        assert serving.line() == "blocking\n"
        serving.process.send_signal(signal.SIGINT)
        assert serving.line() == "stopping\n"
        code, _, err = serving.end(signal.SIGINT)
    assert (code, err) == (130, "wslab: interrupted\n")


@needs_posix
def test_a_failure_of_a_hub_is_printed_once(app: Path) -> None:
    with Serving("app.py:hub", "--quiet", cwd=app) as serving:
        with connect(serving.url) as alice:
            for number, event in enumerate(("fail", "fail_on_a_thread")):
                alice.send(json.dumps({"event": event, "id": number}))
            for _ in range(3):
                alice.recv(timeout=WAIT_S)
        code, out, err = serving.end(signal.SIGINT)
    assert (code, out) == (0, "wslab: stopped\n")
    assert err.count("ValueError: the hub's mistake") == 1
    assert err.count("StopIteration: the hub's other mistake") == 1

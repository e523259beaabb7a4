"""`wslab serve --workers N`: real processes, which die, are told to end, and lose their parent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.cli.rig import WAIT_S, Serving, connect, needs_posix, refused
from tests.peers import until
from wslab.cli.workers import Place

pytestmark = needs_posix


class Many(Serving):
    """A `wslab serve` of several workers, which have all said that they serve."""

    def __init__(self, count: int, *arguments: str, cwd: Path | None = None) -> None:
        super().__init__("--workers", str(count), "--quiet", *arguments, cwd=cwd)
        self.pids: dict[int, int] = {}
        for _ in range(count):
            self.come()

    def come(self) -> int:
        """Wait for a worker, and return which it is."""
        found = re.fullmatch(r"wslab: worker (\d+) \(pid (\d+)\) serves\n", line := self.line())
        assert found, line
        self.pids[int(found[1])] = int(found[2])
        return int(found[1])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def echoing() -> Iterator[Many]:
    with Many(2) as serving:
        yield serving


def says_hello(url: str) -> None:
    with connect(url) as alice:
        alice.send("hello")
        assert alice.recv(timeout=WAIT_S) == "hello"


def test_they_share_a_port_and_end_together(echoing: Many) -> None:
    assert re.match(r"wslab: echo at ws://127\.0\.0\.1:\d+/, 2 workers\n", echoing.head)
    assert len(set(echoing.pids.values()) - {echoing.process.pid}) == 2
    for _ in range(10):
        says_hello(echoing.url)
    code, out, err = echoing.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    lines = sorted(out.splitlines())
    assert lines == [
        "wslab: stopped", "wslab: worker 1 stopped", "wslab: worker 2 stopped",
    ]  # fmt: skip
    assert all(map(is_gone, echoing.pids.values()))


def test_one_that_dies_is_started_again_while_the_other_serves(echoing: Many) -> None:
    killed = echoing.pids[2]
    os.kill(killed, signal.SIGKILL)
    assert echoing.line() == (
        f"wslab: worker 2 (pid {killed}) was killed by signal 9; another one starts\n"
    )
    for _ in range(5):
        says_hello(echoing.url)
    assert echoing.come() == 2
    assert echoing.pids[2] != killed
    os.kill(echoing.pids[1], signal.SIGTERM)
    assert echoing.line() == "wslab: worker 1 stopped\n"
    assert "has ended with 0; another one starts" in echoing.line()
    assert echoing.come() == 1
    assert echoing.end(signal.SIGINT)[0] == 0


def test_they_end_with_their_parent(echoing: Many) -> None:
    echoing.process.kill()
    deadline_s = time.monotonic() + WAIT_S
    while not all(map(is_gone, echoing.pids.values())):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_mistake_ends_all_in_one_line(tmp_path: Path) -> None:
    assert "there is no file" in refused("serve", "none.py:hub", "--workers", "3")
    (tmp_path / "main.py").write_text("import wslab\nhub = wslab.Hub()\n")
    (tmp_path / "pages.py").write_text("async def serve(websocket): pass\n")
    for arguments, told in {
        ("--workers", "0"): "expected 1 to 999 workers, got '0'",
        ("--workers", "many"): "expected 1 to 999 workers",
        ("--backplane", "redis://127.0.0.1:1/0", "pages:serve"): "is for a Hub, and pages:serve",
    }.items():
        assert told in refused("serve", *arguments, cwd=tmp_path)


def test_a_place_is_told_on_the_command_line() -> None:
    place = Place(2, 7, os.getppid())
    assert Place.read(str(place)) == place
    assert not place.is_orphan
    assert Place(2, 7, os.getpid()).is_orphan


HUB = """
import wslab
hub = wslab.Hub("NAME", history=10)

@hub.on("say")
async def say(client, text):
    await hub.emit("said", [text, hub.node_id])

@hub.on("everybody")
async def everybody(client, data):
    return [member.node for member in await hub.everybody()]
"""


def hear(client: Any, event: str) -> Any:
    while True:
        packet = json.loads(client.recv(timeout=WAIT_S))
        if event in packet:
            return packet[event]
        if packet.get("event") == event:
            return packet["data"]


def test_workers_of_a_hub_are_one_hub_and_are_drained(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "main.py").write_text(HUB.replace("NAME", tmp_path.name))
    arguments = ("main:hub", "--drain", "0.3")
    assert "--backplane redis://" in refused("serve", *arguments, "--workers", "2", cwd=tmp_path)
    with (
        Many(2, *arguments, "--backplane", redis_url, cwd=tmp_path) as serving,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(connect(serving.url)) for _ in range(8)]
        for client in clients:
            hear(client, "welcome")
        nodes: list[str] = []
        deadline_s = time.monotonic() + WAIT_S
        while len(nodes) < len(clients):  # those of the other worker a moment later
            assert time.monotonic() < deadline_s
            clients[0].send('{"event":"everybody","id":1}')
            nodes = hear(clients[0], "data")
        for client in clients[:2]:
            client.send('{"event":"say","data":"hello"}')
            told = [hear(each, "said") for each in clients]
            assert told == told[:1] * 8
            assert told[0][0] == "hello"
            assert told[0][1] in nodes
        serving.process.send_signal(signal.SIGTERM)
        for client in clients:
            with pytest.raises(ConnectionClosed):
                hear(client, "nothing")
            told = (client.close_code, client.close_reason)
            assert told == (1012, "service restart, come back in 0 s")
        out, err = serving.process.communicate(timeout=WAIT_S)
        assert (serving.process.returncode, err) == (0, ""), out


def test_a_worker_is_killed_and_nobody_misses_anything(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "main.py").write_text(HUB.replace("NAME", tmp_path.name).replace("10", "1000"))
    with Many(2, "main:hub", "--backplane", redis_url, cwd=tmp_path) as serving:
        try:
            clients = [
                wslab.connect(serving.url, name=f"client {n}", reconnect=wslab.Reconnect(0.1, 1.0))
                for n in range(8)
            ]
            heard: dict[str, list[int]] = {client.name: [] for client in clients}
            for client in clients:
                client.on("said", lambda said, name=client.name: heard[name].append(said[0]))
                client.call("everybody", timeout=WAIT_S)  # it is among them from now on
            for n in range(200):
                clients[n % 8].call("say", n, timeout=WAIT_S)
                if n == 100:
                    os.kill(serving.pids[1], signal.SIGKILL)
            until(lambda: all(len(each) >= 200 for each in heard.values()), WAIT_S)
            # A call whose worker dies is put again to the next one, which says nothing twice.
            assert all(sorted(each) == list(range(200)) for each in heard.values()), heard
            assert len({tuple(each) for each in heard.values()}) == 1
            assert [client.gap for client in clients] == [None] * 8
        finally:
            wslab.shutdown()
        assert serving.end(signal.SIGINT)[0] == 0  # also where the new one only starts

"""A Hub's Socket.IO beside python-socketio, and beside the reference server on Node, in one run.

``python -m tests.benchmarks.bench_socketio [--quick] [--loop stock uvloop]``
``[--only emit acks polling memory upgrade]``. The crowd speaks the protocol by bare sockets, as in
`bench_hub`, whose servers and turns these are: the Hub under `websockets.serve` where all come by
WebSocket, and as an ASGI application under uvicorn where they poll; python-socketio on aiohttp;
socket.io of npm. "x" is how many times as long, or as much, as python-socketio takes it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.node import MODULES

from .bench_hub import TIMEOUT_S, Crowd, Figure, Server, answered, emitted, in_turns, masked
from .crowd_servers import messages, raise_limit

NAMES = {
    "hub": "wslab.Hub, stock clients",
    "half": "wslab.Hub, half of them plain JSON",
    "plain": "wslab.Hub, all of them plain JSON",
    "uvicorn": "wslab.Hub in uvicorn",
    "socketio": "python-socketio on aiohttp",
    "reference": "socket.io on Node",
}
HAS_NODE = (MODULES / "socket.io").exists()
PATH = "/socket.io/?EIO=4&transport=polling"


class NodeServer(Server):
    """The reference server, which is told the same."""

    def __init__(self) -> None:
        self.kind, self.is_compressed = "reference", False
        self._said = tempfile.NamedTemporaryFile("w", suffix=".json")  # noqa: SIM115 - until close()
        json.dump(messages(1000), self._said)
        self._said.flush()
        script = Path(__file__).with_name("reference_crowd.js")
        self.process = subprocess.Popen(
            ["node", "--expose-gc", script, f"{MODULES}{os.sep}", self._said.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self._answer())

    def close(self) -> None:
        super().close()
        self._said.close()


def server_of(kind: str, loop: str) -> Server:
    return NodeServer() if kind == "reference" else Server(kind, compressed=False, loop=loop)


@contextlib.contextmanager
def made(kinds: list[str], make: Callable[[Server], Any], loop: str) -> Iterator[dict[str, Any]]:
    """Start a server of each kind, and what `make` makes of it."""
    with contextlib.ExitStack() as stack:
        found = {}
        for kind in kinds:
            if kind == "reference" and not HAS_NODE:
                continue
            server = server_of("hub" if kind in ("half", "plain") else kind, loop)
            found[kind] = each = make(server) if kind not in ("half", "plain") else None
            if kind == "half":
                found[kind] = each = Halves(server, found["hub"])
            elif kind == "plain":
                found[kind] = each = Crowd(server, len(found["hub"]))
            stack.callback(each.close)
            stack.callback(server.close)
        yield found


class Halves:
    """A crowd of which one half speaks Socket.IO and the other plain JSON."""

    def __init__(self, server: Server, other: Crowd) -> None:
        self.server = server
        self.parts = [Crowd(server, len(other) // 2, each) for each in (True, False)]
        for part in self.parts:
            part.drain()

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def wait(self, frames: int) -> None:
        for part in self.parts:
            part.wait(frames // 2)

    @property
    def frames(self) -> int:
        return 0

    @frames.setter
    def frames(self, count: int) -> None:
        for part in self.parts:
            part.frames = count

    @property
    def last_s(self) -> float:
        return max(part.last_s for part in self.parts)

    def close(self) -> None:
        for part in self.parts:
            part.close()


class Pollers:
    """Clients that poll: each holds a GET, and sends the next when that was answered."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.last_s = 0.0
        self.sids: dict[int, str] = {}
        self._sockets: dict[int, http.client.HTTPConnection] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
            opened = _asked(connection, "GET", PATH)
            sid = json.loads(opened[1:])["sid"]
            assert _asked(connection, "POST", f"{PATH}&sid={sid}", "40").lower() == "ok"
            assert _asked(connection, "GET", f"{PATH}&sid={sid}").startswith("40")
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            fd = connection.sock.fileno()
            self.sids[fd], self._sockets[fd] = sid, connection
            self._epoll.register(fd, select.EPOLLIN)
            self.poll(fd)
        while server.ask("members") < count:
            time.sleep(0.01)

    def __len__(self) -> int:
        return len(self._sockets)

    def poll(self, fd: int) -> None:
        request = f"GET {PATH}&sid={self.sids[fd]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self._sockets[fd].sock.sendall(request.encode())

    def wait(self) -> dict[int, bytes]:
        """Return the answer that each gets."""
        came = dict.fromkeys(self._sockets, b"")
        waiting = len(came)
        while waiting:
            ready = self._epoll.poll(TIMEOUT_S, 1024)
            if not ready:
                raise RuntimeError(f"{self.server.kind}: {waiting} polls were not answered")
            for fd, _ in ready:
                data = self._sockets[fd].sock.recv(65536)
                if not data:
                    raise RuntimeError(f"{self.server.kind}: hung up after {came[fd]!r:.200}")
                came[fd] += data
                waiting -= _is_whole(came[fd])
        self.last_s = time.perf_counter()
        return came

    def close(self) -> None:
        self._epoll.close()
        for connection in self._sockets.values():
            connection.close()


def _asked(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None
) -> str:
    headers = {"Content-Type": "text/plain;charset=UTF-8"} if body else {}
    connection.request(method, path, body, headers)
    with connection.getresponse() as response:
        return response.read().decode()


def _is_whole(data: bytes) -> bool:
    head, has_head, body = data.partition(b"\r\n\r\n")
    if not has_head:
        return False
    lower = head.lower()
    if b"chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])


# Figures.


def polled(crowd: Pollers, rounds: int = 20) -> Figure:
    """Return microseconds a client and message, where each waits in a GET for it."""
    wall_s = cpu_s = 0.0
    for _ in range(rounds):
        crowd.server.tell("emit 1")
        answers = crowd.wait()
        began_s, spent_s = crowd.server.ask("spent")
        wall_s, cpu_s = wall_s + crowd.last_s - began_s, cpu_s + spent_s
        if not all(b'42["chat",' in answer for answer in answers.values()):
            raise RuntimeError(f"{crowd.server.kind}: expected an event, got {answers!r:.300}")
        for fd in answers:
            crowd.poll(fd)
        time.sleep(0.05)
    return wall_s / rounds / len(crowd) * 1e6, cpu_s / rounds / len(crowd) * 1e6


def upgraded(kind: str, loop: str, count: int) -> Figure:
    """Return milliseconds until so many pollers, all at once, have their WebSockets."""
    server = server_of(kind, loop)
    try:
        crowd = Pollers(server, count)
        server.tell("emit 0")
        time.sleep(0.1)
        began_s = time.perf_counter()
        sockets = []
        for sid in crowd.sids.values():
            sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
            path = PATH.replace("polling", "websocket")
            sock.sendall(
                f"GET {path}&sid={sid} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            sockets.append(sock)
        for sock in sockets:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            assert b" 101 " in head, head
            sock.sendall(masked("2probe"))
        for sock in sockets:
            assert sock.recv(8) == b"\x81\x063probe"
        assert all(answer.endswith(b"6") for answer in crowd.wait().values())
        for sock in sockets:
            sock.sendall(masked("5"))
        _, cpu_s = server.ask("spent")
        server.tell("emit 1")  # it comes by the WebSocket, and the upgrade is over
        for sock in sockets:
            assert b'42["chat",' in sock.recv(65536)
        wall_s = time.perf_counter() - began_s
        for sock in sockets:
            sock.close()
        crowd.close()
    finally:
        server.close()
    return wall_s * 1e3, cpu_s * 1e3


def held(kind: str, loop: str, count: int) -> Figure:
    """Return KiB that an idle connection holds; a fresh server each time."""
    server, is_socketio = server_of("hub" if kind == "plain" else kind, loop), kind != "plain"
    try:
        Crowd(server, 20, is_socketio).close()  # so that all is loaded
        before = server.ask("memory")
        crowd = Crowd(server, count, is_socketio)
        after = server.ask("memory")
        crowd.close()
    finally:
        server.close()
    return (after - before) / count / 1024, 0.0


def show(title: str, unit: str, figures: dict[str, list[Figure]], *, has_cpu: bool = True) -> None:
    """Print a table, and how each compares with python-socketio."""
    cpu = f"{'server CPU':>14}{'x':>8}" if has_cpu else ""
    print(f"\n{title}\n  {'':<44}{unit:>14}{'x':>8}{cpu}", flush=True)
    for name, values in figures.items():
        row = ""
        for which in range(1 + has_cpu):
            ratio = statistics.median(
                mine[which] / theirs[which]
                for mine, theirs in zip(values, figures["socketio"], strict=True)
            )
            row += f"{statistics.median(v[which] for v in values):>14.2f}{ratio:>8.2f}"
        print(f"  {NAMES[name]:<44}{row}", flush=True)


def turns(
    kinds: list[str],
    make: Callable[[Server], Any],
    measure: Callable[[Any], Figure],
    loop: str,
    rounds: int,
) -> dict[str, list[Figure]]:
    with made(kinds, make, loop) as crowds:
        return in_turns(
            {kind: functools.partial(measure, crowd) for kind, crowd in crowds.items()}, rounds
        )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and clients")
    parser.add_argument("--loop", nargs="+", choices=("stock", "uvloop"), default=["stock"])
    choices = ("emit", "acks", "polling", "upgrade", "memory")
    parser.add_argument("--only", nargs="+", choices=choices)
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    if sys.platform != "linux":
        print("the crowd needs epoll: Linux only")
        return
    raise_limit()
    rounds = arguments.rounds or (3 if arguments.quick else 9)
    size = 200 if arguments.quick else 1000
    only = arguments.only or choices
    by_socket, by_poll = ["hub", "socketio", "reference"], ["uvicorn", "socketio", "reference"]
    for loop in arguments.loop:
        if "emit" in only:
            kinds = ["hub", "half", "plain", "socketio", "reference"]
            figures = turns(kinds, lambda server: Crowd(server, size, True), emitted, loop, rounds)
            show(f"one message to a room of {size:,}, {loop} loop", "us a client", figures)
        if "acks" in only:
            for count, ahead in ((1, 1), (100, 10)):
                figures = turns(
                    by_socket,
                    lambda server, n=count: Crowd(server, n, True),  # type: ignore[misc]
                    lambda crowd, n=ahead: answered(crowd, n),  # type: ignore[misc]
                    loop,
                    rounds,
                )
                title = f"an event and its ack, {count} clients with {ahead} on the way each"
                show(f"{title}, {loop} loop", "us an event", figures)
        if "polling" in only:
            figures = turns(by_poll, lambda server: Pollers(server, 200), polled, loop, rounds)
            show(f"one message to a room of 200 that poll, {loop} loop", "us a client", figures)
        kinds = [kind for kind in by_poll if kind != "reference" or HAS_NODE]
        if "upgrade" in only:
            peers = {kind: functools.partial(upgraded, kind, loop, 500) for kind in kinds}
            figures = in_turns(peers, min(rounds, 3))
            show(f"500 that poll go over to WebSockets at once, {loop} loop", "ms", figures)
    if "memory" in only:
        kinds = ["hub", "plain", "socketio"] + ["reference"] * HAS_NODE
        peers = {kind: functools.partial(held, kind, "stock", 1000) for kind in kinds}
        figures = in_turns(peers, min(rounds, 3))
        show("memory of an idle WebSocket connection", "KiB", figures, has_cpu=False)


if __name__ == "__main__":
    main()

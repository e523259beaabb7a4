"""What the Hub costs: a message to a crowd, an event with its answer, a connection's memory.

``python -m tests.benchmarks.bench_hub [--quick] [--clients 100 1000 5000] [--loop stock uvloop]``
``[--only emit acks memory]``. Each peer serves in a process of its own; the crowd is this process:
bare sockets under epoll that count frames and cost next to nothing (Linux). The peers take turns on
the same messages, so that a noisy machine is noisy to all of them; ratios are medians of each
round's own. Time runs from the first emit until the last client has the last byte; beside it stands
the server's CPU time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from wslab.wire.http.building import build_request

from .crowd_servers import raise_limit

EMITTERS: tuple[str, ...] = ("floor", "hub", "broadcast", "aiohttp", "socketio")
NAMES = {
    "floor": "floor: the same bytes to every transport",
    "hub": "wslab.Hub",
    "broadcast": "websockets.broadcast",
    "aiohttp": "aiohttp, a loop over send_str",
    "socketio": "python-socketio on aiohttp",
    "answering": "websockets and json alone",
}
SENDS = 20_000  # about so many in one measurement, whatever the number of clients
TIMEOUT_S = 120.0


class Server:
    """A serving process, from this side."""

    def __init__(self, kind: str, *, compressed: bool, loop: str = "stock") -> None:
        self.kind, self.is_compressed = kind, compressed
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.crowd_servers", kind]
            + ["--compressed"] * compressed
            + ["--uvloop"] * (loop == "uvloop"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.kind} server has ended")
        return line

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> Any:
        self.tell(command)
        return json.loads(self._answer())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


# The crowd.


def masked(text: str) -> bytes:
    """Return a text frame as a client sends it, masked with zeros."""
    return struct.pack("!BBL", 0x81, 0x80 | len(text), 0) + text.encode()


class Crowd:
    """Many clients of one server: bare sockets that count the frames that come.

    Args:
        server: whose clients they are.
        count: how many.
        is_socketio: whether they speak Socket.IO; None where the kind of server says it.
    """

    def __init__(self, server: Server, count: int, is_socketio: bool | None = None) -> None:
        self.server = server
        self.is_socketio = server.kind == "socketio" if is_socketio is None else is_socketio
        self.frames = 0
        self.last_s = 0.0
        self.answer: bytes = b""  # what is sent for each frame that comes
        self.latest = b""
        self._epoll = select.epoll()  # Linux
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        greetings = 2 if self.is_socketio else {"hub": 1}.get(server.kind, 0)
        while len(self._sockets) < count:
            self._open(min(64, count - len(self._sockets)))
            self.wait(greetings * len(self._sockets))
        while server.kind != "answering" and server.ask("members") < count:
            time.sleep(0.01)
        self.frames = 0

    def __len__(self) -> int:
        return len(self._sockets)

    def _open(self, count: int) -> None:
        port = self.server.port
        path = "/socket.io/?EIO=4&transport=websocket" if self.is_socketio else "/"
        request = build_request(path, f"127.0.0.1:{port}", "dGhlIHNhbXBsZSBub25jZQ==")
        if self.server.is_compressed:
            request = request.removesuffix(b"\r\n") + (
                b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
            )
        new = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S) for _ in range(count)]
        for sock in new:
            sock.sendall(request)
        for sock in new:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            head, _, rest = head.partition(b"\r\n\r\n")
            has_deflate = b"permessage-deflate" in head
            if b" 101 " not in head or has_deflate != self.server.is_compressed:
                raise RuntimeError(f"{self.server.kind}: expected an upgrade, got {head!r}")
            if self.is_socketio:
                sock.sendall(masked("40"))  # to its default namespace
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            fd = sock.fileno()
            self._sockets[fd], self._rest[fd] = sock, b""
            self.frames += self._count(fd, rest)
            self._epoll.register(fd, select.EPOLLIN)

    def _count(self, fd: int, data: bytes) -> int:
        """Return how many frames data completes."""
        if self._rest[fd]:
            data = self._rest[fd] + data
        count = at = 0
        end = len(data)
        while end - at >= 4 or (end - at >= 2 and data[at + 1] < 126):
            size, head = data[at + 1], 2
            if data[at] & 0x0F == 8 or size > 126:
                raise RuntimeError(f"{self.server.kind}: did not expect {data[at : at + 80]!r}")
            if size == 126:
                size, head = data[at + 2] << 8 | data[at + 3], 4
            if at + head + size > end:
                break
            self.latest = data[at + head : at + head + size]
            at += head + size
            count += 1
        self._rest[fd] = data[at:]
        return count

    def wait(self, frames: int) -> None:
        """Read until that many frames have come in all."""
        while self.frames < frames:
            if not self.answer:
                # It looks by the clock: were it asleep until something comes, each of the server's
                # writes would pay for waking it, which no client at the end of a cable makes it do.
                time.sleep(0.001)
            ready = self._epoll.poll(TIMEOUT_S, 1024)
            if not ready:
                raise RuntimeError(
                    f"{self.server.kind}: expected {frames:,} frames, got {self.frames:,}"
                )
            for fd, _ in ready:
                sock = self._sockets[fd]
                data = sock.recv(65536)
                if not data:
                    raise RuntimeError(f"{self.server.kind}: the server hung up")
                count = self._count(fd, data)
                self.frames += count
                if self.answer and count:
                    sock.send(self.answer * count)
        self.last_s = time.perf_counter()

    def say(self, data: bytes) -> None:
        """Let each client send these bytes."""
        for sock in self._sockets.values():
            sock.send(data)

    def drain(self) -> None:
        """Read until nothing comes any more."""
        while ready := self._epoll.poll(0.2, 1024):
            for fd, _ in ready:
                self._count(fd, self._sockets[fd].recv(65536))

    def close(self) -> None:
        self._epoll.close()
        for sock in self._sockets.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no wait
            sock.close()


@contextlib.contextmanager
def crowds(kinds: list[str], count: int, **kwargs: Any) -> Iterator[dict[str, Crowd]]:
    """Start a server of each kind, and its crowd."""
    with contextlib.ExitStack() as stack:
        made = {}
        for kind in kinds:
            server = Server(kind, **kwargs)
            made[kind] = crowd = Crowd(server, count)
            stack.callback(crowd.close)
            stack.callback(server.close)  # before its crowd, so that it does not complain
        yield made


# Figures.

Figure = tuple[float, float]  # wall and CPU time


def emitted(crowd: Crowd) -> Figure:
    """Return microseconds a client and message: until the last byte is there, and of CPU."""
    count = max(2, SENDS // len(crowd))
    crowd.frames = 0
    crowd.server.tell(f"emit {count}")
    crowd.wait(count * len(crowd))
    began_s, cpu_s = crowd.server.ask("spent")
    return tuple(s / count / len(crowd) * 1e6 for s in (crowd.last_s - began_s, cpu_s))  # type: ignore[return-value]


def answered(crowd: Crowd, ahead: int) -> Figure:
    """Return microseconds an event takes until its answer is there, with that many on the way."""
    ask = '{"event":"add","data":{"a":2,"b":3},"id":7}'
    if crowd.is_socketio:
        ask = '427["add",{"a":2,"b":3}]'
    crowd.frames, crowd.answer = 0, masked(ask)
    count = SENDS // 2 if len(crowd) > 1 else SENDS // 10
    crowd.server.tell("emit 0")
    crowd.say(masked(ask) * ahead)
    crowd.wait(count)
    crowd.answer = b""
    began_s, cpu_s = crowd.server.ask("spent")
    wall_s = crowd.last_s - began_s
    if crowd.latest.replace(b" ", b"") not in (b'{"answer":7,"data":5}', b"437[5]"):
        raise RuntimeError(f"{crowd.server.kind}: expected 2 + 3, got {crowd.latest!r}")
    crowd.drain()
    return wall_s / count * 1e6, cpu_s / count * 1e6


def held(kind: str, compressed: bool, count: int) -> Figure:
    """Return KiB that an idle connection holds; a fresh server each time."""
    server = Server(kind, compressed=compressed)
    try:
        Crowd(server, 20).close()  # so that all is imported
        before = server.ask("memory")
        crowd = Crowd(server, count)
        after = server.ask("memory")
        crowd.close()
    finally:
        server.close()
    return (after - before) / count / 1024, 0.0


def in_turns(peers: dict[str, Callable[[], Figure]], rounds: int) -> dict[str, list[Figure]]:
    """Let the peers take turns, after a warm-up."""
    figures: dict[str, list[Figure]] = {name: [] for name in peers}
    for nth in range(rounds + 1):
        for name, measure in peers.items():
            figure = measure()
            if nth:
                figures[name].append(figure)
    return figures


def show(title: str, unit: str, figures: dict[str, list[Figure]], *, has_cpu: bool = True) -> None:
    """Print a table, and how each peer compares with the Hub."""
    cpu = f"{'server CPU':>14}{'x Hub':>8}" if has_cpu else ""
    print(f"\n{title}\n  {'':<44}{unit:>14}{'x Hub':>8}{cpu}", flush=True)
    hub = figures["hub"]
    for name, values in figures.items():
        row = ""
        for which in range(1 + has_cpu):
            ratio = statistics.median(
                mine[which] / ours[which] for mine, ours in zip(values, hub, strict=True)
            )
            row += f"{statistics.median(v[which] for v in values):>14.2f}{ratio:>8.2f}"
        print(f"  {NAMES[name]:<44}{row}", flush=True)


def emit_tables(sizes: list[int], loop: str, rounds: int) -> None:
    for count in sizes:
        turns = [EMITTERS]
        if count * len(EMITTERS) > raise_limit() - 200:  # too many sockets for one process
            turns = [("floor", "hub", "broadcast"), ("hub", "aiohttp", "socketio")]
        for compressed, kinds in itertools.product((False, True), turns):
            with crowds(list(kinds), count, compressed=compressed, loop=loop) as made:
                peers = {kind: (lambda c=crowd: emitted(c)) for kind, crowd in made.items()}
                show(
                    f"one message to {count:,} clients, {'' if compressed else 'un'}compressed, "
                    f"{loop} loop",
                    "us a client",
                    in_turns(peers, rounds),
                )


def ack_tables(loop: str, rounds: int) -> None:
    for count, ahead in ((1, 1), (100, 10)):
        kinds = ["answering", "hub", "socketio"]
        with crowds(kinds, count, compressed=False, loop=loop) as made:
            peers = {
                kind: (lambda c=crowd, n=ahead: answered(c, n)) for kind, crowd in made.items()
            }
            show(
                f"an event and its answer, {count} clients with {ahead} on the way each, "
                f"{loop} loop",
                "us an event",
                in_turns(peers, rounds),
            )


def memory_tables(rounds: int) -> None:
    for compressed in (False, True):
        peers = {
            kind: (lambda k=kind, c=compressed: held(k, c, 1000))
            for kind in ("answering", "hub", "socketio")
        }
        word = "with" if compressed else "without"
        show(
            f"memory of an idle connection, {word} compression",
            "KiB",
            in_turns(peers, rounds),
            has_cpu=False,
        )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and clients")
    parser.add_argument("--clients", type=int, nargs="+")
    parser.add_argument("--loop", nargs="+", choices=("stock", "uvloop"), default=["stock"])
    parser.add_argument("--only", nargs="+", choices=("emit", "acks", "memory"))
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    raise_limit()
    sizes = arguments.clients or ([100, 500] if arguments.quick else [100, 1000, 5000])
    rounds = arguments.rounds or (3 if arguments.quick else 9)
    only = arguments.only or ("emit", "acks", "memory")
    for loop in arguments.loop:
        if "emit" in only:
            emit_tables(sizes, loop, rounds)
        if "acks" in only:
            ack_tables(loop, rounds)
    if "memory" in only:
        memory_tables(min(rounds, 3))


if __name__ == "__main__":
    main()

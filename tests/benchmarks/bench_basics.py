"""What a server, a client and the import cost, each beside its peer in the same run.

``python -m tests.benchmarks.bench_basics [--quick]``. Every figure is a median over rounds in
which the peers take turns, so that a noisy machine is noisy to all of them; read the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from wslab.wire.http.building import build_request

from .servers import echo, running

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None


def in_turns(peers: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Call the peers in turns; return each one's median."""
    figures: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, measure in peers.items():
            figures[name].append(measure())
    return {name: statistics.median(values) for name, values in figures.items()}


def show(title: str, figures: dict[str, float], unit: str, *, bigger_is_better: bool) -> None:
    """Print a table; the first row is the peer that the others are compared with."""
    print(f"\n{title}")
    (_, base), *_ = figures.items()
    for name, value in figures.items():
        ratio = value / base
        better = f"{ratio if bigger_is_better else 1 / ratio:.2f} times as fast"
        print(f"  {name:<44} {value:>12,.1f} {unit:<12} ratio {ratio:.2f}  ({better})")


def child(code: str) -> float:
    """Run code in a fresh interpreter; it prints one number."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


TIMED_IMPORT = "import time; t = time.perf_counter(); import {}; print((time.perf_counter()-t)*1e3)"

START_PLAIN = """
import asyncio, time
from websockets.asyncio.server import serve
from websockets.asyncio.client import connect
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
async def main():
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with connect(url, compression=None, proxy=None) as client:
            await client.send("x")
            await client.recv()
            print((time.perf_counter() - t) * 1e3)
t = time.perf_counter()
asyncio.run(main())
"""

START_WSLAB = """
import time, wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
t = time.perf_counter()
client = wslab.connect(wslab.serve(echo))
client.send("x")
client.recv()
print((time.perf_counter() - t) * 1e3)
"""


FRAME = b"\x81\x85\x00\x00\x00\x00hello"  # text, masked with zeros
ANSWER_BYTES = 7


def upgraded(url: str) -> socket.socket:
    """Return a bare, blocking socket behind a WebSocket handshake.

    A client that costs next to nothing, so that what is measured is the server.
    """
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    sock = socket.create_connection((host, int(port)), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(build_request("/", f"{host}:{port}", "dGhlIHNhbXBsZSBub25jZQ=="))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return sock


def round_trips(url: str, count: int) -> float:
    """Return the median round trip of one message, in microseconds."""
    times = []
    with upgraded(url) as sock:
        for _ in range(count):
            began = time.perf_counter()
            sock.sendall(FRAME)
            left = ANSWER_BYTES
            while left:
                left -= len(sock.recv(left))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def pipelined(url: str, count: int) -> float:
    """Return messages a second where one client keeps 100 messages on the way."""
    with upgraded(url) as sock:
        began = time.perf_counter()
        for _ in range(count // 100):
            sock.sendall(FRAME * 100)
            left = ANSWER_BYTES * 100
            while left:
                data = sock.recv(left)
                if not data:  # it would be waited for without end
                    raise EOFError("the other side has ended the connection")
                left -= len(data)
        return count / (time.perf_counter() - began)


def sync_clients(url: str, count: int, rounds: int) -> dict[str, float]:
    """Return the sync round trip of websockets.sync and of wslab, in microseconds."""
    from websockets.sync.client import connect

    import wslab

    with connect(url, compression=None, proxy=None) as peer, wslab.connect(url) as ours:

        def timed(client: object) -> float:
            times = []
            for _ in range(count):
                began = time.perf_counter()
                client.send("hello")  # type: ignore[attr-defined]
                client.recv()  # type: ignore[attr-defined]
                times.append(time.perf_counter() - began)
            return statistics.median(times) * 1e6

        return in_turns(
            {"websockets.sync": lambda: timed(peer), "wslab.connect": lambda: timed(ours)}, rounds
        )


def already_here(rounds: int) -> dict[str, float]:
    """Return what recv() of a message that is here already costs, in microseconds."""
    from websockets.sync.client import connect

    import wslab

    async def burst(websocket: object) -> None:
        async for _ in websocket:  # type: ignore[attr-defined]
            for _ in range(200):
                await websocket.send("hello")  # type: ignore[attr-defined]

    with (
        wslab.serve(burst) as server,
        connect(server.url, compression=None, proxy=None, max_queue=None) as peer,
        wslab.connect(server) as ours,
    ):

        def timed(client: object, are_here: Callable[[], bool]) -> float:
            client.send("go")  # type: ignore[attr-defined]
            while not are_here():
                time.sleep(0.001)
            began = time.perf_counter()
            for _ in range(200):
                client.recv()  # type: ignore[attr-defined]
            return (time.perf_counter() - began) / 200 * 1e6

        return in_turns(
            {
                "websockets.sync": lambda: timed(
                    peer, lambda: peer.recv_messages.frames.qsize() >= 200
                ),
                "wslab.connect": lambda: timed(ours, lambda: ours.waiting >= 200),
            },
            rounds,
        )


WORST_CLIENT = """
import asyncio, sys, time
from websockets.asyncio.client import connect
async def main():
    async with connect(sys.argv[1], compression=None, proxy=None) as client:
        worst = 0.0
        print("ready", flush=True)
        end = time.perf_counter() + 2.2
        while time.perf_counter() < end:
            began = time.perf_counter()
            await client.send("x")
            await client.recv()
            worst = max(worst, time.perf_counter() - began)
            await asyncio.sleep(0.002)
        print(worst * 1e3)
asyncio.run(main())
"""


def worst_echo(busy: Callable[[], None]) -> float:
    """Return the worst echo, in milliseconds, while the main thread is busy for 2 s."""
    import wslab

    with wslab.serve(echo) as server:
        client = subprocess.Popen(
            [sys.executable, "-c", WORST_CLIENT, server.url], stdout=subprocess.PIPE, text=True
        )
        assert client.stdout is not None
        client.stdout.readline()
        busy()
        worst = float(client.stdout.readline())
        client.wait(10)
        client.stdout.close()
        return worst


def spin() -> None:
    """Compute for two seconds without letting go of the interpreter by itself."""
    end = time.perf_counter() + 2
    while time.perf_counter() < end:
        sum(range(1000))


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a smoke test")
    quick = parser.parse_args().quick
    rounds, count = (3, 500) if quick else (11, 3000)
    print(f"Python {sys.version.split()[0]}, uvloop {'there' if HAS_UVLOOP else 'missing'}")

    show(
        "import, in a fresh interpreter",
        in_turns(
            {
                "websockets.asyncio.server and .client": lambda: child(
                    TIMED_IMPORT.format("websockets.asyncio.server, websockets.asyncio.client")
                ),
                "wslab": lambda: child(TIMED_IMPORT.format("wslab")),
            },
            rounds,
        ),
        "ms",
        bigger_is_better=False,
    )
    show(
        "from starting a server to its first echo",
        in_turns(
            {
                "websockets, asyncio.run": lambda: child(START_PLAIN),
                "wslab": lambda: child(START_WSLAB),
            },
            rounds,
        ),
        "ms",
        bigger_is_better=False,
    )
    kinds = {"websockets.serve, stock loop": "plain", "wslab.serve, stock loop": "wslab"}
    if HAS_UVLOOP:
        kinds["wslab.serve, uvloop (extra fast)"] = "wslab-fast"
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(running(kind)) for name, kind in kinds.items()}
        for url in urls.values():
            round_trips(url, 200)  # warm
        show(
            "echo round trip, one client in another process",
            in_turns({n: (lambda u=u: round_trips(u, count)) for n, u in urls.items()}, rounds),
            "us",
            bigger_is_better=False,
        )
        show(
            "echo, 100 messages on the way",
            in_turns({n: (lambda u=u: pipelined(u, count * 10)) for n, u in urls.items()}, rounds),
            "messages/s",
            bigger_is_better=True,
        )
        show(
            "sync client's round trip, server in another process",
            sync_clients(urls["websockets.serve, stock loop"], count // 3, rounds),
            "us",
            bigger_is_better=False,
        )
    show(
        "recv() of a message that is here already",
        already_here(rounds),
        "us",
        bigger_is_better=False,
    )
    print("\nworst echo while the main thread is busy for 2 s")
    for name, busy in (("time.sleep(2)", lambda: time.sleep(2)), ("a loop in pure Python", spin)):
        print(f"  {name:<44} {worst_echo(busy):>12,.1f} ms")


if __name__ == "__main__":
    main()

"""The ways from a browser to a server, side by side: directly, by the tunnel, by
jupyter-server-proxy; what arrives, and how fast.

``python -m tests.benchmarks.bench_tunnel [--quick]``. One Jupyter server under a Hub's base URL,
one process that serves, a Python client and a real Chromium; the ways take turns, so that a noisy
machine is noisy to all of them. Read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.browser import Chromium, find_chromium
from tests.jupyters import BASE_URL, TOKEN, Jupyter
from tests.kernels import environment

from .bench_basics import in_turns, show

MIB = 2**20
BIG = 20 * MIB
WAYS = ("direct", "tunnel", "jupyter-server-proxy")


# The serving process.


async def handler(websocket: Any) -> None:
    path = websocket.request.path.partition("?")[0]
    if path == "/close":
        await websocket.close(4001, "by the server")
    elif path == "/wait":
        await websocket.wait_closed()
        codes.put_nowait(f"{websocket.close_code} {websocket.close_reason}".strip())
    elif path == "/codes":
        await websocket.send(await codes.get())
    elif path == "/seen":
        headers = websocket.request.headers
        names = ("Origin", "Cookie", "Authorization")
        seen = {name: headers.get(name, "") for name in names}
        await websocket.send(json.dumps(seen | {"target": websocket.request.path}))
    elif path == "/big":
        await websocket.send(b"\0" * BIG)
        await websocket.wait_closed()
    elif path == "/size":
        async for message in websocket:
            await websocket.send(str(len(message)))
    elif path == "/flood":
        for _ in range(int(await websocket.recv())):
            await websocket.send(b"\0" * MIB)
    else:
        async for message in websocket:
            await websocket.send(message)


codes: asyncio.Queue[str] = asyncio.Queue()


def serve() -> None:
    """Serve until the input ends; print how each server is reached."""
    import wslab

    def refuse(websocket: Any, request: Any) -> Any:
        if request.path.startswith("/refuse"):
            return websocket.respond(403, "Not you.\n")
        return None

    rows = {}
    for name, compression in (("plain", None), ("deflate", "deflate")):
        server = wslab.serve(
            handler,
            name=name,
            record=False,
            keep=True,
            compression=compression,
            subprotocols=["second"],
            select_subprotocol=lambda _, offered: "second" if "second" in offered else None,
            process_request=refuse,
            max_size=None,
        )
        rows[name] = (server.port, server.tunnel_id)
    print(json.dumps(rows), flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def serving(jupyter: Jupyter) -> Iterator[dict[str, dict[str, str]]]:
    """Start it; give the URLs of its servers by way, without scheme and without the last slash."""
    env = environment(
        JUPYTER_RUNTIME_DIR=str(jupyter.runtime), JPY_PARENT_PID=str(jupyter.process.pid)
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bench_tunnel", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        rows = json.loads(process.stdout.readline())
        base = f"localhost:{jupyter.port}{BASE_URL}"
        yield {
            name: {
                "direct": f"127.0.0.1:{port}",
                "tunnel": f"{base}wslab/{tunnel_id}",
                "jupyter-server-proxy": f"{base}proxy/{port}",
            }
            for name, (port, tunnel_id) in rows.items()
        }
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


# A Python client.


def opened(way: str, url: str, path: str = "/", **kwargs: Any) -> Any:
    headers = {} if way == "direct" else {"Authorization": f"token {TOKEN}"}
    kwargs = {"compression": None, "max_size": None, "proxy": None, **kwargs}
    return connect(f"ws://{url}{path}", additional_headers=headers, **kwargs)


def outcome(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except InvalidStatus as exc:
        return f"{exc.response.status_code} {bytes(exc.response.body or b'').decode().strip()!r}"
    except ConnectionClosed as exc:
        rcvd = exc.rcvd
        return f"{rcvd.code} {rcvd.reason}".strip() if rcvd else "1006"
    except Exception as exc:
        return type(exc).__name__


def by_python(way: str, urls: dict[str, dict[str, str]]) -> dict[str, str]:
    plain, deflate = urls["plain"][way], urls["deflate"][way]

    def subprotocol() -> str:
        with opened(way, plain, subprotocols=["first", "second"]) as client:
            return str(client.subprotocol)

    def extension() -> str:
        with opened(way, deflate, compression="deflate") as client:
            return client.response.headers.get("Sec-WebSocket-Extensions", "-").split(";")[0]

    def closed_by_server() -> str:
        with opened(way, plain, "/close") as client:
            return str(client.recv(timeout=10))

    def closed_by_client() -> str:
        with opened(way, plain, "/wait") as client:
            client.close(4001, "by the client")
        with opened("direct", urls["plain"]["direct"], "/codes") as client:
            return str(client.recv(timeout=10))

    def refused() -> str:
        with opened(way, plain, "/refuse") as client:
            client.recv(timeout=10)
        return "open"

    def down() -> str:
        with opened(way, plain, "/big") as client:
            return f"{len(client.recv(timeout=30)) // MIB} MiB"

    def up() -> str:
        with opened(way, plain, "/size") as client:
            client.send(b"\0" * BIG)
            return f"{int(client.recv(timeout=30)) // MIB} MiB"

    def seen() -> dict[str, str]:
        extra = [("Origin", f"http://{urls['plain']['tunnel'].partition('/')[0]}")]
        extra += [("Cookie", "username=the-users")]
        headers = [] if way == "direct" else [("Authorization", f"token {TOKEN}")]
        with connect(
            f"ws://{plain}/seen", additional_headers=headers + extra, proxy=None
        ) as client:
            return dict(json.loads(client.recv(timeout=10)))

    saw = seen()
    return {
        "subprotocol, second chosen": outcome(subprotocol),
        "permessage-deflate": outcome(extension),
        "server closes with 4001": outcome(closed_by_server),
        "client closes with 4001": outcome(closed_by_client),
        "refusal, 403": outcome(refused),
        "20 MiB down": outcome(down),
        "20 MiB up": outcome(up),
        "Origin arrives": "yes" if saw["Origin"] else "no",
        "cookies arrive": "yes" if saw["Cookie"] else "no",
        "credentials arrive": "yes" if saw["Authorization"] else "no",
    }


# A real browser.

IN_PAGE = """async ([url, codes]) => {
  const open = (path, protocols = []) => new Promise(done => {
    const socket = new WebSocket("ws://" + url + path, protocols);
    socket.binaryType = "arraybuffer";
    const seen = { socket, events: [] };
    socket.onopen = () => { seen.events.push("open"); done(seen); };
    socket.onmessage = event => { seen.events.push(event.data); seen.next?.(event.data); };
    socket.onclose = event => {
      seen.closed = (event.code + " " + event.reason).trim();
      seen.events.push(seen.closed);
      seen.end?.();
      seen.next?.(seen.closed);
      done(seen);
    };
  });
  const ended = async seen => {
    if (!seen.closed) await new Promise(go => { seen.end = go; });
    return seen.closed;
  };
  const message = async seen => {
    const had = seen.events.slice(1).find(item => true);
    return had ?? await new Promise(go => { seen.next = go; });
  };
  const out = {};
  let seen = await open("/", ["first", "second"]);
  out["subprotocol, second chosen"] = seen.socket.protocol || "-";
  out["permessage-deflate"] = seen.socket.extensions.split(";")[0] || "-";
  seen.socket.close();
  seen = await open("/close");
  out["server closes with 4001"] = await ended(seen);
  seen = await open("/wait");
  seen.socket.close(4001, "by the client");
  await ended(seen);
  out["client closes with 4001"] = await new Promise(go => {
    const socket = new WebSocket("ws://" + codes + "/codes");
    socket.onmessage = event => go(event.data);
  });
  seen = await open("/refuse");
  await ended(seen);
  out["refusal, 403"] = seen.events.join(", then ");
  seen = await open("/big");
  let data = await message(seen);
  out["20 MiB down"] = data.byteLength ? data.byteLength / 2 ** 20 + " MiB" : String(data);
  seen.socket.close();
  seen = await open("/size");
  seen.socket.send(new Uint8Array(20 * 2 ** 20));
  data = await message(seen);
  out["20 MiB up"] = Number(data) > 1e6 ? Number(data) / 2 ** 20 + " MiB" : String(data);
  seen.socket.close();
  seen = await open("/seen");
  data = JSON.parse(await message(seen));
  out["Origin arrives"] = data.Origin ? "yes" : "no";
  out["cookies arrive"] = data.Cookie ? "yes" : "no";
  out["credentials arrive"] = data.Authorization ? "yes" : "no";
  return out;
}"""
PING_IN_PAGE = """async ([url, count]) => {
  const socket = new WebSocket("ws://" + url + "/");
  await new Promise(go => { socket.onopen = go; });
  const times = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await new Promise(go => { socket.onmessage = go; socket.send("hello"); });
    times.push(performance.now() - began);
  }
  socket.close();
  times.sort((a, b) => a - b);
  return times[times.length >> 1] * 1000;
}"""
UP_IN_PAGE = """async ([url, count]) => {
  const socket = new WebSocket("ws://" + url + "/size");
  await new Promise(go => { socket.onopen = go; });
  const block = new Uint8Array(2 ** 20);
  const began = performance.now();
  let left = count;
  await new Promise(go => {
    socket.onmessage = () => { if (--left === 0) go(); };
    for (let i = 0; i < count; i++) socket.send(block);
  });
  const took = (performance.now() - began) / 1000;
  socket.close();
  return count / took;
}"""


def table(title: str, columns: dict[str, dict[str, str]]) -> None:
    """Print what came, a column for each way."""
    print(f"\n{title}\n  {'':<28}" + "".join(f"{way:<26}" for way in columns))
    for row in next(iter(columns.values())):
        print(f"  {row:<28}" + "".join(f"{column[row]:<26}" for column in columns.values()))


# Figures.


def round_trip(way: str, url: str, count: int) -> float:
    """Return the median round trip of one small message, in microseconds."""
    times = []
    with opened(way, url) as client:
        for _ in range(count):
            began = time.perf_counter()
            client.send("hello")
            client.recv()
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def ping(way: str, url: str, count: int) -> float:
    """Return the median round trip of a ping, in microseconds."""
    times = []
    with opened(way, url) as client:
        for _ in range(count):
            began = time.perf_counter()
            client.ping().wait(10)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def flood_down(way: str, url: str, size_mib: int) -> float:
    """Return MiB a second of messages of 1 MiB from the server."""
    with opened(way, url, "/flood") as client:
        # The clock starts before the first byte is asked for: what a client has read ahead of a
        # clock would count as if it had come in no time.
        began = time.perf_counter()
        client.send(str(size_mib))
        for _ in range(size_mib):
            client.recv()
        return size_mib / (time.perf_counter() - began)


def flood_up(way: str, url: str, size_mib: int) -> float:
    """Return MiB a second of messages of 1 MiB to the server."""
    block = b"\0" * MIB
    with opened(way, url, "/size") as client:
        began = time.perf_counter()
        for _ in range(size_mib):
            client.send(block)
        for _ in range(size_mib):
            client.recv()
        return size_mib / (time.perf_counter() - began)


def work(jupyter: Jupyter, measure: Callable[..., float], way: str, url: str, units: int) -> float:
    """Return how long Jupyter's server computes for each of the units measured, in microseconds."""
    began_s = jupyter.cpu_s
    measure(way, url, units)
    return (jupyter.cpu_s - began_s) / units * 1e6


def leaves_nothing(jupyter: Jupyter, way: str, url: str, count: int) -> str:
    """Open and end that many connections, 50 at a time, and count what Jupyter's server keeps."""
    with opened(way, url):
        pass
    time.sleep(0.5)
    sockets, memory = jupyter.sockets, jupyter.memory_bytes
    began = time.perf_counter()
    for _ in range(count // 50):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(opened(way, url)) for _ in range(50)]
            for client in clients[::2]:  # the others say goodbye
                client.socket.shutdown(socket.SHUT_RDWR)
    took_s = time.perf_counter() - began
    deadline = time.monotonic() + 20
    while jupyter.sockets > sockets and time.monotonic() < deadline:
        time.sleep(0.05)
    return (
        f"{jupyter.sockets - sockets} sockets and {(jupyter.memory_bytes - memory) / MIB:.1f} MiB "
        f"more, {took_s / count * 1e3:.1f} ms each"
    )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a smoke test")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    rounds, count, size_mib = (3, 200, 32) if arguments.quick else (9, 1000, 128)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jupyter = Jupyter(
            folder,
            "--ServerApp.jpserver_extensions=wslab.tunnel=True",
            "--ServerApp.jpserver_extensions=jupyter_server_proxy=True",
        )
        stack.callback(jupyter.close)
        urls = stack.enter_context(serving(jupyter))
        plain = urls["plain"]
        table("a Python client", {way: by_python(way, urls) for way in WAYS})
        evaluate = browser(stack, jupyter)
        if evaluate is not None:
            codes_at = plain["direct"]
            found = {way: evaluate(IN_PAGE, [urls["deflate"][way], codes_at]) for way in WAYS}
            table("Chromium", found)

        def turns(
            title: str,
            unit: str,
            measure: Callable[..., float],
            *more: Any,
            ways: tuple[str, ...] = WAYS,
        ) -> None:
            # jupyter-server-proxy first: the others are compared with it.
            peers = {way: (lambda w=way: measure(w, plain[w], *more)) for way in ways[::-1]}
            show(title, in_turns(peers, rounds), unit, bigger_is_better=unit != "us")

        turns("Python: round trip of a small message", "us", round_trip, count)
        # jupyter-server-proxy answers a client's pings itself: its figure is that of half the way.
        turns("Python: round trip of a ping (jupyter-server-proxy: to itself)", "us", ping, count)
        turns("Python: messages of 1 MiB from the server", "MiB/s", flood_down, size_mib)
        turns("Python: messages of 1 MiB to the server", "MiB/s", flood_up, size_mib)
        if evaluate is not None:
            ask = evaluate
            turns(
                "Chromium: round trip of a small message",
                "us",
                lambda way, url: ask(PING_IN_PAGE, [url, count]),
            )
            turns(
                "Chromium: messages of 1 MiB to the server",
                "MiB/s",
                lambda way, url: ask(UP_IN_PAGE, [url, size_mib]),
            )
        # Who else computes on the machine bounds what comes through; this is the ways' own part.
        for title, measure, units in (
            ("a round trip of a small message", round_trip, 4 * count),
            ("1 MiB from the server", flood_down, 2 * size_mib),
            ("1 MiB to the server", flood_up, 2 * size_mib),
        ):
            cost = functools.partial(work, jupyter, measure)
            turns(f"CPU of Jupyter's server: {title}", "us", cost, units, ways=WAYS[1:])
        print(f"\nwhat {count} connections leave behind in Jupyter's server")
        for way in WAYS[1:]:
            print(f"  {way:<28}{leaves_nothing(jupyter, way, plain[way], count)}")


def browser(stack: contextlib.ExitStack, jupyter: Jupyter) -> Callable[[str, Any], Any] | None:
    """Return what runs JavaScript in a page of that Jupyter server, logged in; None without one."""
    executable = find_chromium()
    if executable is None:
        print("\nno Chromium here: a Python client alone")
        return None
    chromium = Chromium(executable)
    stack.callback(chromium.close)
    page = chromium.browser.new_page()
    page.goto(f"http://localhost:{jupyter.port}{BASE_URL}wslab/?token={TOKEN}")
    return lambda code, argument: page.evaluate(code, argument)


if __name__ == "__main__":
    main()

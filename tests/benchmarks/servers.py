"""Echo servers for the benchmarks, each in a process of its own.

``python -m tests.benchmarks.servers KIND`` prints the URL and serves until its input ends.
KIND: ``plain`` (websockets on the stock loop), ``wslab`` (stock loop), ``wslab-fast`` (uvloop);
``-unrecorded`` behind the latter two turns the tape off, ``-unconditioned`` takes the conditions
away, and with ``-cleared`` some were set on each connection and cleared.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosedError


async def echo(websocket: Any) -> None:
    with contextlib.suppress(ConnectionClosedError):  # a client that hangs up is none of this
        async for message in websocket:
            await websocket.send(message)


async def cleared_echo(websocket: Any) -> None:
    websocket.network.delay_s = 0.001
    websocket.network.clear()
    await echo(websocket)


async def plain() -> None:
    from websockets.asyncio.server import serve

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main(kind: str) -> None:
    if kind == "plain":
        asyncio.run(plain())
        return
    if not kind.startswith("wslab-fast"):
        sys.modules["uvloop"] = None  # type: ignore[assignment]
    import wslab

    keywords = {"record": False} if kind.endswith("-unrecorded") else {}
    with contextlib.ExitStack() as stack:
        if kind.endswith("-unconditioned"):
            from .bench_conditions import no_conditions

            stack.enter_context(no_conditions())
        handler = cleared_echo if kind.endswith("-cleared") else echo
        server = stack.enter_context(wslab.serve(handler, **keywords))
        print(server.url, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def running(kind: str) -> Iterator[str]:
    """Start a server; give its URL; stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.servers", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the {kind} server did not start")
        yield url
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    main(sys.argv[1])

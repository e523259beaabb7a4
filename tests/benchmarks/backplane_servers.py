"""The nodes of `bench_backplane`, each in a process of its own.

``python -m tests.benchmarks.backplane_servers KIND REDIS_URL`` prints its port, and then does what
its input says, line by line: "emit 20 [ROOM]" says twenty messages to a room, each without waiting
for the one before where its library has that; "wait 20" waits for each; "call 20 5 ID" asks a
client twenty things, five at a time, and answers when all is answered; "who" names its clients.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .crowd_servers import messages, raise_limit, serve_app, serve_websockets

__all__ = ["Node"]

ASKED = {"a": 2, "b": 3}


class Node(NamedTuple):
    """What a kind of node can do.

    Args:
        port: where clients connect.
        say: says something to a room; whether it waits for Redis.
        call: asks a client, here or elsewhere.
        clients: the ids of those that are here.
    """

    port: int
    say: Callable[[Any, str, bool], Awaitable[None]]
    call: Callable[[str], Awaitable[Any]]
    clients: Callable[[], list[str]]


async def serve_hub(url: str) -> Node:
    import wslab

    limits = wslab.Limits(backlog=100_000, backlog_bytes=2**28)
    hub: Any = wslab.Hub(
        "bench", backplane=url, limits=limits,
        socketio=wslab.SocketIO(ping_interval_s=3600, ping_timeout_s=3600),
    )  # fmt: skip

    @hub.on("connect")
    async def connect(client: Any) -> None:
        client.join("everybody")

    async def say(data: Any, room: str, waits: bool) -> None:
        delivery = hub.emit("chat", data, to=room)
        if waits:
            await delivery

    async def call(client_id: str) -> Any:
        return await hub.call("add", ASKED, to=client_id)

    port = await serve_websockets(hub, None)
    return Node(port, say, call, lambda: list(hub.clients))


async def serve_socketio(url: str) -> Node:
    import socketio
    from aiohttp import web

    server = socketio.AsyncServer(
        async_mode="aiohttp", ping_interval=3600, ping_timeout=3600,
        client_manager=socketio.AsyncRedisManager(url),
    )  # fmt: skip
    members: dict[str, None] = {}

    async def connect(sid: str, environ: Any) -> None:
        await server.enter_room(sid, "everybody")
        members[sid] = None

    async def say(data: Any, room: str, waits: bool) -> None:
        await server.emit("chat", data, room=room)

    async def call(client_id: str) -> Any:
        return await server.call("add", ASKED, to=client_id)

    server.on("connect", connect)
    app = web.Application()
    server.attach(app)
    return Node(await serve_app(app), say, call, lambda: list(members))


async def called(node: Node, count: int, ahead: int, client_id: str) -> float:
    """Return the seconds that so many calls take, so many at a time."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            if (found := await node.call(client_id)) != 5:
                raise RuntimeError(f"expected 2 + 3, got {found!r}")

    began_s = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(ahead)))
    return time.perf_counter() - began_s


async def serve(kind: str, url: str) -> None:
    """Serve; do what the input says, line by line, and answer with JSON."""
    node: Node = await globals()[f"serve_{kind}"](url)
    print(node.port, flush=True)
    began_s = cpu_s = 0.0
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *words = line.split()
        if command == "members":
            print(len(node.clients()), flush=True)
        elif command == "who":
            print(json.dumps(node.clients()), flush=True)
        elif command == "spent":
            print(json.dumps([began_s, time.process_time() - cpu_s]), flush=True)
        elif command == "call":
            cpu_s = time.process_time()
            took_s = await called(node, int(words[0]), int(words[1]), words[2])
            print(took_s, flush=True)
        else:
            said = messages(int(words[0]))
            room = words[1] if len(words) > 1 else "everybody"
            began_s, cpu_s = time.perf_counter(), time.process_time()
            for data in said:
                await node.say(data, room, command == "wait")
                await asyncio.sleep(0)


if __name__ == "__main__":
    raise_limit()
    asyncio.run(serve(sys.argv[1], sys.argv[2]))

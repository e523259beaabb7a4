"""What the Hub is measured against, each in a process of its own.

``python -m tests.benchmarks.crowd_servers KIND [--compressed] [--uvloop]`` prints its port, and
then does what its input says, line by line: "emit 20" says twenty messages to all who are there.
Each kind returns its port, how it says one thing to all, and how many these are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

WORDS = (
    "and bridge cable delta echo frame glass harbour island journey kettle ladder market night "
    "ocean paper quiet river signal tower under valley window yellow zenith the of to in on from"
)


def messages(count: int) -> list[dict[str, Any]]:
    """Return what is emitted: chat messages of some 400 bytes, always the same."""
    chance, words = random.Random(6455), WORDS.split()
    return [
        {"n": n, "from": "ada", "at": 1e9 + n / 8, "text": " ".join(chance.choices(words, k=60))}
        for n in range(count)
    ]


tasks: list[asyncio.Task[Any]] = []  # that serve, for as long as this process lives
Served = tuple[int, Callable[[Any], Awaitable[None]], Callable[[], int]]


async def serve_websockets(handler: Any, compression: str | None) -> int:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    async def quietly(websocket: Any) -> None:
        with contextlib.suppress(ConnectionClosed):  # a crowd hangs up without a word
            await handler(websocket)

    server = await serve(quietly, "127.0.0.1", 0, compression=compression, ping_interval=None)  # type: ignore[arg-type]
    return int(server.sockets[0].getsockname()[1])


def crowded_hub() -> tuple[Any, Callable[[Any], Awaitable[None]]]:
    from wslab import Hub, SocketIO

    # The crowd answers no pings.
    hub = Hub(socketio=SocketIO(ping_interval_s=3600, ping_timeout_s=3600))

    @hub.on("connect")
    async def connect(client: Any) -> None:
        client.join("everybody")

    @hub.on("add")
    async def add(client: Any, data: Any) -> Any:
        return data["a"] + data["b"]

    async def say(data: Any) -> None:
        hub.emit("chat", data, to="everybody")

    return hub, say


async def serve_hub(compression: str | None) -> Served:
    hub, say = crowded_hub()
    return await serve_websockets(hub, compression), say, lambda: len(hub.clients)


async def serve_uvicorn(compression: str | None) -> Served:
    import uvicorn

    hub, say = crowded_hub()
    config = uvicorn.Config(
        hub.asgi(), "127.0.0.1", 0, loop="none", log_config=None, ws="websockets-sansio",
        ws_ping_interval=None, ws_per_message_deflate=compression is not None, backlog=1024,
    )  # fmt: skip
    server = uvicorn.Server(config)
    tasks.append(asyncio.create_task(server.serve()))
    while not server.started:  # noqa: ASYNC110 - it has no event for that
        await asyncio.sleep(0.01)
    [sock] = server.servers[0].sockets
    return int(sock.getsockname()[1]), say, lambda: len(hub.clients)


def packet(data: Any) -> str:
    return json.dumps({"event": "chat", "data": data}, ensure_ascii=False, separators=(",", ":"))


async def serve_broadcast(compression: str | None) -> Served:
    from websockets.asyncio.server import broadcast

    connections: dict[Any, None] = {}

    async def handler(websocket: Any) -> None:
        connections[websocket] = None
        async for _ in websocket:
            pass

    async def say(data: Any) -> None:
        broadcast(connections, packet(data))

    return await serve_websockets(handler, compression), say, lambda: len(connections)


async def serve_floor(compression: str | None) -> Served:
    from wslab.hub.dialects.plain_json import PLAIN_JSON
    from wslab.hub.server.prepared_message import Form, PreparedMessage
    from wslab.hub.server.websockets_link import window_bits

    connections: dict[Any, None] = {}
    frames: dict[int, bytes] = {}  # made beforehand

    async def handler(websocket: Any) -> None:
        connections[websocket.transport] = None
        form = Form.of(PLAIN_JSON, window_bits(websocket))
        if not frames:
            for data in messages(1000):
                message = PreparedMessage(packet(data))
                (frames[data["n"]],) = message.prepare(form)
        async for _ in websocket:
            pass

    async def say(data: Any) -> None:
        frame = frames[data["n"]]
        for transport in connections:
            transport.write(frame)

    return await serve_websockets(handler, compression), say, lambda: len(connections)


async def serve_answering(compression: str | None) -> Served:
    async def handler(websocket: Any) -> None:
        async for message in websocket:
            came = json.loads(message)
            total = came["data"]["a"] + came["data"]["b"]
            await websocket.send(json.dumps({"answer": came["id"], "data": total}))

    return await serve_websockets(handler, compression), nothing, lambda: 0


async def nothing(data: Any) -> None:
    pass


async def serve_app(app: Any) -> int:
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    return int(runner.addresses[0][1])


async def serve_aiohttp(compression: str | None) -> Served:
    from aiohttp import web

    connections: dict[Any, None] = {}

    async def handler(request: Any) -> Any:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        connections[websocket] = None
        async for _ in websocket:
            pass
        return websocket

    async def say(data: Any) -> None:
        text = packet(data)
        for websocket in connections:
            await websocket.send_str(text)

    app = web.Application()
    app.router.add_get("/", handler)
    return await serve_app(app), say, lambda: len(connections)


async def serve_socketio(compression: str | None) -> Served:
    import socketio
    from aiohttp import web

    server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=3600, ping_timeout=3600)
    members: set[str] = set()

    async def connect(sid: str, environ: Any) -> None:
        await server.enter_room(sid, "everybody")
        members.add(sid)

    async def add(sid: str, data: Any) -> Any:
        return data["a"] + data["b"]

    async def say(data: Any) -> None:
        await server.emit("chat", data, room="everybody")

    server.on("connect", connect)
    server.on("add", add)
    app = web.Application()
    server.attach(app)
    return await serve_app(app), say, lambda: len(members)


async def serve(kind: str, compression: str | None) -> None:
    """Serve; do what the input says, line by line, and answer with JSON."""
    port, say, count = await globals()[f"serve_{kind}"](compression)
    print(port, flush=True)
    began_s = cpu_s = 0.0
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *number = line.split()
        if command == "members":
            print(count(), flush=True)
        elif command == "memory":
            print(resident_bytes(), flush=True)
        elif command == "spent":
            print(json.dumps([began_s, time.process_time() - cpu_s]), flush=True)
        else:
            said = messages(int(number[0]))
            began_s, cpu_s = time.perf_counter(), time.process_time()
            for data in said:
                await say(data)
                await asyncio.sleep(0)


def resident_bytes() -> int:
    """Return what this process holds, after giving back what it does not need."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_limit() -> int:
    """Let this process open as many sockets as it may; return how many these are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # only root may go beyond
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, 65536), max(hard, 65536)))
        return max(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


if __name__ == "__main__":
    raise_limit()
    serving = serve(sys.argv[1], "deflate" if "--compressed" in sys.argv else None)
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(serving)
    else:
        asyncio.run(serving)

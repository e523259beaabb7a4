"""One node, as somebody would write it: a hub and its handlers, by the public names alone.

    python -m tests.hub.machines.node [--redis URL] [--carrier uvicorn]

It prints lines of JSON: first its port, then what happens to it, and the answers to the lines that
come in; at the end of its input it ends. Its rule: what it prints is on the pipe before anything
follows from it, so that the rig knows of it also where the process is killed next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from typing import Any

import uvicorn
from websockets.asyncio.server import serve

import wslab
from wslab import ClientGone, Limits
from wslab.errors import BackplaneDown

NAME = "machines"
ANSWER_S = 3.0
PLENTY = Limits(
    backlog=20_000, backlog_bytes=2**26, history_bytes=2**28, history_bytes_per_room=2**26
)


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def new_hub(redis: str | None) -> Any:
    """Return a hub in which clients join, leave, say something and ask each other."""
    backplane = {"backplane": redis} if redis else {}
    hub: Any = wslab.Hub(NAME, history=20_000, session_s=120, limits=PLENTY, **backplane)

    @hub.on("join")
    async def join(client: Any, data: Any) -> Any:
        client.join(data["room"])
        return client.user_id

    @hub.on("leave")
    async def leave(client: Any, data: Any) -> Any:
        client.leave(data["room"])
        return client.user_id

    @hub.on("say")
    async def said(client: Any, data: Any) -> Any:
        say(handled=data["uid"])
        to = {"*": None, "@": client}.get(data["room"][0], data["room"])
        skip = client if data.get("skip") else None
        await hub.emit("said", {"uid": data["uid"], "pad": data["pad"]}, to=to, skip=skip)
        return data["uid"]

    @hub.on("ask")
    async def ask(client: Any, data: Any) -> Any:
        return await asked(hub, data["user"], data["uid"])

    if hasattr(hub, "everybody"):

        @hub.on("member_lost")
        async def member_lost(member: Any) -> None:
            say(lost=f"{member.node}/{member.id}")

    return hub


async def asked(hub: Any, user: str, number: int) -> Any:
    """Ask a client somewhere; where it has gone, or does not answer in time, say so."""
    try:
        if hasattr(hub, "call"):
            return await hub.call("q", number, to=user, timeout=ANSWER_S)
        for client in hub.clients.values():
            if client.user_id == user:
                return await client.call("q", number, timeout=ANSWER_S)
    except (BackplaneDown, ClientGone, TimeoutError) as exc:
        return {"failed": type(exc).__name__}
    return {"failed": "nobody"}


async def everybody(hub: Any) -> list[Any]:
    if not hasattr(hub, "everybody"):
        return [[each.user_id, sorted(each.rooms)] for each in hub.clients.values()]
    return [[each.user_id, sorted(each.rooms)] for each in await hub.everybody()]


async def told(hub: Any, data: dict[str, Any]) -> Any:
    """Do what a line says, and return what to answer."""
    match data["do"]:
        case "emit":
            room = None if data["room"] == "*" else data["room"]
            await hub.emit("said", {"uid": data["uid"], "pad": data["pad"]}, to=room)
        case "state":
            errors = [each.traceback for each in hub.errors]
            backplane = getattr(hub, "backplane", None)
            here = [f"{getattr(hub, 'node_id', '')}/{each}" for each in hub.clients]
            state = {"errors": errors, "seen": hub.errors_seen, "here": here}
            status = getattr(backplane, "status", "memory")
            return state | {"status": status, "backplane": repr(backplane)}
        case "everybody":
            return await everybody(hub)
        case "ask":
            return await asked(hub, data["user"], data["uid"])
    return None


async def obey(hub: Any) -> None:
    """Do what the lines of the input say, each as it comes, until there are no more."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def answer(data: dict[str, Any]) -> None:
        try:
            say(to=data["nth"], answer=await told(hub, data))
        except Exception as exc:
            say(to=data["nth"], error=repr(exc))

    async with asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            tasks.create_task(answer(json.loads(line)))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis")
    parser.add_argument("--carrier", choices=("websockets", "uvicorn"), default="websockets")
    arguments = parser.parse_args()
    hub = new_hub(arguments.redis)
    if arguments.carrier == "websockets":
        async with serve(hub, "127.0.0.1", 0, ping_interval=2, ping_timeout=4) as server:
            if hasattr(hub, "start"):
                await hub.start()  # else it would begin with the first client
            say(port=server.sockets[0].getsockname()[1])
            await obey(hub)
            if hasattr(hub, "close"):
                await hub.close()
        return
    config = uvicorn.Config(
        hub.asgi(path="/"), "127.0.0.1", 0, log_level="warning", ws="websockets-sansio",
        ws_ping_interval=2, ws_ping_timeout=4, timeout_graceful_shutdown=2,
    )  # fmt: skip
    uvicorn_server = uvicorn.Server(config)
    serving = asyncio.create_task(uvicorn_server.serve())
    while not uvicorn_server.started and not serving.done():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    say(port=uvicorn_server.servers[0].sockets[0].getsockname()[1])
    await obey(hub)
    uvicorn_server.should_exit = True
    await serving


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main())

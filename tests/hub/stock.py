"""Stock clients of Socket.IO, as people install them: npm's in Node, and python-socketio's.

Both are driven alike: `say` has them do something, `hear` waits for what they tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import socketio

from tests.hub.rig import DEADLINE_S
from tests.node import MODULES

SCRIPT = Path(__file__).with_name("stock_client.js")
LINE_BYTES = 2**24


class NodeClient:
    """npm's socket.io-client, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def say(self, *act: Any) -> None:
        """Do: ``("emit", event, ...)``, ``("call", timeout_ms, event, ...)``, ``("cut",)``..."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(act, default=_buffer).encode() + b"\n")

    async def hear(self) -> list[Any]:
        """Return what it tells next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await self._process.stdout.readline()
        assert line, "node has ended"
        told: list[Any] = json.loads(line, object_hook=_bytes)
        return told

    async def call(self, *event: Any) -> list[Any]:
        """Emit, and return the answer's arguments; nothing else may come before it."""
        self.say("call", 5000, *event)
        kind, *answer = await self.hear()
        assert kind == "answer", (kind, answer)
        return answer


class PythonClient:
    """python-socketio's client, which tells what npm's does."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.client = socketio.AsyncClient(reconnection_delay=0.01, randomization_factor=0)
        self._told: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._options = options
        self._namespace = options.get("namespace") or "/"
        self._tasks: set[asyncio.Task[Any]] = set()
        for event in ("connect", "disconnect", "connect_error"):
            self.client.on(event, self._teller(event), namespace=self._namespace)
        self.client.on("*", self._event, namespace=self._namespace)

    def _teller(self, event: str) -> Any:
        def tell(*args: Any) -> None:
            if event == "connect":
                args = (self.client.get_sid(self._namespace), False)
            if event == "connect_error" and args and isinstance(args[0], dict):
                args = (args[0]["message"], *([args[0]["data"]] if "data" in args[0] else []))
            self._told.put_nowait([event, *args])

        return tell

    def _event(self, event: str, *args: Any) -> Any:
        self._told.put_nowait(["event", event, *args])
        return args

    async def open(self, url: str) -> None:
        options = self._options
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            await self.client.connect(
                url, transports=options.get("transports"), auth=options.get("auth"),
                namespaces=[self._namespace], wait_timeout=5,
            )  # fmt: skip

    def say(self, act: str, *args: Any) -> None:
        task = asyncio.create_task(self._do(act, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, act: str, *args: Any) -> None:
        client, where = self.client, {"namespace": self._namespace}
        if act == "emit":
            await client.emit(args[0], args[1:], **where)
        elif act == "send":
            await client.send(args[0], **where)
        elif act == "call":
            timeout_ms, event, *data = args
            try:
                answer = await client.call(event, tuple(data), timeout=timeout_ms / 1000, **where)
            except socketio.exceptions.TimeoutError:
                self._told.put_nowait(["failed", "operation has timed out"])
                return
            several = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
            self._told.put_nowait(["answer", *several])
        elif act == "disconnect":
            await client.disconnect()
        elif act == "transport":
            self._told.put_nowait(["transport", client.transport()])
        else:
            raise AssertionError(act)

    async def hear(self) -> list[Any]:
        async with asyncio.timeout(DEADLINE_S):
            return await self._told.get()

    async def call(self, *event: Any) -> list[Any]:
        self.say("call", 5000, *event)
        kind, *answer = await self.hear()
        assert kind == "answer", (kind, answer)
        return answer


@contextlib.asynccontextmanager
async def node(url: str, **options: Any) -> Any:
    """Run npm's client, which connects at once."""
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), f"{MODULES}{os.sep}", url, json.dumps(options),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES,
    )  # fmt: skip
    try:
        yield NodeClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            await process.wait()


@contextlib.asynccontextmanager
async def python(url: str, **options: Any) -> Any:
    """Connect python-socketio's client."""
    client = PythonClient(options)
    await client.open(url)
    try:
        yield client
    finally:
        await client.client.shutdown()
        # It closes its session of aiohttp only where the server was first to go.
        http = getattr(client.client.eio, "http", None)
        if http is not None and not http.closed:
            await http.close()


def _buffer(value: Any) -> Any:
    return {"type": "Buffer", "data": list(value)}


def _bytes(value: dict[str, Any]) -> Any:
    return bytes(value["data"]) if value.get("type") == "Buffer" else value

"""What the hub's tests share: a hub that listens, clients that speak the wire by hand, fakes.

The clients are plain websockets connections, so that they check the hub and not its other half.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, settings
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.protocol import State

from wslab.hub.backplane.memory import MemoryBackplane
from wslab.hub.dialects.dialect import Dialect
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.protocol.sessions import Sessions
from wslab.hub.server.hub_context import HubContext
from wslab.hub.server.prepared_message import PLAIN, Form, PreparedMessage
from wslab.hub.server.websockets_link import WebSocketsLink
from wslab.network.in_use import IN_USE

aio = pytest.mark.asyncio
DEADLINE_S = 10.0
TOKEN = "abcdefghijklmnop"
SMALL_BUFFER = 4096  # bytes; the kernel doubles it, and it has a lower bound of its own


def story_settings(examples: int, steps: int) -> settings:
    """Return hypothesis' settings for a stateful test: the same stories in every run."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


async def until(predicate: Any, what: str = "", deadline_s: float = DEADLINE_S) -> Any:
    """Wait until a predicate holds, and return what it returned."""
    end = time.monotonic() + deadline_s
    while not (value := predicate()):
        assert time.monotonic() < end, f"waited {deadline_s} s in vain {what}"
        await asyncio.sleep(0.002)
    return value


CARRIERS = ("websockets", "asgi")
carrier = CARRIERS[0]  # of what listens; see `conftest`


class _Uvicorn(uvicorn.Server):
    """uvicorn's own server, but that signals are left to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def _listening_asgi(hub: Any, small_buffers: bool) -> Any:
    async def at_any_path(scope: Any, receive: Any, send: Any) -> None:
        await hub.asgi(path=scope["path"])(scope, receive, send)

    config = uvicorn.Config(
        at_any_path, port=0, log_config=None, ws="websockets-sansio", lifespan="off",
        ws_per_message_deflate=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = _Uvicorn(config)
    running = asyncio.ensure_future(server.serve())
    await until(lambda: server.started or running.done())
    [listener] = server.servers[0].sockets
    if small_buffers and not IN_USE:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await running


@contextlib.asynccontextmanager
async def listening(hub: Any, *, small_buffers: bool = False, **options: Any) -> Any:
    """Serve a hub on loopback, and give its URL; see `conftest` for what carries it."""
    if hasattr(hub, "on") and "fence" not in hub.events:
        hub.on("fence", _fence)
    if carrier == "asgi":
        async with _listening_asgi(hub, small_buffers) as url:
            yield url
        return
    async with serve(hub, "127.0.0.1", 0, start_serving=False, **options) as server:
        [listener] = server.sockets
        if small_buffers and not IN_USE:  # inherited by the connections
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        await server.start_serving()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"


async def _fence(client: Any, data: Any) -> Any:
    return data


class Wire:
    """A client that reads and writes packets as they are."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket
        self.welcome: dict[str, Any] = {}
        self._fences = itertools.count(900_000)

    @property
    def id(self) -> str:
        return str(self.welcome["id"])

    async def send(self, *messages: Any) -> None:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else message
            await self.websocket.send(text)

    async def emit(self, event: str, data: Any = None, **numbers: Any) -> None:
        await self.send({"event": event, "data": data, **numbers})

    async def read(self) -> Any:
        """Return the next packet as a dict, or a raw message as it is."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self.websocket.recv()
        if isinstance(message, str) and message.startswith("{"):
            with contextlib.suppress(ValueError):
                return json.loads(message)
        return message

    async def call(self, event: str, data: Any = None, id: int = 1, **numbers: Any) -> Any:
        """Ask, and return the answer; nothing else may come before it but receipts."""
        await self.emit(event, data, id=id, **numbers)
        while (answer := await self.read()).keys() == {"received"}:
            pass
        assert answer["answer"] == id, answer
        return answer["error"] if "error" in answer else answer["data"]

    async def all(self) -> list[Any]:
        """Return everything that the hub has sent so far."""
        number = next(self._fences)
        await self.emit("fence", id=number)
        found: list[Any] = []
        while not (isinstance(last := await self.read(), dict) and last.get("answer") == number):
            found.append(last)
        return found

    async def closed(self) -> tuple[int, str]:
        """Read to the end, and return the close code and reason that came."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.read()
        return self.websocket.close_code, self.websocket.close_reason

    async def abort(self) -> None:
        self.websocket.transport.abort()
        await self.websocket.wait_closed()


@contextlib.asynccontextmanager
async def speaking(url: str, *, stalls: bool = False, welcomed: bool = True, **options: Any) -> Any:
    """Connect and read the welcome; ``stalls``: hardly anything fits until it reads."""
    sock = None
    if stalls:
        options = {"max_queue": 1, "ping_interval": None, **options}
    if stalls and not IN_USE:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        address = url.split("/")[2].split(":")
        sock.connect((address[0], int(address[1])))
        sock.setblocking(False)
        options["sock"] = sock
    async with connect(url, close_timeout=1, **options) as websocket:
        if stalls and IN_USE:
            IN_USE[-1].connections[-1].client.buffer_bytes = SMALL_BUFFER
        wire = Wire(websocket)
        if welcomed:
            packet = await wire.read()
            assert packet["event"] == "welcome", packet
            wire.welcome = packet["data"]
        yield wire


def plain(message: PreparedMessage) -> tuple[bytes, ...]:
    """Return a message's frames in plain JSON, not compressed."""
    return message.prepare(Form.of(PLAIN_JSON, PLAIN))


def inside(hub: Any) -> HubContext:
    """Return a hub's parts: the one place where tests reach into it."""
    context: HubContext = hub._context
    return context


async def serving(hub: Any, socket: Any, dialect: Dialect) -> None:
    """Serve a connection that speaks a dialect until it ends."""
    inside(hub).take_loop()
    await hub._entrance.serving(WebSocketsLink(socket, dialect))


def sessions_of(hub: Any) -> Sessions[Any]:
    """Return the sessions of a hub that one process serves."""
    backplane = inside(hub).backplane
    assert isinstance(backplane, MemoryBackplane)
    return backplane.sessions


def one(hub: Any) -> Any:
    """Return the hub's only client."""
    (client,) = hub.clients.values()
    return client


class FakeTransport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True


class FakeSocket:
    """As much of a websockets connection as the hub touches; nothing happens by itself."""

    def __init__(self, path: str = "/", hex: str | None = None) -> None:
        self.id = uuid.UUID(hex=hex) if hex else uuid.uuid4()
        self.protocol = SimpleNamespace(
            state=State.OPEN,
            extensions=[],
            close_rcvd=None,
            close_sent=None,
            close_rcvd_then_sent=None,
            expect_continuation_frame=False,
        )
        self.transport = FakeTransport()
        self.request = SimpleNamespace(path=path, headers={})
        self.remote_address = ("127.0.0.1", 1)
        self.paused = False
        self.send_in_progress: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        self.connection_lost_waiter: asyncio.Future[None] = loop.create_future()
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self._resumed = asyncio.Event()
        self._resumed.set()

    @property
    def state(self) -> State:
        return self.protocol.state

    @property
    def texts(self) -> list[str]:
        """The payloads of the text frames that were written to it."""
        return [payload.decode() for opcode, payload in frames_of(self.transport.written)
                if opcode == 1]  # fmt: skip

    def pause(self) -> None:
        self.paused = True
        self._resumed.clear()

    def resume(self) -> None:
        self.paused = False
        self._resumed.set()

    async def drain(self) -> None:
        await self._resumed.wait()

    def feed(self, message: Any) -> None:
        self._incoming.put_nowait(json.dumps(message) if isinstance(message, dict) else message)

    async def recv(self) -> Any:
        message = await self._incoming.get()
        if message is None:
            self._incoming.put_nowait(None)
            raise ConnectionClosedError(None, None)
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.protocol.close_sent = SimpleNamespace(code=code, reason=reason)
        self.protocol.state = State.CLOSING
        await asyncio.sleep(0)
        self.lose()

    def say_goodbye(self, code: int = 1000) -> None:
        self.protocol.close_rcvd = SimpleNamespace(code=code, reason="")
        self.protocol.close_rcvd_then_sent = True
        self.lose()

    def lose(self) -> None:
        self.protocol.state = State.CLOSED
        self.transport.closing = True
        if not self.connection_lost_waiter.done():
            self.connection_lost_waiter.set_result(None)
        self._incoming.put_nowait(None)
        self.resume()


def frames_of(chunks: list[bytes]) -> list[tuple[int, bytes]]:
    """Return opcode and payload of each unmasked frame."""
    data, found = b"".join(chunks), []
    while data:
        size, at = data[1], 2
        if size == 126:
            (size,), at = struct.unpack("!H", data[2:4]), 4
        elif size == 127:
            (size,), at = struct.unpack("!Q", data[2:10]), 10
        found.append((data[0] & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return found

"""The attackers of the soak: each does one thing that a hub must bear, over and over.

    python -m tests.hub.soak_attacks SEED ws://127.0.0.1:PORT/ ...

They run in a process of their own, so that what they cost themselves is not taken for what they
cost the hub; ``on`` and ``off`` on standard input let them act and rest, its end ends them. They
speak by hand over bare sockets, since no library would send what they send. `Attacked` is the other
side: the hub's handlers that they use, beside the model's.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import itertools
import json
import os
import random
import socket
import struct
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from tests.hub.rig import SMALL_BUFFER

TOKEN = "attacker-"  # how their sessions begin
BIG = "x" * 60_000
PAUSE_S = 0.5
HOLD_S = 1.0  # that some of them stay and do not read
GIVE_UP_S = 5.0


class Attacked:
    """The handlers that attackers use; what they emit and join is theirs alone.

    Args:
        hub: under attack.
        emitted: called after each event, which takes a number of the hub's history.
    """

    def __init__(self, hub: Any, emitted: Callable[[], object]) -> None:
        self.clients: weakref.WeakSet[Any] = weakref.WeakSet()

        async def say(client: Any, room: str) -> None:
            hub.emit("said", BIG, to=f"junk {room}")
            emitted()

        async def join(client: Any, room: str) -> None:
            client.join(f"junk {room}")

        async def echo(client: Any, data: Any) -> Any:
            return data

        async def slow(client: Any, data: Any) -> None:
            await asyncio.sleep(3.0)

        for function in (say, join, echo, slow):
            hub.on(f"attack-{function.__name__}", function)

    def meet(self, client: Any) -> bool:
        """Say whether a client is one of them."""
        if "attack=" in client.path:
            self.clients.add(client)
        return client in self.clients


def frame(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """Return a client's frame; its mask is zero."""
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


def packet(event: str, data: Any, **numbers: int) -> bytes:
    """Return an event as a frame."""
    text = json.dumps({"event": f"attack-{event}", "data": data, **numbers})
    return frame(1, text.encode())


class Attacker:
    """What all of them need: a connection, randomness, and an end."""

    def __init__(self, url: str, rng: random.Random, counts: collections.Counter[str]) -> None:
        host, _, port = url.removeprefix("ws://").rstrip("/").partition(":")
        self.host, self.port, self.random, self.counts = host, int(port), rng, counts

    @contextlib.asynccontextmanager
    async def connected(self, small: bool = False) -> Any:
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2**17)
        try:
            token = f"&session={TOKEN}{self.random.getrandbits(64):016x}"
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET /?attack=1{token} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            yield reader, writer
        finally:
            writer.transport.abort()

    async def until_blocked(self, writer: Any, data: bytes, at_most: int) -> None:
        """Send, and read nothing, until the hub takes no more, or so many bytes."""
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < at_most:
                writer.write(data)
                sent += len(data)
                async with asyncio.timeout(0.2):
                    await writer.drain()
        self.counts["kB sent unread"] += sent // 1000
        await asyncio.sleep(HOLD_S)

    # What they do.

    async def junk_session(self) -> None:
        async with self.connected() as (reader, _):
            await reader.read(1)

    async def room_namer(self) -> None:
        async with self.connected() as (reader, writer):
            for _ in range(20):  # more than the soak's hubs let one client join
                room = f"{self.random.getrandbits(32):x}"
                writer.write(packet("join", room) + packet("say", room))
                writer.write(packet("say", room + "-empty"))
                await writer.drain()
            # Its answer says that all was taken; some hubs have had enough before that.
            writer.write(packet("echo", None, id=1))
            latest = b""
            while not (b'"answer"' in latest or b"too slow" in latest):
                if not (more := await reader.read(2**16)):
                    break
                latest = latest[-8:] + more

    async def ping_flood(self) -> None:
        async with self.connected(small=True) as (_, writer):
            await self.until_blocked(writer, frame(9, b"x" * 125) * 200, 2 * 10**6)

    async def endless_message(self) -> None:
        size = self.random.choice([0, 1000])
        async with self.connected() as (reader, writer):
            writer.write(frame(1, b"{", fin=False))
            for _ in range(300):
                writer.write(frame(0, b" " * size, fin=False) * 100)
                await writer.drain()
                if reader.at_eof():
                    break

    async def answer_hoarder(self) -> None:
        async with self.connected() as (reader, writer):
            for n in range(1, 9):
                writer.write(packet("echo", BIG, id=n, n=n))
            await writer.drain()
            with contextlib.suppress(asyncio.IncompleteReadError):
                async with asyncio.timeout(GIVE_UP_S):
                    await reader.readexactly(8 * len(BIG))

    async def slow_reader(self) -> None:
        async with self.connected(small=True) as (_, writer):
            await self.until_blocked(writer, packet("echo", BIG, id=1), 2 * 10**6)

    async def huge_head(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(b"GET / HTTP/1.1\r\n")
            for _ in range(200):
                writer.write(b"X-Much: " + b"y" * 4000 + b"\r\n")
                await writer.drain()
                if reader.at_eof():
                    break
        finally:
            writer.transport.abort()

    async def leaves_a_handler(self) -> None:
        for _ in range(8):
            async with self.connected() as (_, writer):
                for n in range(1, 4):
                    writer.write(packet("slow", None, id=n, n=n))
                await writer.drain()
                await asyncio.sleep(0.02)


KINDS = (
    "junk_session", "room_namer", "ping_flood", "endless_message", "answer_hoarder", "slow_reader",
    "huge_head", "leaves_a_handler",
)  # fmt: skip


async def attack(
    urls: list[str], seed: int, commands: Callable[[], Awaitable[str]]
) -> dict[str, int]:
    """Let one of each kind at the hubs in turn, whenever they may; return what they did."""
    acts, over = asyncio.Event(), asyncio.Event()
    counts: collections.Counter[str] = collections.Counter()

    async def work(kind: str) -> None:
        rng = random.Random(f"{seed} {kind}")
        for nth in itertools.count(KINDS.index(kind)):
            await acts.wait()
            attacker = Attacker(urls[nth % len(urls)], rng, counts)
            counts[kind] += 1
            try:
                async with asyncio.timeout(GIVE_UP_S):
                    await getattr(attacker, kind)()
            except (OSError, EOFError, TimeoutError):
                counts[f"{kind}: cut off"] += 1
            await asyncio.sleep(PAUSE_S * rng.uniform(0.5, 1.5))

    tasks = [asyncio.create_task(work(kind)) for kind in KINDS]
    while not over.is_set() and (command := await commands()):
        (acts.set if command.strip() == "on" else acts.clear)()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            raise task.exception()  # type: ignore[misc]
    return dict(counts)


def main() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

        async def command() -> str:
            return (await reader.readline()).decode()

        print(json.dumps(await attack(sys.argv[2:], int(sys.argv[1]), command)))

    asyncio.run(run())


if __name__ == "__main__":
    main()

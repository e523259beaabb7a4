"""A TCP relay of the rig's own: the door that all clients use, and each node's wire to Redis.

Its rule: it passes bytes on, or does not; it knows none of them. Held, it takes nothing more in,
so that both ends see an open connection on which nothing comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

__all__ = ["Relay"]

CHUNK_BYTES = 65_536


class Relay:
    """Listens on a port of its own, and connects each that comes to a port that it is told.

    Args:
        choose: returns the port for the next connection; None: it is hung up on.
        buffer_bytes: of the kernel, for what comes from the port behind; None for its own choice.
    """

    def __init__(
        self, choose: Callable[[], int | None], *, buffer_bytes: int | None = None
    ) -> None:
        self.port = 0
        self.is_refusing = False
        self._choose, self._buffer_bytes = choose, buffer_bytes
        self._outward, self._inward = asyncio.Event(), asyncio.Event()
        self._outward.set()
        self._inward.set()
        self._serving: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_refusing = True
        self._server.close()
        self.cut()
        for task in tuple(self._serving):
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break off all connections, as by RST."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self, *, outward: bool = True, inward: bool = True) -> None:
        """Pass nothing on: outward is what goes to the port behind, inward what comes from it."""
        for event, is_held in ((self._outward, outward), (self._inward, inward)):
            if is_held:
                event.clear()

    def release(self) -> None:
        """Pass on again, what has been held first."""
        self._outward.set()
        self._inward.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        behind = None
        try:
            port = None if self.is_refusing else self._choose()
            if port is None:
                return
            with contextlib.suppress(OSError):
                there, behind = await asyncio.open_connection(sock=await self._connect(port))
                self._writers.add(behind)
                ways = [
                    asyncio.create_task(self._pass(reader, behind, self._outward)),
                    asyncio.create_task(self._pass(there, writer, self._inward)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.wait(ways)
        except asyncio.CancelledError:
            pass  # the rig ends
        finally:
            for each in (writer, behind):
                if each is not None:
                    self._writers.discard(each)
                    each.close()
            self._serving.discard(task)

    async def _connect(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        if self._buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await way.wait()
                writer.write(data)
                await writer.drain()
            await way.wait()

"""A line to a hub that breaks: at any byte, in either direction, and again and again."""

from __future__ import annotations

import asyncio
import random


class BadLine:
    """A port that leads to another one, until the line breaks: at any byte, in either direction.

    Args:
        port: where it leads to.
        seed: of all that happens.
        mean_bytes: that pass in a direction before the line breaks, on average; 0: it holds.
    """

    def __init__(self, port: int, seed: int, mean_bytes: int) -> None:
        self.target = port
        self.random = random.Random(seed)
        self.mean_bytes = mean_bytes
        self.breaks = 0
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pages: set[asyncio.StreamWriter] = set()
        self._ways: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> BadLine:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)
        await self._server.wait_closed()

    def swallow(self, *, only_to_page: bool = False) -> None:
        """Let nothing of the connections that are open arrive any more, and nobody be told."""
        self._swallowed |= self._pages if only_to_page else self._writers

    def cut(self) -> None:
        """Break the connections that are open."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ways.add(task)
        writers = [writer]
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(far)
            self._writers.update(writers)
            self._pages.add(writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far))
                group.create_task(self._carry(far_reader, writer))
        except* (OSError, EOFError):
            self.breaks += 1
        except* asyncio.CancelledError:
            pass  # streams would log it
        finally:
            for each in writers:
                each.transport.abort()
                self._writers.discard(each)
                self._swallowed.discard(each)
            self._pages.discard(writer)
            self._ways.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.random.expovariate(1 / self.mean_bytes) if self.mean_bytes else float("inf")
        while True:
            data = await reader.read(2**16)
            if not data or len(data) > left:
                writer.write(data[: int(min(left, 2**16))])
                await asyncio.sleep(0)
                raise EOFError
            left -= len(data)
            if writer not in self._swallowed:
                writer.write(data)
                await writer.drain()

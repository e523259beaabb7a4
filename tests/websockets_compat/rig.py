"""A server and a client of plain websockets, in memory, and all that belongs to them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from wslab.network.memory import MemoryNetwork


def run(script) -> Any:
    """Run a script on a server and a client of plain websockets, with compression, in memory."""

    async def main():
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        async def handler(connection):
            waiting.put_nowait(connection)
            with contextlib.suppress(websockets.ConnectionClosed):
                async for _ in connection:
                    pass

        async with serve(handler, "127.0.0.1", 80) as server, asyncio.timeout(10):
            connector = connect("ws://127.0.0.1/", proxy=None)
            async with connector as client:
                things = {
                    "server": server,
                    "connector": connector,
                    "client": client,
                    "connection": await waiting.get(),
                }
                things["deflate"] = things["connection"].protocol.extensions[0]
                return await script(**things)

    with MemoryNetwork(seed=1):
        return asyncio.run(main())

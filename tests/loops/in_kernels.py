"""Cells that the tests of the kernel's loop have in common."""

from __future__ import annotations

from typing import Any

# As a reader pastes it: server and client in one main().
PASTED = """
import asyncio
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("Hello world!")
            print(await websocket.recv())

asyncio.run(main())
"""
BEHIND = ["behind = 1", "behind += 1", "await asyncio.sleep(0.01)", "behind += 1", "print(behind)"]

SETUP = """
import asyncio, threading, time
import websockets
import wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
"""


def statuses(cells: list[Any]) -> list[str]:
    return [f"{cell.status} {cell.error or ''}".strip() for cell in cells]

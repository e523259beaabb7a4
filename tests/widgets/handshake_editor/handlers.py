"""What the tests' servers do."""

from __future__ import annotations

import re


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def key_of(data: bytes) -> str:
    return re.search(rb"Sec-WebSocket-Key: (\S+)", data)[1].decode()

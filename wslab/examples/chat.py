"""A chat: every message goes to everybody who is connected, its sender included.

Plain websockets code: it runs as it stands with `python chat.py`, under `wslab serve chat`, and in
a notebook with `wslab.serve(chat)`. It keeps no history and knows no names.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, broadcast, serve

connected: set[ServerConnection] = set()


async def chat(websocket: ServerConnection) -> None:
    """Pass every message on for as long as this client stays."""
    connected.add(websocket)
    try:
        async for message in websocket:
            broadcast(connected, message)
    finally:
        connected.discard(websocket)


async def main() -> None:
    """Serve on port 8765 until interrupted."""
    async with serve(chat, "127.0.0.1", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

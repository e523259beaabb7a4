"""An echo: every message goes back to the client that sent it.

Plain websockets code: it runs as it stands with `python echo.py`, under `wslab serve echo`, and in
a notebook with `wslab.serve(echo)`.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Send every message back, as the same kind of frame (text or binary)."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Serve on port 8765 until interrupted."""
    async with serve(echo, "127.0.0.1", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""Lesson 00, "00 greeting": a server that speaks first."""

import wslab
from wslab.learn import check


async def greet(websocket):
    name = websocket.request.path.strip("/")
    await websocket.send(f"hello {name}")
    async for message in websocket:
        await websocket.send(message)


if __name__ == "__main__":
    print(check("00 greeting", greet))
    wslab.shutdown()

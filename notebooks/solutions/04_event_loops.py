"""Lesson 04, "04 at once": work that blocks, on another thread."""

import asyncio

import wslab
from wslab.learn import check


async def at_once(websocket, work):
    async for message in websocket:
        answer = await asyncio.to_thread(work, message)
        await websocket.send(answer)


if __name__ == "__main__":
    print(check("04 at once", at_once))
    wslab.shutdown()

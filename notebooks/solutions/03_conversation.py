"""Lesson 03, "03 capitals", "03 ticks", "03 pause" and "03 count": four handlers, fixed."""

import asyncio

import wslab
from wslab.learn import check


async def capitals(websocket):
    while True:
        message = await websocket.recv()
        await websocket.send(message.upper())  # no return: the loop goes on


async def ticking(websocket):
    async def push():
        while True:
            await websocket.send("tick")
            await asyncio.sleep(0.02)

    pushing = asyncio.create_task(push())  # beside the loop, not in it
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        pushing.cancel()


async def pausing(websocket):
    async for message in websocket:
        await asyncio.sleep(0.03)  # the others go on meanwhile
        await websocket.send(message)


async def counting(websocket):
    count = 0  # one for each conversation
    async for message in websocket:
        count += 1
        await websocket.send(f"{count} {message}")


if __name__ == "__main__":
    print(check("03 capitals", capitals))
    print(check("03 ticks", ticking))
    print(check("03 pause", pausing))
    print(check("03 count", counting))
    wslab.shutdown()

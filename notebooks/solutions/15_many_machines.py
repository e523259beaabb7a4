"""Lesson 15: a message reaches everybody once, whatever node is killed in between.

Two lines are fixed. The place to read on from is what the client says it has seen last, and then
each entry that it was sent. And a message is added by one script, which does nothing where its id
is known already: who says it again at another node need not know whether it got through.
"""

import asyncio

from wslab.learn.lessons.lesson_15 import ONCE


async def node(websocket, box):
    last = await websocket.recv()

    async def hear():
        at = last
        while True:
            for _, found in await box.xread({"chat": at}, block=1000):
                for at, entry in found:
                    await websocket.send(f"{at} {entry['said']}")

    hearing = asyncio.create_task(hear())
    async for message in websocket:
        await box.eval(ONCE, 2, "chat", "said:" + message.split()[0], message)
    hearing.cancel()

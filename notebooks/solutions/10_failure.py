"""Lesson 10, "10 follow": come back at a random moment, and go on after the last event seen."""

import asyncio
import random

from websockets import WebSocketException, connect

import wslab
from wslab.learn import check

FIRST_S, MOST_S = 0.2, 5.0


async def follow(url, heard):
    last = 0  # it outlives each connection, and nobody else knows it
    bound = FIRST_S
    while True:
        try:
            async with connect(url) as socket:
                await socket.send(str(last))
                async for event in socket:
                    number, text = event.split(maxsplit=1)
                    heard.append(text)
                    last = int(number)
                    bound = FIRST_S  # it works again
        except (OSError, WebSocketException):  # broken off; nobody listens; refused
            pass
        await asyncio.sleep(random.uniform(0, bound))
        bound = min(2 * bound, MOST_S)


if __name__ == "__main__":
    print(check("10 follow", follow))
    wslab.shutdown()

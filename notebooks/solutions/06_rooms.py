"""Lesson 06, "06 rooms": join, leave and emit, by hand."""

from collections import defaultdict

from websockets.asyncio.server import broadcast

import wslab
from wslab.learn import check

rooms = defaultdict(set)


async def hall(websocket):
    try:
        async for command in websocket:
            word, room, *text = command.split(" ", 2)
            if word == "join":
                rooms[room].add(websocket)
            elif word == "leave":
                rooms[room].discard(websocket)
            elif word == "emit":
                broadcast(rooms[room] - {websocket}, text[0])
            await websocket.send("ok")
    finally:
        for members in rooms.values():
            members.discard(websocket)


if __name__ == "__main__":
    print(check("06 rooms", hall))
    wslab.shutdown()

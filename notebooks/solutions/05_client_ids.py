"""Lesson 05, "05 private": a private message, and a registry that forgets."""

import contextlib

from websockets.exceptions import ConnectionClosed

import wslab
from wslab.learn import check

clients = {}  # id -> websocket: who is here


async def private(websocket):
    id = websocket.id.hex[:6]
    clients[id] = websocket
    try:
        await websocket.send(id)
        async for message in websocket:
            to, _, text = message.partition(" ")
            target = clients.get(to)
            if target is not None:
                with contextlib.suppress(ConnectionClosed):  # it may leave at this moment
                    await target.send(f"{id} {text}")
    finally:
        del clients[id]


if __name__ == "__main__":
    print(check("05 private", private, clients))
    wslab.shutdown()

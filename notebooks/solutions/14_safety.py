"""Lesson 14, "14 guard": let in whom you know, and end a flood."""

import time

import wslab
from wslab.learn import check


def guarded(tokens):
    def who(credentials):
        user, until = tokens.get(credentials.token, (None, 0))
        return wslab.Identity(user, expires_at=until) if user else None

    async def handler(websocket):
        began, count = time.monotonic(), 0
        async for message in websocket:
            if time.monotonic() - began > 1:
                began, count = time.monotonic(), 0
            count += 1
            if count > 50:
                await websocket.close(1008, "more than 50 messages in a second")
                return
            await websocket.send(message)

    return wslab.serve(handler, auth=who)


if __name__ == "__main__":
    print(check("14 guard", guarded))
    wslab.shutdown()

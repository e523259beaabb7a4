"""Lesson 11, "11 feed" and "11 ratio": a bounded feed with a last value; a ratio from frames."""

import asyncio
import zlib

import wslab
from wslab.learn import check

KEEP = 8
queues = {}  # one for each client
last = []  # the last value, if there is one


async def feed(websocket):
    queue = asyncio.Queue(KEEP)
    for value in last:  # a newcomer has it at once
        queue.put_nowait(value)
    queues[websocket] = queue
    try:
        while True:
            await websocket.send(await queue.get())
    finally:
        del queues[websocket]


def publish(value):
    last[:] = [value]
    for queue in queues.values():
        if queue.full():
            queue.get_nowait()  # the oldest gives way
        queue.put_nowait(value)


def ratio(frames):
    stream = zlib.decompressobj(wbits=-15)  # one, for each message may refer to earlier ones
    before = after = 0
    is_deflated = False
    for frame in frames:
        if frame.opcode >= 8:
            continue
        if frame.opcode:  # a message begins
            is_deflated = frame.rsv1
        if is_deflated:
            before += len(frame.payload)
            after += len(stream.decompress(frame.payload))
            if frame.fin:
                after += len(stream.decompress(b"\x00\x00\xff\xff"))
    return after / before


if __name__ == "__main__":
    print(check("11 feed", feed, publish))
    print(check("11 ratio", ratio))
    wslab.shutdown()

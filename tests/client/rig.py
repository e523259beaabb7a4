"""Handlers, and what is done to clients, that several tests of them share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading

from wslab.client.backoff import Reconnect
from wslab.loops import portals


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def quiet(websocket):
    await websocket.wait_closed()


@contextlib.contextmanager
def held(let_go=None):
    """Hold the lab's loop while the block runs, as a handler that blocks would."""
    let_go = let_go or threading.Event()
    begun = threading.Event()

    def hold():
        begun.set()
        let_go.wait(30)

    portals.lab().loop.call_soon_threadsafe(hold)
    assert begun.wait(5)
    try:
        yield let_go
    finally:
        let_go.set()


def let_loop_write(client):
    """Let the loop write whatever is sent, as where the socket takes no more."""
    portals.lab().call(client.websocket.writes.stop)


def interrupt_soon(delay_s):
    """Send this process SIGINT from another thread, as Jupyter's stop button does."""
    timer = threading.Timer(delay_s, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    return timer


class Flood:
    """A handler that sends numbered messages as fast as it may, and counts them."""

    def __init__(self, total, body=""):
        self.total, self.body = total, body
        self.sent = 0

    async def __call__(self, websocket):
        for number in range(self.total):
            await websocket.send(f"{number}:{self.body}")
            self.sent += 1
            await asyncio.sleep(0)  # or a free socket would let it hold the loop

    def stands_still(self):
        before = self.sent
        return not threading.Event().wait(0.15) and self.sent == before


def cut(client):
    """Break the connection off from this side, as if the cable were pulled."""
    portals.lab().call(client.websocket.transport.abort)


AT_ONCE = Reconnect(first_delay_s=0)

"""A server that pushes to whoever is connected, and clients of it that read or do not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.server import broadcast

import wslab
from wslab.widgets.tanks.model import Gauge

SIZE = 2**16
MOST = 1_000  # messages, until an operating system's buffers are full


class Push:
    """A handler that keeps connections open, and what pushes to them."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()

    async def __call__(self, websocket: Any) -> None:
        self.readers.add(websocket)
        await websocket.wait_closed()
        self.readers.discard(websocket)

    def push(self, count: int = 1, size: int = SIZE) -> None:
        for _ in range(count):
            wslab.run(broadcast, set(self.readers), "." * size)


@contextlib.contextmanager
def pushing(*names: str) -> Iterator[tuple[Push, wslab.Server, list[wslab.Client]]]:
    push = Push()
    with wslab.serve(push, ping_interval=None) as server:
        clients = [wslab.connect(server, name=name, max_waiting=2, keep=True) for name in names]
        try:
            yield push, server, clients
        finally:
            for client in clients:
                client.close(timeout=1.0)


def fill(push: Push, server: wslab.Server, client: wslab.Client) -> None:
    """Push until the operating system takes no more."""
    for _ in range(MOST):
        push.push()
        if Gauge().levels(server, client).library > SIZE:
            return
    raise AssertionError("it takes more and more")

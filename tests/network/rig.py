"""Two ends of a connection that write down what they are told, and a loop of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS = [
    pytest.param(asyncio.SelectorEventLoop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]


def run(
    main: Callable[[], Coroutine[Any, Any, Any]],
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
) -> Any:
    """Run a script on a loop of its own, for 10 seconds at the most."""

    async def in_time() -> Any:
        async with asyncio.timeout(10):
            return await main()

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(in_time())


class End(asyncio.Protocol):
    """A protocol that writes down what it is told, and does nothing by itself."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.keeps_open = False  # when the other end has said its last
        self.made, self.lost, self._news = (asyncio.Event() for _ in range(3))

    def connection_made(self, transport):
        self.transport = transport
        self.made.set()

    def data_received(self, data):
        last = self.heard.pop() if self.heard and isinstance(self.heard[-1], bytes) else b""
        self._note(last + data)

    def eof_received(self):
        self._note("eof")
        return self.keeps_open

    def connection_lost(self, exc):
        self._note(type(exc).__name__ if exc else "lost")
        self.lost.set()

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    def _note(self, what: object) -> None:
        self.heard.append(what)
        self._news.set()

    async def hears(self, *what: object) -> None:
        """Wait until it has heard just this."""
        while self.heard != [*what]:
            self._news.clear()
            await self._news.wait()


async def connected(host: str = "127.0.0.1", kind: type[End] = End) -> tuple[End, End]:
    """Return the client's end and the server's; the server listens no more."""
    loop = asyncio.get_running_loop()
    ends: asyncio.Queue[End] = asyncio.Queue()

    def factory() -> End:
        end = kind()
        ends.put_nowait(end)
        return end

    server = await loop.create_server(factory, host, 0)
    _, client = await loop.create_connection(End, *server.sockets[0].getsockname()[:2])
    other = await ends.get()
    await other.made.wait()
    server.close()
    return client, other


async def turns(count: int = 30) -> None:
    """Give the loop so many turns: in memory, without a delay, nothing takes more."""
    for _ in range(count):
        await asyncio.sleep(0)

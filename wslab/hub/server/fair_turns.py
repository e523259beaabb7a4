"""Turns for those who are so many that they must wait: the addresses take them one after another.

Its rule: whoever waits behind a thousand of one address waits behind one of them. On one loop only;
how long somebody waits is for whoever waits to bound.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator

__all__ = ["FairTurns"]


class FairTurns:
    """So many at once, of all addresses.

    Attributes:
        running: how many have their turn now.
    """

    def __init__(self) -> None:
        self.running = 0
        # Of each address that has somebody waiting; whose turn is next comes first.
        self._waiting: collections.OrderedDict[str, collections.deque[asyncio.Future[None]]] = (
            collections.OrderedDict()
        )

    @property
    def waiting(self) -> int:
        """How many wait for theirs."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def turn(self, address: str, most: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block.

        Args:
            address: who counts as one.
            most: how many may have one at once.
        """
        if not self.take(most):
            await self.wait(address)
        try:
            yield
        finally:
            self.end()

    def take(self, most: int) -> bool:
        """Begin a turn where one is free; return whether it was. Each ends by `end`."""
        if self.running >= most or self._waiting:
            return False
        self.running += 1
        return True

    async def wait(self, address: str) -> None:
        """Wait until a turn is free, and begin it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, collections.deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.end()
            else:
                self._forget(address, turn)
            raise

    def _forget(self, address: str, turn: asyncio.Future[None]) -> None:
        them = self._waiting.get(address)
        if them is not None:
            with contextlib.suppress(ValueError):
                them.remove(turn)
            if not them:
                del self._waiting[address]

    def end(self) -> None:
        """End a turn, and give it to whoever is next."""
        while self._waiting:
            address, them = self._waiting.popitem(last=False)
            turn = them.popleft()
            if them:
                self._waiting[address] = them  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

"""A server that listens in memory, with the interface of :class:`asyncio.Server`.

Its rule: it belongs to its loop, as its transports do. Closing it ends no connection, as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from .transport import Address, MemoryTransport

__all__ = ["MemoryServer", "MemorySocket"]


class MemorySocket:
    """What is asked of a listening socket: its name. It has no descriptor."""

    def __init__(self, name: Address) -> None:
        self._name = name
        self.family = socket.AF_INET6 if len(name) == 4 else socket.AF_INET

    def getsockname(self) -> Address:
        """Return the address that it listens at."""
        return self._name

    def fileno(self) -> int:
        """Return -1, as a socket does that is closed."""
        return -1


class MemoryServer(asyncio.AbstractServer):
    """Made by ``loop.create_server`` where a MemoryNetwork is in use.

    Args:
        loop: the one that it belongs to.
        factory: makes the protocol of each connection.
        names: the addresses that it listens at.
        closed: called when it is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        names: tuple[Address, ...],
        closed: Callable[[MemoryServer], object],
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._names = names
        self._when_closed = closed
        self._is_serving = self._is_closed = False
        self._transports: set[MemoryTransport] = set()
        self._over = loop.create_future()  # it is closed, and its connections are gone

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._names[0][1]

    @property
    def sockets(self) -> tuple[MemorySocket, ...]:
        """One for each address, while it is not closed."""
        return () if self._is_closed else tuple(map(MemorySocket, self._names))

    def hears(self, host: str) -> bool:
        """Whether a connection to that address reaches it."""
        return self._is_serving and any(name[0] in (host, "0.0.0.0", "::") for name in self._names)

    def accept(self, transport: MemoryTransport) -> None:
        """Give the server's end of a new connection its protocol; on the server's loop."""
        if not self._is_serving:  # it was closed in this moment
            transport.abort()
            return
        self._transports.add(transport)
        try:
            protocol = self._factory()
        except BaseException:  # the loop reports it
            transport.abort()
            raise
        transport.begin(protocol, None)

    def forget(self, transport: MemoryTransport) -> None:
        """Let go of an end that is gone; on the server's loop."""
        self._transports.discard(transport)
        self._look()

    def _look(self) -> None:
        if self._is_closed and not self._transports and not self._over.done():
            self._over.set_result(None)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that it belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._is_serving

    async def start_serving(self) -> None:
        """Accept connections from now on."""
        if self._is_closed:
            raise RuntimeError(f"server {self!r} is closed")
        self._is_serving = True

    async def serve_forever(self) -> None:
        """Accept connections until this is cancelled, or the server closed."""
        await self.start_serving()
        try:
            await asyncio.shield(self._over)
        finally:
            self.close()

    def close(self) -> None:
        """Accept no more connections, and give the port back."""
        if not self._is_closed:
            self._is_closed, self._is_serving = True, False
            self._when_closed(self)
            self._look()

    def close_from_anywhere(self) -> None:
        """Close it from whatever thread this is; its loop may have ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.close)

    def close_clients(self) -> None:
        """Close all connections."""
        for transport in tuple(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        """End all connections at once."""
        for transport in tuple(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until it is closed and all its connections are gone."""
        await asyncio.shield(self._over)

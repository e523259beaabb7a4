"""A network in memory: what runs over TCP runs over it unchanged, without ports and at once.

While one is in use, ``create_server`` and ``create_connection`` of every event loop of the process
lead to it. Its rule: protocols see what TCP on this machine would show them; only times, and where
chunks are cut, are its own, and a seed makes them repeat. No TLS, no Unix sockets, no name service:
``localhost`` is 127.0.0.1, and every other name is an address of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import itertools
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Self

from .conditions import BUFFER_BYTES, Conditions
from .in_use import IN_USE
from .memory_server import MemoryServer
from .transport import Address, MemoryTransport

__all__ = ["MemoryConnection", "MemoryNetwork"]

_FIRST_PORT: Final = 49_152  # the dynamic ones begin here (RFC 6335 §6)
_MAX_PORT: Final = 65_535

Factory = Callable[[], asyncio.BaseProtocol]


class MemoryNetwork:
    """A network of this process's own, in use for a ``with`` block; for tests, above all.

    Inside the block servers listen and clients connect in memory: those of ``wslab.serve`` and
    ``wslab.connect``, of ``websockets`` and of all that stands on asyncio. Whoever connects to an
    address that nobody listens at is refused; the machine's own network is out of reach, and so
    are browsers, threads' own sockets and TLS. At its end, what is still open is reset.

    Args:
        seed: makes delays and cuts repeat; by default they are other ones each time.
        delay_s: seconds from a write until the other end can read it.
        jitter_s: up to so many seconds more, at random; the order is kept.
        bytes_per_s: how fast bytes pass, each way; None: at once.
        max_chunk_bytes: cut what arrives at random, into pieces of 1 to so many bytes; None joins
            what is there, as TCP does.
        buffer_bytes: how much may lie unread before writers have to wait.

    Attributes:
        seed: the one that was given, or chosen: with it, this run can be repeated.

    Raises:
        ValueError: a negative time, or pieces of less than a byte.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        max_chunk_bytes: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._conditions = functools.partial(
            Conditions,
            delay_s=delay_s,
            jitter_s=jitter_s,
            bytes_per_s=bytes_per_s,
            max_chunk_bytes=max_chunk_bytes,
            buffer_bytes=buffer_bytes,
        )
        self._conditions()  # raises now what is wrong
        self.seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        self._connections: dict[MemoryConnection, None] = {}
        self._numbers = itertools.count(1)
        self._servers: dict[int, MemoryServer] = {}
        self._ports = itertools.count(_FIRST_PORT)

    @property
    def connections(self) -> tuple[MemoryConnection, ...]:
        """All that are open, at one end at least; the oldest first."""
        return tuple(self._connections)

    def __enter__(self) -> Self:
        _put_in_use(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _put_out_of_use(self)
        for server in tuple(self._servers.values()):
            server.close_from_anywhere()
        for connection in self.connections:
            connection.reset()

    def serves(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> bool:
        """Whether a server of that loop listens there."""
        server = self._servers.get(port)
        return server is not None and server.get_loop() is loop and server.hears(_name(host))

    # What the loops ask for.

    async def create_server(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Factory,
        host: Any = None,
        port: int | None = None,
        *,
        start_serving: bool = True,
        **kwargs: Any,
    ) -> MemoryServer:
        """Stand where ``loop.create_server`` stands.

        Raises:
            OSError: the port is taken.
            ValueError: it asks for what this network lacks.
        """
        _refuse(kwargs)
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        for number in (port,) if port else self._free_ports():
            names = tuple(_address(each, number) for each in hosts)
            server = MemoryServer(loop, factory, names, self._closed)
            if self._servers.setdefault(number, server) is server:
                break
        else:
            raise OSError(
                errno.EADDRINUSE,
                f"error while attempting to bind on address {names[0]}: address already in use",
            )
        if start_serving:
            await server.start_serving()
        return server

    def _free_ports(self) -> Iterator[int]:
        # Like a system's, they are given out in turn; after the last comes the first again.
        count = _MAX_PORT - _FIRST_PORT + 1
        for _ in range(count):
            yield _FIRST_PORT + (next(self._ports) - _FIRST_PORT) % count

    def _closed(self, server: MemoryServer) -> None:
        if self._servers.get(server.port) is server:
            del self._servers[server.port]

    async def create_connection(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Factory,
        host: str | None = None,
        port: int | None = None,
        **kwargs: Any,
    ) -> tuple[MemoryTransport, asyncio.BaseProtocol]:
        """Stand where ``loop.create_connection`` stands.

        Raises:
            ConnectionRefusedError: nobody listens there.
            ValueError: it asks for what this network lacks.
        """
        _refuse(kwargs)
        if host is None or port is None:
            raise ValueError("expected host and port of a server in memory, got no address")
        there = _address(host, port)
        server = self._servers.get(port)
        if server is None or not server.hears(there[0]):
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {there}")
        protocol = factory()
        here = _address(there[0], next(self._free_ports()))
        number = next(self._numbers)

        def ended(transport: MemoryTransport) -> None:
            open_ends.discard(transport)
            if not open_ends:
                self._connections.pop(connection, None)

        def ended_there(transport: MemoryTransport) -> None:
            ended(transport)
            server.forget(transport)

        client = MemoryTransport(
            loop,
            sockname=here,
            peername=there,
            conditions=self._conditions(),
            seed=f"{self.seed} client {number}",
            ended=ended,
        )
        other = MemoryTransport(
            server.get_loop(),
            sockname=there,
            peername=here,
            conditions=self._conditions(),
            seed=f"{self.seed} server {number}",
            ended=ended_there,
        )
        open_ends = {client, other}
        connection = MemoryConnection(client, other)
        self._connections[connection] = None
        opened = loop.create_future()
        client.post(client.begin, protocol, opened)
        other.post(server.accept, other)
        try:
            await opened
        except BaseException:
            client.abort()
            raise
        return client, protocol


# The loops' own methods stand aside while a network is in use.
_stand_aside = contextlib.ExitStack()
_lock = threading.Lock()
_NAMES = ("create_server", "create_connection")


def _put_in_use(network: MemoryNetwork) -> None:
    with _lock:
        if not IN_USE:
            for kind in _kinds_of_loop():
                for name in _NAMES:
                    _stand_aside.callback(_restorer(kind, name))
                    setattr(kind, name, _leading_to_memory(getattr(kind, name)))
        IN_USE.append(network)


def _put_out_of_use(network: MemoryNetwork) -> None:
    with _lock:
        IN_USE.remove(network)
        if not IN_USE:
            _stand_aside.close()


def _kinds_of_loop() -> Iterator[type]:
    yield asyncio.BaseEventLoop
    with contextlib.suppress(ImportError):
        import uvloop

        yield uvloop.Loop


def _restorer(kind: type, name: str) -> Callable[[], None]:
    if name in vars(kind):
        return functools.partial(setattr, kind, name, vars(kind)[name])
    return functools.partial(delattr, kind, name)  # it was inherited


def _leading_to_memory(
    own: Callable[..., Coroutine[Any, Any, Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    name = own.__name__

    @functools.wraps(own)  # who asks which keywords it takes gets the same answer
    async def method(self: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any) -> Any:
        network = IN_USE[-1] if IN_USE else None
        if network is None:  # the block has ended since this was called
            return await getattr(self, name)(*args, **kwargs)
        return await getattr(network, name)(self, *args, **kwargs)

    return method


def _address(host: str | None, port: int) -> Address:
    name = _name(host)
    return (name, port, 0, 0) if ":" in name else (name, port)


def _name(host: str | None) -> str:
    return {None: "0.0.0.0", "": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, str(host))


def _refuse(kwargs: dict[str, Any]) -> None:
    for name in ("sock", "ssl"):
        if kwargs.get(name) is not None:
            raise ValueError(
                f"expected no {name}= in a memory network, which has neither sockets nor TLS; "
                "leave the `with MemoryNetwork()` block, where TCP is used"
            )


class MemoryConnection:
    """A connection of a :class:`MemoryNetwork`, and what can be done to it; from any thread.

    Attributes:
        client, server: the conditions at each end.
        address: the client's host and port.
    """

    def __init__(self, client: MemoryTransport, server: MemoryTransport) -> None:
        client.peer, server.peer = server, client
        self._transports = (client, server)
        self.client: Conditions = client.conditions
        self.server: Conditions = server.conditions
        self.address: tuple[str, int] = client.get_extra_info("sockname")[:2]

    def cut(self) -> None:
        """Let nothing pass either way, and tell nobody: no FIN, no RST."""
        self.client.cut()
        self.server.cut()

    def restore(self) -> None:
        """Let all pass again that was sent meanwhile, in order."""
        self.client.restore()
        self.server.restore()

    def reset(self) -> None:
        """End it as RST does (RFC 9293 §3.5.2): what is under way is lost, and both ends know."""
        self.cut()
        for transport in self._transports:
            transport.reset()

    def __repr__(self) -> str:
        client, server = self._transports
        return f"<MemoryConnection {client!r}, {server!r}>"

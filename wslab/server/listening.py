"""Listening sockets: how a server comes to one port on all addresses of a host, and leaves it.

Its rule: it knows asyncio's servers and those of websockets alike, by what they have in common.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..errors import PortInUse
from ..loops import fork
from ..notebook import cells
from .listen_address import port_of

__all__ = [
    "accept_no_more",
    "descriptors",
    "inherited_socket",
    "listen",
    "listening_socket",
    "port_in_use",
]

SHARED_BACKLOG = 1024  # connections that no process has taken yet
ServerT = TypeVar("ServerT", bound=Any)


async def listen(make: Callable[..., Awaitable[ServerT]], address: tuple[Any, ...]) -> ServerT:
    """Return a server that listens.

    A host of several addresses ("", "localhost") gets a free port for each of them, and they
    differ; a server of ours has one, so the others are asked to follow the first.

    Args:
        make: makes a server, given host and port.
        address: host and port, or nothing where it knows that already.

    Raises:
        OSError: it can't listen there.
    """
    for _ in range(10):
        server = await make(*address)
        port = port_of(server.sockets)
        if not address or address[1] or all(port_of([sock]) == port for sock in server.sockets):
            return server
        server.close()
        await server.wait_closed()
        try:
            return await make(address[0], port)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no port is free on every address of the host")


def descriptors(server: Any) -> list[int]:
    """Return those of the sockets that it listens on; one in memory has none."""
    return [number for sock in server.sockets if (number := sock.fileno()) >= 0]


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, which several processes may share.

    Raises:
        PortInUse: another server listens there.
        OSError: it can't listen there.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    try:
        return socket.create_server(address, family=family, backlog=SHARED_BACKLOG)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE and port:
            raise port_in_use(host, port) from exc
        raise


def inherited_socket(number: int) -> socket.socket:
    """Return the listening socket that this process has from its parent, by its descriptor."""
    return socket.socket(fileno=number)


async def accept_no_more(server: Any) -> None:
    """Take no more connections, before a server is closed.

    asyncio drops, unclosed, a connection that it has accepted and not yet given to the server that
    closes now: so no more of them first, and a turn for those.
    """
    listening = descriptors(server)
    fork.closed_in_child.difference_update(listening)
    with contextlib.suppress(NotImplementedError):  # Windows: there it is not so
        for number in listening:
            asyncio.get_running_loop().remove_reader(number)
    await asyncio.sleep(0)


def port_in_use(host: str, port: int) -> PortInUse:
    """Return the error for a port that is taken; it says by whom, where this process knows it."""
    who = "another program"
    for thing in cells.things():
        if getattr(thing, "port", None) == port and getattr(thing, "is_serving", False):
            kind, name = type(thing).__name__.lower(), getattr(thing, "name", "")
            who = f"this notebook's own {kind} {name!r}, started in another cell"
    return PortInUse(
        errno.EADDRINUSE,
        f"expected port {port} on {host} to be free, but {who} listens there. Stop it, choose "
        "another port, or leave port out to get a free one",
    )

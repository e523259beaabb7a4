"""Where a server listens: host and port, the path of a Unix socket, or a socket that it was given.

Its rule: what is shown of it leads there, for a client on this machine; and a server that starts
again listens where it did before. Routes through Jupyter's server are `notebook.routes`'.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ListenAddress", "in_url", "port_of"]

_ON_THIS_MACHINE = {None: "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class ListenAddress:
    """What a server was told to listen on, and the port that it got.

    Args:
        host: an address or a name, several of them, or None for all interfaces.
        port: 0 for a free one; afterwards the one that was found.
        kwargs: of ``websockets.serve``; ``sock``, ``unix``, ``path`` and ``ssl`` count.

    Attributes:
        is_in_memory: whether it was found on a MemoryNetwork, where no other program comes.
    """

    def __init__(self, host: Any, port: int, kwargs: Mapping[str, Any]) -> None:
        self.port = port
        self.is_in_memory = False
        self._host = host
        self._kwargs = kwargs
        self._sock_name: Any = None  # of the socket that serve(sock=...) was given

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what ``websockets.serve`` needs after the handler, by position and by keyword."""
        kwargs = dict(self._kwargs)
        sock = kwargs.pop("sock", None)
        if sock is not None and sock.fileno() >= 0:
            self._sock_name = sock.getsockname()
            return (), {**kwargs, "sock": sock}
        if isinstance(self._sock_name, tuple):  # started again: that socket has been closed
            return self._sock_name[:2], kwargs
        if self._sock_name is not None:
            kwargs.update(unix=True, path=self._sock_name)
        return () if kwargs.get("unix") else (self._host, self.port), kwargs

    @property
    def host(self) -> str:
        """The address in its URL; all interfaces are shown as this machine."""
        host = self._host
        if isinstance(self._sock_name, tuple):
            host = self._sock_name[0]
        elif host is not None and not isinstance(host, str):
            host = next(iter(host), None)  # asyncio takes several
        return _ON_THIS_MACHINE.get(host, str(host))

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine reaches it, as far as an address says so."""
        host = self._sock_name[0] if isinstance(self._sock_name, tuple) else self._host
        return host == "localhost" or str(host).startswith("127.") or host == "::1"

    @property
    def unix_path(self) -> Any:
        """The path of its Unix socket, or None."""
        path = self._kwargs.get("path") if self._kwargs.get("unix") else self._sock_name
        return None if isinstance(path, tuple) else path

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self._kwargs.get("ssl") is not None

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        scheme = "wss" if self.is_secure else "ws"
        if path := self.unix_path:
            return f"{scheme}+unix://{os.fsdecode(path)}"
        return f"{scheme}://{in_url(self.host)}:{self.port}/"

    def is_own_origin(self, origin: str, reached_at: Any) -> bool:
        """Tell whether a page's Origin is this very server (RFC 6454 §4).

        That is the address that a client reached it at, and the one that it was told to listen on.
        Not what the Host header says: a web site can make its name lead here, and with it its
        pages' Origin.

        Args:
            origin: as the header says it.
            reached_at: the connection's own end, as its socket says it.
        """
        hosts = [reached_at[0]] if isinstance(reached_at, tuple) else []
        if isinstance(self._host, str):
            hosts.append(self._host.lower())
        scheme = "https" if self.is_secure else "http"
        return origin in [f"{scheme}://{in_url(host)}:{self.port}" for host in hosts if host]


def in_url(host: str) -> str:
    """Return a host as a URL writes it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def port_of(sockets: Iterable[Any]) -> int:
    """Return the first TCP port that any of these sockets listens on, or 0."""
    names = (sock.getsockname() for sock in sockets)
    return next((int(name[1]) for name in names if isinstance(name, tuple) and name[1]), 0)

"""What tests look at inside a Server: the only place that uses its private names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import wslab


def at_tcp(server: wslab.Server) -> tuple[Any, ...]:
    """Return websockets' connections that have not been lost, in their handshake or open."""
    return server._connections.at_tcp


def handler_tasks(server: wslab.Server) -> set[asyncio.Task[None]]:
    """Return the handlers that run."""
    assert server._listener.server is not None
    return server._listener.server.handler_tasks


def sockets(server: wslab.Server) -> Sequence[socket.socket]:
    """Return the sockets that it listens on."""
    assert server._listener.server is not None
    return server._listener.server.sockets


def registration(server: wslab.Server) -> Any:
    """Return what it has written for Jupyter's server, or None."""
    return server._entry._registration

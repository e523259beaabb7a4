"""A connection of websockets that turns out to be plain HTTP, handed over to who speaks that.

websockets answers one request that is no handshake, without its body, and hangs up. Its rule: the
transport, and with it the record of every byte, stays as it is; only what the bytes are handed to
changes. The task that would open a WebSocket ends as one that was cancelled: any other way out of
it sends something, or cuts the connection off.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

__all__ = ["HandedOver", "Receiver", "is_kept", "start_beside", "take_over"]


class HandedOver(asyncio.CancelledError):
    """Raised in ``process_request`` to leave the connection to whoever has taken it over."""


class Receiver(Protocol):
    """Who gets the bytes from then on."""

    def data_received(self, data: bytes) -> None:
        """Take bytes that came."""

    def finish(self) -> None:
        """Take note that nothing more comes: the peer has sent its last."""

    def end(self) -> None:
        """Take note that the connection is lost."""


def is_kept(connection: Any) -> bool:
    """Whether what has come on it was kept to be handed over; see `heads.read_head_of`."""
    return hasattr(connection.protocol, "plain_head")


def take_over(connection: Any, receiver: Receiver) -> bytes:
    """Hand a connection's bytes to somebody else; return what has come, from the first byte on.

    Args:
        connection: a recorded one, in its ``process_request``; see `heads.read_head_of`.
        receiver: gets what comes from now on.
    """
    connection.turns.finish()
    reader = connection.protocol.reader
    came = bytes(connection.protocol.plain_head) + bytes(reader.buffer)
    reader.discard()
    connection.protocol.plain_head = b""
    connection.turns.end()
    connection.turns = receiver
    connection.transport.resume_reading()
    return came


def start_beside(connection: Any, coroutine: Any) -> asyncio.Task[None]:
    """Run something that the connection's server waits for, and cancels, when it closes."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
    tasks = connection.server.handler_tasks
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task

"""A connection of websockets that turns out to be plain HTTP, handed over to who speaks that.

websockets answers one request that is no handshake, without its body, and hangs up. Its rule: the
transport, and with it the record of every byte, stays as it is; only what the bytes are handed to
changes. The task that would open a WebSocket ends as one that was cancelled: any other way out of
it sends something, or cuts the connection off. Where a handshake follows after all, since clients
and proxies use connections again, it is given back, as if that had come first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from websockets.server import ServerProtocol

__all__ = ["HandedOver", "Receiver", "give_back", "is_kept", "start_beside", "take_over"]


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
    connection.turns = _Over(receiver, connection.turns)
    connection.transport.resume_reading()
    return came


def give_back(connection: Any, came: bytes, begin: Callable[[ServerProtocol], object]) -> None:
    """Give a connection back to websockets, from whoever has taken it over.

    Args:
        connection: the connection.
        came: the bytes of a handshake's head, and what has come after it.
        begin: prepares its protocol for the first byte.
    """
    protocol = connection.protocol
    connection.request = connection.response = protocol.handshake_exc = None
    connection.request_rcvd = connection.loop.create_future()
    del protocol.plain_head
    begin(protocol)
    connection.turns = connection.turns.turns
    _ = start_beside(connection, connection.server.handler(connection))
    connection.transport.resume_reading()
    connection.turns.data_received(came)


class _Over:
    # Stands where a connection has its `turns`, and keeps those.
    def __init__(self, receiver: Receiver, turns: Any) -> None:
        self.turns = turns
        self.data_received, self.finish, self._end = (
            receiver.data_received, receiver.finish, receiver.end,
        )  # fmt: skip

    def end(self) -> None:
        self._end()
        self.turns.end()


def start_beside(connection: Any, coroutine: Any) -> asyncio.Task[None]:
    """Run something that the connection's server waits for, and cancels, when it closes."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
    tasks = connection.server.handler_tasks
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task

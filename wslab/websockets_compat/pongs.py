"""Pongs for a client that does not read: no more of them are owed than a bound.

websockets answers each ping as it comes and waits for nobody, so a client that only pings fills the
server's memory. Its rule: while more than the bound waits to be written, that connection is not
read, and TCP holds the client back. One that does not read for a minute is cut off: the keepalive
of websockets would not do it, for its ping waits behind these pongs. Whether a receive queue is
full is still for websockets to say: reading goes on when both agree.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["MAX_HELD_S", "MAX_OWED_BYTES", "PongDebt", "is_asked_for", "pongs_bounded"]

MAX_OWED_BYTES = 64 * 2**10
MAX_HELD_S = 60.0
_PONG_BYTES = 64  # what one costs in a transport's buffer beyond its payload
_PING = 0x9


def is_asked_for(connection: Any, pong: Any) -> bool:
    """Whether a pong that has just come answers a ping of this side's (RFC 6455 §5.5.3)."""
    return bytes(pong.data) in connection.pending_pings


class PongDebt:
    """The pongs that a connection of websockets owes, and whether it is read meanwhile.

    Args:
        connection: it has been made, so it has its transport and its receive queue.
    """

    __slots__ = ("_connection", "_owed_bytes", "_resume", "_timer")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._owed_bytes = 0
        self._timer: asyncio.TimerHandle | None = None  # until the connection is cut off
        self._resume = connection.recv_messages.resume
        connection.recv_messages.resume = self._resume_if_paid

    @property
    def is_held(self) -> bool:
        """Whether the connection is not read because of what it owes."""
        return self._timer is not None

    def _cut_off(self) -> None:
        self._connection.logger.info(
            "cut off: for %g s the client read none of the pongs to its pings", MAX_HELD_S
        )
        self._connection.transport.abort()

    def see(self, event: Any) -> None:
        """Take note of an event that has been received, and answered where it is a ping."""
        if getattr(event, "opcode", None) != _PING:
            return
        connection = self._connection
        if not connection.paused:
            self._owed_bytes = 0  # the transport keeps up
            return
        self._owed_bytes += _PONG_BYTES + len(event.data)
        if self._owed_bytes > MAX_OWED_BYTES and not self.is_held:
            connection.transport.pause_reading()
            self._timer = connection.loop.call_later(MAX_HELD_S, self._cut_off)

    def paid(self) -> None:
        """Read on: the transport has got rid of what it had to write."""
        self._owed_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if (
                not self._connection.recv_messages.paused
                and not self._connection.transport.is_closing()
            ):
                self._resume()

    def end(self) -> None:
        """Let go of the connection, so that it and this do not keep each other."""
        if self._timer is not None:
            self._timer.cancel()
        self._connection.recv_messages.resume = self._resume
        self._connection.__dict__.pop("pong_debt", None)

    def _resume_if_paid(self) -> None:
        if not self.is_held:
            self._resume()


@contextlib.contextmanager
def pongs_bounded(connection: Any) -> Iterator[None]:
    """Bound the pongs of a connection of plain websockets for as long as this lasts.

    Where that has been seen to already, as in ``wslab.serve``, or cannot be, it does nothing.
    """
    if hasattr(connection, "pong_debt") or not hasattr(connection, "recv_messages"):
        yield
        return
    debt = connection.pong_debt = PongDebt(connection)
    process, resume = connection.process_event, connection.resume_writing

    def process_event(event: Any) -> None:
        process(event)
        debt.see(event)

    def resume_writing() -> None:
        resume()
        debt.paid()

    connection.process_event, connection.resume_writing = process_event, resume_writing
    try:
        yield
    finally:
        # They lead back here: a cycle that only the garbage collector would end.
        del connection.process_event, connection.resume_writing
        debt.paid()
        debt.end()

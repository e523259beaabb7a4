"""What comes in one read, taken in piece by piece, so that others on the loop have their turn.

A read may bring 256 KiB, and uvloop reads up to 32 times in a row. Of tiny frames that holds the
loop for seconds, since websockets takes in at once whatever it is handed. Its rule: after TURN_S
what is left waits for the next turn of the loop, and nothing more is read before it; whoever has
paused the reading (a full receive queue, pongs that are owed) also pauses what is left. Order is
kept, and nothing is lost but what a connection that breaks would have lost in TCP's own buffers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["PIECE_BYTES", "PIECE_DEFLATED_BYTES", "Turns", "in_turns"]

TURN_S = 0.002  # for one connection, in one turn of the loop
QUICK_S = 0.001  # a read that took longer is the last in this turn
PIECE_BYTES = 2**11  # some 340 empty frames, which take some 2 ms
LONG_PIECE_BYTES = 2**16  # within one long frame, which costs no more for being long
PIECE_DEFLATED_BYTES = 2**11  # the same where it may be compressed: it can become 1,000 times that


class Turns:
    """One connection's reads.

    Args:
        connection: one of websockets that has been made, so that it has its transport and its
            receive queue; before anybody else puts something into the queue's ``resume``.
        take_in: the connection's own ``data_received``.
    """

    __slots__ = (
        "_at",
        "_connection",
        "_is_paused",
        "_is_scheduled",
        "_piece_bytes",
        "_rest",
        "_resume",
        "_take_in",
    )

    def __init__(self, connection: Any, take_in: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._take_in = take_in
        self._rest: bytes | None = None  # of a read; from here on:
        self._at = 0
        self._is_paused = False  # by us
        self._is_scheduled = False
        self._piece_bytes = PIECE_BYTES  # of the next one
        self._resume = connection.recv_messages.resume
        connection.recv_messages.resume = self._resume_in_turn

    def data_received(self, data: bytes) -> None:
        """Take in a read: at once, or what is too much for one turn later."""
        if self._rest is not None:  # it was on its way when reading was paused
            self._rest, self._at = self._rest[self._at :] + data, 0
        elif len(data) <= PIECE_DEFLATED_BYTES:
            self._take_in(data)
        else:
            self._rest, self._at = data, 0
            self._go_on()

    def finish(self) -> None:
        """Take in at once what is left: the peer has said that nothing follows."""
        while self._rest is not None:
            self._take_piece()

    def end(self) -> None:
        """Let go of the connection, so that it and this do not keep each other."""
        self._connection.recv_messages.resume = self._resume
        self._connection = self._rest = None
        self._take_in = self._resume = _nothing

    def _take_piece(self) -> None:
        rest, at = self._rest, self._at
        assert rest is not None
        protocol = self._connection.protocol
        size = PIECE_DEFLATED_BYTES if protocol.extensions else self._piece_bytes
        self._at = at + size
        if self._at >= len(rest):
            self._rest = None
        self._take_in(rest[at : self._at])
        # Where all of it waits for more of the same frame, the next piece may be longer.
        is_within_frame = len(protocol.reader.buffer) >= size
        self._piece_bytes = min(2 * size, LONG_PIECE_BYTES) if is_within_frame else PIECE_BYTES

    @property
    def _is_held(self) -> bool:
        debt = getattr(self._connection, "pong_debt", None)
        return self._connection.recv_messages.paused or (debt is not None and debt.is_held)

    def _go_on(self) -> None:
        transport = self._connection.transport
        if transport.is_closing():
            self._rest = None  # as TCP's own buffers keep it then
            return
        began_s = time.monotonic()
        took_s = 0.0
        while self._rest is not None and took_s < TURN_S and not self._is_held:
            self._take_piece()
            took_s = time.monotonic() - began_s
        if self._rest is not None and self._is_held:
            return  # whoever holds it has paused the transport, and resumes here
        if self._rest is not None or took_s > QUICK_S:
            self._is_paused = True
            transport.pause_reading()
            self._go_on_soon()
        elif self._is_paused:
            self._is_paused = False
            if not self._is_held and not transport.is_closing():
                self._resume()

    def _go_on_soon(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._connection.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_scheduled = False
        if self._connection is not None:
            self._go_on()

    def _resume_in_turn(self) -> None:
        if self._rest is not None or self._is_paused:
            self._is_paused = True  # whoever has paused it before us leaves the rest to us
            self._go_on_soon()
        else:
            self._resume()


def _nothing(*_args: Any) -> None:
    pass


def in_turns(connection: Any) -> None:
    """Let a connection of plain websockets take in its reads so, until it ends.

    Where that has been seen to already, as in ``wslab.serve``, or cannot be, it does nothing.
    """
    if hasattr(connection, "turns") or not hasattr(connection, "recv_messages"):
        return
    turns = connection.turns = Turns(connection, connection.data_received)
    eof_received = connection.eof_received

    def all_received() -> Any:
        turns.finish()
        return eof_received()

    def end(_waiter: Any) -> None:
        # They lead back here: a cycle that only the garbage collector would end.
        del connection.data_received, connection.eof_received, connection.turns
        turns.end()

    connection.data_received, connection.eof_received = turns.data_received, all_received
    connection.transport.set_protocol(connection)  # uvloop keeps the method that it calls
    connection.connection_lost_waiter.add_done_callback(end)

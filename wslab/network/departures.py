"""What goes from one end of a line: held until the conditions and the transport take it.

Its rule: the program may write on for as long as a kernel's buffers would have room, and is told
beyond that, as every transport tells it; the order stays. How a connection ends is for `line` to
know.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from .conditions import Conditions
from .pipe import Mark, Pipe

__all__ = ["Departures", "send_rst"]

_WRITE_BYTES: Final = 2**18
_LINGER_0: Final = struct.pack("ii", 1, 0)  # a socket that is closed with this sends RST


class Departures:
    """The outgoing direction; on the connection's loop.

    Args:
        transport: what is written to.
        conditions: of this direction.
        seed: see :class:`Pipe`.
        is_full: whether the transport has told the protocol to pause writing.
        tell: called with whether the protocol shall pause writing.
        moved: called when something has gone, or may.

    Attributes:
        pipe: what is held.
        is_full: whether the protocol has been told to pause.
        is_full_below: whether the transport has no more room.
        is_closed: whether no more is taken.
        is_aborted: whether only what a kernel has is still sent, whatever becomes of it.
        is_down: whether the transport is gone.
    """

    def __init__(
        self,
        transport: Any,
        conditions: Conditions,
        seed: str,
        *,
        is_full: bool,
        tell: Callable[[bool], None],
        moved: Callable[[], None],
    ) -> None:
        self.pipe = Pipe(conditions, seed)
        self.is_full = self.is_full_below = is_full
        self.is_closed = self.is_aborted = self.is_down = False
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._conditions = conditions
        self._tell, self._moved = tell, moved
        self._wake: asyncio.Handle | None = None
        self._low, self._high = transport.get_write_buffer_limits()

    @property
    def left_bytes(self) -> int:
        """What is beyond the buffers of a kernel: theirs have room for some of what is held."""
        room_bytes = 0 if self.is_full_below else self._conditions.buffer_bytes
        below_bytes = 0 if self.is_down else self._transport.get_write_buffer_size()
        return int(max(self.pipe.size_bytes - room_bytes, 0) + below_bytes)

    def write(self, data: Any) -> None:
        """Take what the program writes."""
        if self.pipe.is_empty and self._conditions.lets_all_pass and not self.is_full_below:
            self._transport.write(data)
            return
        self.put(bytes(data))
        self.tell_full()

    def put(self, what: bytes | Mark) -> None:
        """Send something on its way."""
        self.pipe.put(what, self._loop.time())
        self._plan()

    def abort(self) -> None:
        """Take no more, and forget what would not fit into a kernel's buffers."""
        self.is_closed = self.is_aborted = True
        self.pipe.drop_beyond(0 if self.is_full_below else self._conditions.buffer_bytes)

    def set_limits(self, high: int | None, low: int | None) -> None:
        """Set when the program is told to pause writing, and when to go on; in bytes."""
        self._transport.set_write_buffer_limits(high, low)
        self._low, self._high = self._transport.get_write_buffer_limits()
        self.tell_full()

    def full_below(self, *, is_full: bool) -> None:
        """Take note of what the transport says of its own buffer."""
        self.is_full_below = is_full
        if is_full:
            self.tell_full()
        else:
            self._plan()
            self._tell_room()

    def look(self) -> None:
        """Take note that the conditions have changed."""
        self.pipe.note_change(self._loop.time())
        self.cancel()
        self._plan()
        self._tell_room()

    def forget(self) -> None:
        """Drop what is held, and let go of who is told: it leads back here, a cycle."""
        self.cancel()
        self.pipe.drop_beyond(0)
        self._tell = self._moved = _nothing

    def cancel(self) -> None:
        """Forget when to look again."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def tell_full(self) -> None:
        """Tell the program where there is no room."""
        if not self.is_full and not self.is_closed and self.left_bytes > self._high:
            self.is_full = True
            self._tell(True)

    def _tell_room(self) -> None:
        # A transport that did not say that it is full will not say that it has room.
        waits = self.is_full_below or self.pipe.size_bytes > self._conditions.buffer_bytes
        if self.is_full and (self.left_bytes <= self._low or not waits):
            self.is_full = False
            self._tell(False)
        self._moved()

    def _plan(self) -> None:
        if self._wake is None and self._takes_more:
            due_s = self.pipe.due_s()
            if due_s is not None:
                self._wake = self._loop.call_at(due_s, self.send)

    @property
    def _takes_more(self) -> bool:
        return not self.is_down and (self.is_aborted or not self.is_full_below)

    def send(self) -> None:
        """Give the transport what is due."""
        self.cancel()
        while self._takes_more:
            what = self.pipe.take(self._loop.time(), _WRITE_BYTES)
            if what is None:
                break
            if isinstance(what, bytes):
                self._transport.write(what)
            elif what is Mark.RST:
                send_rst(self._transport)
            elif self._transport.can_write_eof() and not self.is_closed:
                self._transport.write_eof()
        self._plan()
        self._tell_room()

    def end_below(self) -> None:
        """End the transport, where nothing is left to go."""
        if self.pipe.is_empty and not self.is_down:
            transport = self._transport
            is_done = self.is_full_below or not transport.get_write_buffer_size()
            (transport.abort if self.is_aborted and is_done else transport.close)()


def _nothing(*_args: Any) -> None:
    pass


def send_rst(transport: Any) -> None:
    """End a transport, and the connection at its other end, by RST."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    elif hasattr(transport, "void"):
        transport.void()  # in memory
    transport.abort()

"""One end of a connection in memory, as an asyncio transport.

Its rule: what a protocol sees of it (order, backpressure, half-closed ends, FIN, RST, and when each
is noticed) is what asyncio shows of TCP on Linux. It belongs to its loop, where all of it runs; the
other end may be on another loop and thread, and the two only post to each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from typing import Any, Final, cast

from .conditions import Conditions
from .pipe import Mark, Pipe

__all__ = ["Address", "MemoryTransport"]

_READ_BYTES: Final = 2**18  # in one data_received, as asyncio reads
_HIGH_WATER_BYTES: Final = 2**16  # asyncio's own

Address = tuple[str, int] | tuple[str, int, int, int]


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory; its many members are those of every asyncio transport.

    Args:
        loop: the one that it belongs to.
        sockname, peername: the addresses of this end and of the other one.
        conditions: of what comes to this end.
        seed: see :class:`Pipe`.
        ended: called on the loop when this end is gone.

    Attributes:
        peer: the other end.
        max_size: how many bytes it reads at once.
    """

    peer: MemoryTransport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        sockname: Address,
        peername: Address,
        conditions: Conditions,
        seed: str,
        ended: Callable[[MemoryTransport], object],
    ) -> None:
        super().__init__({"sockname": sockname, "peername": peername})
        self.max_size = _READ_BYTES
        self.conditions = conditions
        self._loop = loop
        self._protocol: Any = None
        self._ended = ended
        self._incoming = Pipe(conditions, seed)
        self._wake: asyncio.Handle | None = None
        self._unread_bytes = 0  # that this end wrote and the other one has not read
        self._wants_to_read = True
        self._has_got_fin = self._has_sent_fin = False
        self._is_closing = self._is_lost = False
        self._is_void = False  # it ends by RST
        self._is_full = False  # the protocol was told to pause writing
        self._low, self._high = _HIGH_WATER_BYTES // 4, _HIGH_WATER_BYTES
        conditions.changed = lambda: self.post(self._look_again)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Let this end's loop call a function soon; from any thread."""
        with contextlib.suppress(RuntimeError):  # that loop is closed, and all that ran on it
            self._loop.call_soon_threadsafe(function, *args)

    def begin(self, protocol: asyncio.BaseProtocol, opened: asyncio.Future[None] | None) -> None:
        """Connect this end with its protocol; on the loop."""
        self._protocol = protocol
        try:
            protocol.connection_made(self)
        finally:
            if opened is not None and not opened.done():
                opened.set_result(None)
            self._look()

    # Reading.

    def is_reading(self) -> bool:
        return self._wants_to_read and not self._is_closing

    def pause_reading(self) -> None:
        self._wants_to_read = False

    def resume_reading(self) -> None:
        self._wants_to_read = True
        self._look()

    def _look_again(self) -> None:
        self._incoming.note_change(self._loop.time())
        self._look()

    def _look(self) -> None:
        """Read at the next turn of the loop, or when something comes."""
        due_s = self._incoming.due_s()
        if due_s is None or self._wake is not None:
            return
        if due_s > self._loop.time():
            self._wake = self._loop.call_at(due_s, self._read)
        else:
            self._wake = self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._wake = None
        now_s = self._loop.time()
        if self._is_lost:
            self._refuse(now_s)
        elif not self.is_reading() or self._has_got_fin or self.conditions.is_stopped:
            # Who reads nothing learns of RST when it writes, or has something left to write.
            if self.get_write_buffer_size() and self._incoming.has_reset(now_s):
                self._break_off(_reset_error(self._incoming.has_fin))
        else:
            what = self._incoming.take(now_s, self.max_size)
            try:
                if isinstance(what, bytes):
                    self._tell_peer(self.peer._was_read, len(what))
                    self._deliver(what)
                elif what is Mark.FIN:
                    self._has_got_fin = True
                    if not self._protocol.eof_received():
                        self.close()
                elif what is Mark.RST:
                    self._break_off(_reset_error(self._incoming.has_fin))
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._loop.call_exception_handler(
                    {
                        "message": "Fatal error: a protocol's method failed.",
                        "exception": exc,
                        "transport": self,
                        "protocol": self._protocol,
                    }
                )
                self._break_off(exc)
            self._look()

    def _deliver(self, data: bytes) -> None:
        protocol = self._protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            protocol.data_received(data)
            return
        while data and not self._is_lost:
            buffer = memoryview(cast("bytearray", protocol.get_buffer(len(data))))
            part, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(part)] = part
            protocol.buffer_updated(len(part))

    def _refuse(self, now_s: float) -> None:
        # Bytes for an end that is gone are answered with RST; FIN alone is not.
        while (what := self._incoming.take(now_s, _READ_BYTES)) is not None:
            if isinstance(what, bytes):
                self._send(Mark.RST)
        self._look()

    def _arrive(self, what: bytes | Mark) -> None:
        self._incoming.put(what, self._loop.time())
        self._look()

    # Writing.

    def write(self, data: Any) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
        if self._has_sent_fin:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or not data:
            return
        if self._incoming.has_reset(self._loop.time()):
            self._break_off(_reset_error(self._incoming.has_fin))
            return
        self._unread_bytes += len(data)
        self._send(bytes(data))
        self._pause_if_full()

    def _send(self, what: bytes | Mark) -> None:
        self._tell_peer(self.peer._arrive, what)

    def _tell_peer(self, function: Callable[..., object], *args: Any) -> None:
        if self.peer._loop is self._loop:
            self._loop.call_soon(function, *args)
        else:
            self.peer.post(function, *args)

    def _was_read(self, size_bytes: int) -> None:
        """Go on where the other end has read so many bytes."""
        self._unread_bytes -= size_bytes
        if self._is_lost:
            return
        left_bytes = self.get_write_buffer_size()
        if self._is_full and left_bytes <= self._low:
            self._is_full = False
            self._protocol.resume_writing()
        if self._is_closing and not left_bytes:
            self._lose(None)

    def _pause_if_full(self) -> None:
        if self._is_full or self._is_closing:
            return
        if self.get_write_buffer_size() > self._high:
            self._is_full = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return max(self._unread_bytes - self.peer.conditions.buffer_bytes, 0)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH_WATER_BYTES if low is None else 4 * low
        low = high // 4 if low is None else low
        if not 0 <= low <= high:
            raise ValueError(f"expected 0 <= low <= high, got {low=}, {high=}")
        self._low, self._high = low, high
        self._pause_if_full()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._has_sent_fin and not self._is_closing:
            self._has_sent_fin = True
            self._send(Mark.FIN)

    # Ending.

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", self._protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Read no more, and end when all that was written is in flight."""
        if not self._is_closing:
            self._is_closing = True
            if not self.get_write_buffer_size():
                self._loop.call_soon(self._lose, None)
            self._look()

    def abort(self) -> None:
        """End at once; what is not yet in flight is lost."""
        self._break_off(None)

    def _break_off(self, exc: BaseException | None) -> None:
        if self._is_lost:
            return
        self._is_closing = True
        if self.get_write_buffer_size():
            self._unread_bytes = self.peer.conditions.buffer_bytes
            self._tell_peer(self.peer._incoming.drop_beyond, self._unread_bytes)
        self._loop.call_soon(self._lose, exc)

    def _lose(self, exc: BaseException | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        has_unread = self._incoming.has_come(self._loop.time()) and self._incoming.size_bytes
        if has_unread or self._is_void:
            self._send(Mark.RST)  # it ends with bytes unread
        elif not self._has_sent_fin:
            self._send(Mark.FIN)
        self._ended(self)
        protocol, self._protocol = self._protocol, None
        self._look()
        if protocol is not None:
            protocol.connection_lost(exc)

    def void(self) -> None:
        """End the connection by RST, as a socket does that is closed with SO_LINGER of 0 s."""
        self._is_void = True
        self.abort()

    def reset(self) -> None:
        """End this end as RST from the network does, whatever is under way; from any thread."""
        self.post(self._break_off, _reset_error(False))

    def __repr__(self) -> str:
        here, there = (self.get_extra_info(name) for name in ("sockname", "peername"))
        state = "closed" if self._is_lost else "closing" if self._is_closing else "open"
        return f"<MemoryTransport {here} to {there}, {state}>"


def _reset_error(is_after_fin: bool) -> OSError:
    # What Linux reports: after FIN it is a broken pipe.
    number = errno.EPIPE if is_after_fin else errno.ECONNRESET
    return OSError(number, os.strerror(number))

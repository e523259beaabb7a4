"""What lies between a connection's protocol and its transport once a condition is set there.

To the protocol it is the transport, to the transport the protocol. Its rule: each end sees what the
kernels at the two ends of such a line would show it, in order, and learns of an end only when the
line lets it; what is held is bounded as a kernel's buffers are. All of it runs on the connection's
loop. When it is put in, and by whom, is for `line_conditions` to know.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from .pipe import Mark, Pipe

if TYPE_CHECKING:
    from .conditions import Conditions

__all__ = ["ORPHAN_S", "Line"]

ORPHAN_S: Final = 924.6
"""For how long what is held outlives the protocol: as Linux tries by default (tcp_retries2)."""

_READ_BYTES: Final = 2**18  # in one data_received, as asyncio reads
_LINGER_0: Final = struct.pack("ii", 1, 0)  # a socket that is closed with this sends RST


class Line(asyncio.Protocol):
    """One end of a line; its many members are those of every asyncio transport and protocol.

    Args:
        transport: what is below it.
        protocol: what is above it.
        sending, receiving: the conditions of the two directions.
        seed: of the times and the cuts; see :class:`Pipe`.
        is_new: whether the transport begins only now, and may not yet say that it reads.
        is_full: whether it has told the protocol to pause writing.
        ended: called with this when nothing is left to do.
    """

    def __init__(
        self,
        transport: Any,
        protocol: Any,
        *,
        sending: Conditions,
        receiving: Conditions,
        seed: str,
        is_new: bool,
        is_full: bool,
        ended: Callable[[Line], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._protocol = protocol
        self._sending, self._receiving = sending, receiving
        self._going = Pipe(sending, f"{seed} sending")
        self._coming = Pipe(receiving, f"{seed} receiving")
        self._ended = ended
        self._wake_going: asyncio.Handle | None = None
        self._wake_coming: asyncio.Handle | None = None
        self._orphan: asyncio.Task[None] | None = None
        self._wants_to_read = self._is_read = is_new or transport.is_reading()
        self._is_full = self._is_full_below = is_full
        self._is_closing = self._is_lost = False  # towards the protocol
        self._is_aborted = False
        self._is_void = False  # RST has ended it, whether the protocol knows or not
        self._has_fin = self._is_down = False  # of the transport: nothing more comes; it is gone
        self._has_sent_fin = False
        self._has_unread = False  # bytes came that nobody will read
        self._how_ended: Exception | None = None
        self._low, self._high = transport.get_write_buffer_limits()
        transport.set_protocol(self)
        self._loop.call_soon(self._tune_reading)  # a new one does not hear it at once

    @property
    def held_bytes(self) -> int:
        """How much is held, both ways."""
        return self._going.size_bytes + self._coming.size_bytes

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The connection's."""
        return self._loop

    def look(self) -> None:
        """Take note that the conditions have changed."""
        if self._is_down and self._is_lost:
            return
        now_s = self._loop.time()
        for pipe in (self._going, self._coming):
            pipe.note_change(now_s)
        for handle in (self._wake_going, self._wake_coming):
            if handle is not None:
                handle.cancel()
        self._wake_going = self._wake_coming = None
        if self._is_void:
            self._note_void_if_read()
            return
        self._tune_reading()
        self._plan_going()
        self._plan_coming()
        self._tell_room()

    def hasten(self) -> None:
        """Let pass at once what waits for its time."""
        self._going.hasten()
        self._coming.hasten()
        self.look()

    def void(self) -> None:
        """End the connection by RST (RFC 9293 §3.5.2), at both ends; what is held is lost.

        The protocol learns of it as from a socket: when it reads or writes.
        """
        if self._is_down or self._is_void:
            return
        self._is_void = True
        has_unsent = self.get_write_buffer_size()
        self._going.drop_beyond(0)
        self._coming.drop_beyond(0)
        if self._can_read or has_unsent:
            self._note_void()
        self._reset_below()

    def end(self) -> None:
        """Give up what is held, and let go of the transport."""
        self._transport.abort()

    # --- what comes: called by the transport ------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            self._has_unread = True
        elif self._coming.is_empty and self._can_read and self._receiving.lets_all_pass:
            self._deliver(data)
        else:
            self._coming.put(data, self._loop.time())
            self._tune_reading()
            self._plan_coming()

    def eof_received(self) -> bool:
        self._has_fin = True
        if self._is_lost and self._sending.is_cut:
            self._transport.abort()  # both ends have given the connection up
        elif not self._is_lost:
            self._coming.put(Mark.FIN, self._loop.time())
            self._plan_coming()
        # TLS closes itself then, whatever it is told, and complains where it is told otherwise.
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_down, self._how_ended = True, exc
        if self._is_void and not self._is_lost:
            return  # the protocol learns of it from us
        if self._orphan is not None:
            self._orphan.cancel()
        if self._is_lost:
            self._finish()
        elif self._is_closing:
            self._lose(exc)
        else:
            self._coming.put(Mark.RST, self._loop.time())
            self._plan_coming()

    @property
    def _can_read(self) -> bool:
        return self._wants_to_read and not self._is_closing and not self._receiving.is_stopped

    def _tune_reading(self) -> None:
        """Read of the transport what there is room for; once nobody reads, only to see its end."""
        if self._has_fin or self._is_down or self._transport.is_closing():
            return
        has_room = self._coming.size_bytes < max(self._receiving.buffer_bytes, 1)
        should_read = self._is_lost or (self._can_read and has_room)
        if should_read is not self._is_read:
            self._is_read = should_read
            (self._transport.resume_reading if should_read else self._transport.pause_reading)()

    def _plan_coming(self) -> None:
        if self._wake_coming is None:
            # Who reads nothing learns of RST all the same.
            coming = self._coming
            due_s = coming.due_s() if self._can_read else coming.reset_s()
            self._wake_coming = self._at(due_s, self._receive)

    def _receive(self) -> None:
        self._wake_coming = None
        if self._is_lost:
            return
        now_s = self._loop.time()
        if self._can_read:
            what = self._coming.take(now_s, _READ_BYTES)
            if what is not None:
                self._deliver(what)
                self._tune_reading()
        elif self._coming.has_reset(now_s):
            self._lose(self._how_ended)
        self._plan_coming()

    def _deliver(self, what: bytes | Mark) -> None:
        try:
            if isinstance(what, bytes):
                self._protocol.data_received(what)
            elif what is Mark.FIN:
                if not self._protocol.eof_received():
                    self.close()
            else:
                self._lose(self._how_ended)
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

    # --- what goes: called by the protocol --------------------------------------------------------

    def write(self, data: Any) -> None:
        if self._is_void:
            self._note_void()
        if not data or self._is_closing:
            return
        if self._going.is_empty and self._sending.lets_all_pass and not self._is_full_below:
            self._transport.write(data)
            return
        self._going.put(bytes(data), self._loop.time())
        self._plan_going()
        self._tell_full()

    def writelines(self, lines: Iterable[Any]) -> None:
        self.write(b"".join(lines))

    def write_eof(self) -> None:
        if not self._has_sent_fin and not self._is_closing:
            self._has_sent_fin = True
            self._going.put(Mark.FIN, self._loop.time())
            self._plan_going()

    def pause_writing(self) -> None:
        """The transport has no more room."""
        self._is_full_below = True
        self._tell_full()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._is_full_below = False
        self._plan_going()
        self._tell_room()

    def _plan_going(self) -> None:
        if self._wake_going is None and self._takes_more:
            self._wake_going = self._at(self._going.due_s(), self._send)

    @property
    def _takes_more(self) -> bool:
        return not self._is_down and (self._is_aborted or not self._is_full_below)

    def _send(self) -> None:
        self._wake_going = None
        transport = self._transport
        while self._takes_more:
            what = self._going.take(self._loop.time(), _READ_BYTES)
            if what is None:
                break
            if isinstance(what, bytes):
                transport.write(what)
            elif what is Mark.RST:
                self._reset_below()
            elif transport.can_write_eof() and not self._is_lost:
                transport.write_eof()
        self._plan_going()
        self._tell_room()
        if self._is_lost:
            self._end_below()

    def _end_below(self) -> None:
        """End the transport when nothing is left to go."""
        if self._going.is_empty and not self._is_down:
            transport = self._transport
            has_all_gone = self._is_full_below or not transport.get_write_buffer_size()
            (transport.abort if self._is_aborted and has_all_gone else transport.close)()

    def get_write_buffer_size(self) -> int:
        """What is beyond the buffers of a kernel: theirs have room for some of what is held."""
        room_bytes = 0 if self._is_full_below else self._sending.buffer_bytes
        below_bytes = 0 if self._is_down else self._transport.get_write_buffer_size()
        return int(max(self._going.size_bytes - room_bytes, 0) + below_bytes)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)
        self._low, self._high = self._transport.get_write_buffer_limits()
        self._tell_full()

    def _tell_full(self) -> None:
        if not self._is_full and not self._is_closing and self.get_write_buffer_size() > self._high:
            self._is_full = True
            self._protocol.pause_writing()

    def _tell_room(self) -> None:
        left_bytes = self.get_write_buffer_size()
        if self._is_full and left_bytes <= self._low and not self._is_lost:
            self._is_full = False
            self._protocol.resume_writing()
        if self._is_closing and not left_bytes and not self._is_lost:
            self._loop.call_soon(self._lose, None)

    # --- reading and ending: called by the protocol -----------------------------------------------

    def is_reading(self) -> bool:
        return self._wants_to_read and not self._is_closing

    def pause_reading(self) -> None:
        self._wants_to_read = False
        self._tune_reading()

    def resume_reading(self) -> None:
        self._wants_to_read = True
        self._note_void_if_read()
        self._tune_reading()
        self._plan_coming()

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Read no more, and end when all that was written is in flight."""
        if not self._is_closing:
            self._is_closing = True
            self._tune_reading()
            if not self.get_write_buffer_size():
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """End at once; what is not yet in flight is lost."""
        self._break_off(None)

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def _break_off(self, exc: BaseException | None) -> None:
        if self._is_lost:
            return
        self._is_closing = self._is_aborted = True
        self._going.drop_beyond(0 if self._is_full_below else self._sending.buffer_bytes)
        self._loop.call_soon(self._lose, exc)

    def _lose(self, exc: BaseException | None) -> None:
        """Let go of the protocol, and send on what a kernel would send without its program."""
        if self._is_lost:
            return
        now_s = self._loop.time()
        has_unread = self._coming.size_bytes and self._coming.has_come(now_s)
        self._is_closing = self._is_lost = True
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(exc)
        finally:
            if self._is_down:
                self._finish()
            else:
                if has_unread or self._has_unread:
                    self._going.put(Mark.RST, now_s)
                elif not self._has_sent_fin:
                    self._going.put(Mark.FIN, now_s)
                self._coming.drop_beyond(0)
                self._tune_reading()
                self._orphan = self._loop.create_task(self._outlive())
                self._send()

    async def _outlive(self) -> None:
        # A task, since whoever ends a loop cancels those first: then nothing is held any more.
        try:
            await asyncio.sleep(ORPHAN_S)
        finally:
            self._transport.abort()

    def _note_void(self) -> None:
        self._is_closing = self._is_aborted = self._has_sent_fin = True
        self._loop.call_soon(self._lose, _reset_error())

    def _note_void_if_read(self) -> None:
        if self._is_void and self._can_read:
            self._note_void()

    def _reset_below(self) -> None:
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if sock is None:
            if hasattr(transport, "void"):
                transport.void()  # in memory
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()

    def _finish(self) -> None:
        for handle in (self._wake_going, self._wake_coming, self._orphan):
            if handle is not None:
                handle.cancel()
        self._coming.drop_beyond(0)
        self._going.drop_beyond(0)
        self._ended(self)

    def _at(self, due_s: float | None, function: Callable[[], None]) -> asyncio.Handle | None:
        if due_s is None:
            return None
        if due_s > self._loop.time():
            return self._loop.call_at(due_s, function)
        return self._loop.call_soon(function)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)  # whatever else there is to know of it

    def __repr__(self) -> str:
        state = "closed" if self._is_lost else "closing" if self._is_closing else "open"
        return f"<Line over {self._transport!r}, {state}, {self.held_bytes} B held>"


def _reset_error() -> OSError:
    return OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

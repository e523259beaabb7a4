"""What lies between a connection's protocol and its transport while a condition is set there.

To the protocol it is the transport, to the transport the protocol. Its rule: each end sees what the
kernels at the two ends of such a line would show it, in order, and learns of an end only when the
line lets it; what is held is bounded as a kernel's buffers are. All of it runs on the connection's
loop. When it is put in and taken out, and by whom, is for `line_conditions` to know.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from .arrivals import Arrivals
from .departures import Departures, send_rst
from .pipe import Mark

if TYPE_CHECKING:
    from .conditions import Conditions

__all__ = ["ORPHAN_S", "Line"]

ORPHAN_S: Final = 924.6
"""For how long what is held outlives the protocol: as Linux tries by default (tcp_retries2)."""


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

    Attributes:
        loop: the connection's.
        below: the transport.
        is_out: whether it has left, since nothing was set any more, and the two are joined again.
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
        self.loop = asyncio.get_running_loop()
        self.below = transport
        self._protocol = protocol
        self._sending, self._receiving = sending, receiving
        self._arrivals = Arrivals(
            transport, receiving, f"{seed} receiving", is_new=is_new, deliver=self._deliver,
            moved=self._moved,
        )  # fmt: skip
        self._departures = Departures(
            transport, sending, f"{seed} sending", is_full=is_full, tell=self._tell,
            moved=self._moved,
        )  # fmt: skip
        self._ended = ended
        self._orphan: asyncio.Task[None] | None = None
        self._is_closing = self._is_lost = False  # towards the protocol
        self._is_void = False  # RST has ended it, whether the protocol knows or not
        self._has_sent_fin = self.is_out = False
        self._how_ended: Exception | None = None
        transport.set_protocol(self)

    @property
    def held_bytes(self) -> int:
        """How much is held, both ways."""
        return self._departures.pipe.size_bytes + self._arrivals.pipe.size_bytes

    def look(self) -> None:
        """Take note that the conditions have changed."""
        if self._is_void:
            self._note_void_if_read()
        elif not self._is_over and not self.is_out:
            self._arrivals.look()
            self._departures.look()

    def hasten(self) -> None:
        """Let pass at once what waits for its time."""
        self._departures.pipe.hasten()
        self._arrivals.pipe.hasten()
        self.look()

    def void(self) -> None:
        """End the connection by RST (RFC 9293 §3.5.2), at both ends; what is held is lost.

        The protocol learns of it as from a socket: when it reads or writes.
        """
        if self._is_void or self._is_over or self.is_out:
            return
        self._is_void = True
        has_unsent = self._departures.left_bytes
        for pipe in (self._departures.pipe, self._arrivals.pipe):
            pipe.drop_beyond(0)
        if self._arrivals.can_read or has_unsent:
            self._note_void()
        if not self._departures.is_down:
            send_rst(self.below)

    def end(self) -> None:
        """Give up what is held, and let go of the transport."""
        self.below.abort()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        self._arrivals.put(data)

    def eof_received(self) -> bool:
        self._arrivals.has_fin = True
        if self._is_lost and self._sending.is_cut:
            self.below.abort()  # both ends have given the connection up
        elif not self._is_lost:
            self._arrivals.put(Mark.FIN)
        # TLS closes itself then, whatever it is told, and complains where it is told otherwise.
        return self.below.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrivals.has_fin = self._departures.is_down = True
        self._how_ended = exc
        if self._is_lost:
            self._finish()
        elif self._is_void:
            pass  # the protocol learns of it from us
        elif self._is_closing:
            self._lose(exc)
        else:
            self._arrivals.put(Mark.RST)

    def pause_writing(self) -> None:
        self._departures.full_below(is_full=True)

    def resume_writing(self) -> None:
        self._departures.full_below(is_full=False)

    # What the protocol is told.

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
            self.loop.call_exception_handler(
                {
                    "message": "Fatal error: a protocol's method failed.",
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
            self._break_off(exc)

    def _tell(self, pauses: bool) -> None:
        if not self._is_lost:
            (self._protocol.pause_writing if pauses else self._protocol.resume_writing)()

    def _moved(self) -> None:
        if self._is_lost:
            self._departures.end_below()
        elif self._is_closing and not self._departures.left_bytes:
            self.loop.call_soon(self._lose, None)
        elif self._is_of_no_use:
            # What was set may be gone before it was looked at: then the transport still stands.
            self._arrivals.tune()
            self.is_out = True
            self.below.set_protocol(self._protocol)
            self._forget()

    @property
    def _is_of_no_use(self) -> bool:
        arrivals, departures = self._arrivals, self._departures
        return (
            self._sending.lets_all_pass
            and self._receiving.lets_all_pass
            and not self._receiving.is_stopped
            and arrivals.pipe.is_empty
            and departures.pipe.is_empty
            and departures.is_full is departures.is_full_below
            and not (self._is_closing or self._is_void or arrivals.has_fin or self.is_out)
            and not self.below.is_closing()
        )

    # What the protocol calls.

    def write(self, data: Any) -> None:
        if self._is_void:
            self._note_void()
        elif data and not self._is_closing:
            self._departures.write(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        self.write(b"".join(lines))

    def write_eof(self) -> None:
        if not self._has_sent_fin and not self._is_closing:
            self._has_sent_fin = True
            self._departures.put(Mark.FIN)

    def get_write_buffer_size(self) -> int:
        return self._departures.left_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._departures.set_limits(high, low)

    def is_reading(self) -> bool:
        return self._arrivals.wants_to_read and not self._is_closing

    def pause_reading(self) -> None:
        self._arrivals.wants_to_read = False
        self._arrivals.tune()

    def resume_reading(self) -> None:
        self._arrivals.wants_to_read = True
        self._note_void_if_read()
        self._arrivals.tune()
        self._arrivals.plan()

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Read no more, and end when all that was written is in flight."""
        if not self._is_closing:
            self._is_closing = True
            self._arrivals.close()
            if self._departures.is_down:
                self.loop.call_soon(self._lose, self._how_ended)  # what is held can go nowhere
            else:
                self._moved()

    def abort(self) -> None:
        """End at once; what is not yet in flight is lost."""
        self._break_off(None)

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    # How it ends.

    def _break_off(self, exc: BaseException | None) -> None:
        if not self._is_lost:
            self._is_closing = True
            self._departures.abort()
            self.loop.call_soon(self._lose, exc)

    def _lose(self, exc: BaseException | None) -> None:
        """Let go of the protocol, and send on what a kernel would send without its program."""
        if self._is_lost:
            return
        self._is_closing = self._is_lost = self._departures.is_closed = True
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(exc)
        finally:
            if self._departures.is_down:
                self._finish()
            else:
                self._arrivals.end()
                if self._arrivals.has_unread:
                    self._departures.put(Mark.RST)
                elif not self._has_sent_fin:
                    self._departures.put(Mark.FIN)
                self._orphan = self.loop.create_task(self._outlive())
                self._departures.send()

    async def _outlive(self) -> None:
        # A task, since whoever ends a loop cancels those first: then nothing is held any more.
        try:
            await asyncio.sleep(ORPHAN_S)
        finally:
            self.below.abort()

    def _note_void(self) -> None:
        self._is_closing = self._has_sent_fin = True
        self._departures.abort()
        self.loop.call_soon(self._lose, OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def _note_void_if_read(self) -> None:
        if self._is_void and self._arrivals.can_read:
            self._note_void()

    @property
    def _is_over(self) -> bool:
        return self._is_lost and self._departures.is_down

    def _finish(self) -> None:
        if self._orphan is not None:
            self._orphan.cancel()
        self._arrivals.close()
        self._forget()

    def _forget(self) -> None:
        self._arrivals.forget()
        self._departures.forget()
        self._ended(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)  # whatever else there is to know of it

    def __repr__(self) -> str:
        state = "closed" if self._is_lost else "closing" if self._is_closing else "open"
        return f"<Line over {self.below!r}, {state}, {self.held_bytes} B held>"

"""One connection of a TCP server, recorded, whatever protocol it speaks: HTTP first, perhaps more.

It stands between the transport and the protocol that a server such as uvicorn puts there, and goes
along when that hands the connection over to another. Its rule: it changes no byte. What a protocol
answers by itself (pongs) has a bound while the client does not read. What is said is not here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast

from ..websockets_compat.pongs import MAX_HELD_S, MAX_OWED_BYTES
from ..wire.tape.tape import Tape
from .line import Line
from .line_conditions import LineConditions
from .networks import Networks
from .recording import begin_record
from .traffic import Traffic, forget

__all__ = ["Stream"]


class Stream(asyncio.Protocol):
    """The server's end of one connection.

    Args:
        make: makes the protocol that speaks on it, given this; on the loop.
        made: called on the loop with this, which has its ``traffic`` now, before any byte.
        lost: called on the loop with this, when it is gone.
        unasked: called with this and what is written while ``requests`` is 0: nobody but the
            protocol itself has answered.
        tape: what to record on; None counts, and keeps no byte.
        networks: say which network each connection has under it.

    Attributes:
        transport: the connection's own, or a line over it.
        loop: the connection's.
        traffic: what went through it.
        requests: how many are being answered; whoever answers them counts.
    """

    def __init__(
        self,
        make: Callable[[Stream], asyncio.Protocol],
        made: Callable[[Stream], object],
        lost: Callable[[Stream], object],
        unasked: Callable[[Stream, bytes], object],
        tape: Tape | None,
        networks: Networks,
    ) -> None:
        self.requests = 0
        self.loop = asyncio.get_running_loop()
        self.line_conditions: LineConditions | None = None
        self._networks = networks
        self._is_new = True  # until the first byte may come
        self.traffic = Traffic(uuid.uuid4().hex[:6])
        self.transport: asyncio.Transport
        self._make, self._made, self._lost, self._unasked = make, made, lost, unasked
        self._tape = tape
        self._protocol: asyncio.Protocol | None = None
        self._record_came: Callable[[bytes], None] | None = None
        self._record_went: Callable[[bytes], None] | None = None
        self._is_reading = self._is_full = False  # while its protocol reads; while TCP has no room
        self._wants_to_read = True
        self._owed_bytes = 0
        self._held: asyncio.TimerHandle | None = None  # until it is cut off

    @property
    def remote_address(self) -> Any:
        """Where the other end is, as its socket says it."""
        return self.transport.get_extra_info("peername")

    @property
    def local_address(self) -> Any:
        """Where this end is."""
        return self.transport.get_extra_info("sockname")

    @property
    def network(self) -> LineConditions:
        """The network under it."""
        return self._networks.of(self)

    def put_line(self, make: Callable[..., Line]) -> Line | None:
        """See `line_conditions`."""
        if self.transport.is_closing():
            return None
        line = make(self.transport, self, is_new=self._is_new, is_full=self._is_full)
        self.transport = cast("asyncio.Transport", line)
        return line

    def take_line_out(self, below: Any) -> None:
        """See `line_conditions`."""
        self.transport = below

    def take_protocol(self, protocol: asyncio.Protocol) -> None:
        """Let another protocol speak from here on."""
        self._protocol = protocol

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._made(self)
        self._record_came, self._record_went = begin_record(
            self.traffic, self.transport, side="server", tape=self._tape
        )
        try:
            self._protocol = self._make(self)
            self._protocol.connection_made(cast("Any", _Through(self)))
            self._networks.made(self)
            self._is_new = False
        except BaseException:
            self.transport.abort()  # an event loop would leave it open
            raise

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        protocol, self._protocol = self._protocol, None
        try:
            if protocol is not None:
                protocol.connection_lost(exc)
        finally:
            forget(self.traffic)
            if self.traffic.track is not None:
                self.traffic.track.end()
            self._lost(self)
            self._networks.lost(self)

    def data_received(self, data: bytes) -> None:
        self.traffic.received_bytes += len(data)
        if self._record_came is not None:
            self._record_came(data)
        self._is_reading = True
        try:
            self._spoken_by.data_received(data)
        finally:
            self._is_reading = False

    def eof_received(self) -> bool | None:
        return self._spoken_by.eof_received()

    def pause_writing(self) -> None:
        self._is_full, self._owed_bytes = True, 0
        self._spoken_by.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        self._let_go()
        if self._wants_to_read:
            self.transport.resume_reading()
        self._spoken_by.resume_writing()

    @property
    def _spoken_by(self) -> asyncio.Protocol:
        assert self._protocol is not None
        return self._protocol

    # What its protocol calls.

    def write(self, data: bytes) -> None:
        """Write, and record it; what answers no request is bounded while the client reads none."""
        self.traffic.sent_bytes += len(data)
        if self._record_went is not None:
            self._record_went(data)
        if not self.requests and data:
            self._unasked(self, data)
        self.transport.write(data)
        if self._is_reading and self._is_full:
            self._owed_bytes += len(data)
            if self._owed_bytes > MAX_OWED_BYTES and self._held is None:
                self.transport.pause_reading()
                loop = asyncio.get_running_loop()
                self._held = loop.call_later(MAX_HELD_S, self.transport.abort)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._wants_to_read = False
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless the client owes us that it reads."""
        self._wants_to_read = True
        if self._held is None:
            self.transport.resume_reading()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None


class _Through:
    """The transport that the protocol sees: what the stream has to know passes there."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.write = stream.write
        self.pause_reading, self.resume_reading = stream.pause_reading, stream.resume_reading
        self.set_protocol = stream.take_protocol

    def writelines(self, lines: Iterable[bytes]) -> None:
        self.write(b"".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream.transport, name)

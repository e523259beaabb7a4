"""Leg: one of the two TCP connections that a tapped connection is made of.

Its rule: what happens to it is done to the other: whoever does not read makes the other side wait,
so that what is under way is bounded; an end (FIN) becomes an end, behind all that came before it,
and a reset (RST) a reset. It understands nothing of the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, cast

__all__ = ["BUFFER_BYTES", "Leg"]

BUFFER_BYTES = 2**18  # written and not yet taken by the system; beyond it the other leg waits
LINGER_S = 60.0  # for a side that reads slowly to take the last of what came
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and nothing waits


class Leg(asyncio.Protocol):
    """One end's connection.

    Args:
        made: called when it is connected.
        received: called with what comes on it.
        ended: called when nothing more will come, and again when it is lost.

    Attributes:
        transport: of asyncio, or a line over it; None before it is connected.
        is_full: whether it takes no more bytes for now.
        other: the other leg, once there is one.
        has_ended: whether its far end sends no more.
        is_lost: whether it is gone.
    """

    def __init__(
        self,
        made: Callable[[], object],
        received: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        self._made, self._received, self._ended = made, received, ended
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.other: Leg | None = None
        self.has_ended = self.is_lost = False
        self._held_for: set[str] = set()
        self.is_full = False
        self._lingering: asyncio.TimerHandle | None = None

    # What asyncio says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self._made()

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._received(data)

    def eof_received(self) -> bool:
        """Note its end; it may still read, unless it speaks TLS, which has no half."""
        if not self.has_ended:
            self.has_ended = True
            self._ended()
        return self.has_halves

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone, and end the other leg in the same way."""
        self.has_ended = self.is_lost = True
        if self._lingering is not None:
            self._lingering.cancel()
        if self.other is not None:
            self.other.let_go("full")
            is_reset = isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError)
            self.other.close(with_reset=is_reset)
        self._ended()

    def pause_writing(self) -> None:
        """Let the other leg wait."""
        self.is_full = True
        if self.other is not None:
            self.other.hold("full")

    def resume_writing(self) -> None:
        """Let the other leg go on."""
        self.is_full = False
        if self.other is not None:
            self.other.let_go("full")

    # What is done to it.

    def join(self, other: Leg) -> None:
        """Make this and another leg two halves of one connection."""
        self.other, other.other = other, self
        for one, two in ((self, other), (other, self)):
            if one.is_full:
                two.hold("full")

    def hold(self, reason: str) -> None:
        """Read no more, for one more reason."""
        if not self._held_for and self._is_read:
            self.transport.pause_reading()
        self._held_for.add(reason)

    def let_go(self, reason: str) -> None:
        """Read again, unless there is another reason to wait."""
        if reason not in self._held_for:
            return
        self._held_for.discard(reason)
        if not self._held_for and self._is_read:
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self.is_lost and not self.transport.is_closing():
            self.transport.write(data)

    def write_end(self) -> None:
        """Say that nothing follows, behind all that was written; TLS can only say it by closing."""
        if self.is_lost or self.transport.is_closing():
            return
        if not self.has_halves:
            self.close()
        elif self.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):  # it breaks off in this moment
                self.transport.write_eof()

    def close(self, *, with_reset: bool = False, within_s: float = LINGER_S) -> None:
        """Close it, behind all that was written; what still comes is dropped.

        Args:
            with_reset: with RST instead of FIN.
            within_s: after so many seconds what is not taken by then is dropped.
        """
        if self.is_lost or self.transport is None:
            return
        if with_reset:
            self._close_by_reset()
        if not self.transport.is_closing():
            self.transport.close()
        if self._lingering is None:
            loop = asyncio.get_running_loop()
            self._lingering = loop.call_later(within_s, self.transport.abort)

    def _close_by_reset(self) -> None:
        transport: Any = self.transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        elif hasattr(transport, "void"):
            transport.void()  # in memory

    @property
    def _is_read(self) -> bool:
        return not self.has_ended and not self.transport.is_closing()

    @property
    def has_halves(self) -> bool:
        """Whether one direction can end before the other: over TCP, and not within TLS."""
        return self.transport.get_extra_info("sslcontext") is None

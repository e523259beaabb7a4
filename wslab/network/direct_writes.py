"""Writes to a socket from any thread, past the loop, where nothing waits to go out before.

It saves a thread that sends the wait until the loop has woken up. Its rule: bytes keep their order
and never mix, on the wire and on the tape: one lock is held by whoever writes, the loop or another
thread, and a thread writes only where the loop has nothing left to write. What the socket does not
take at once goes to the loop. When a frame may be sent is for the caller to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["DirectWrites"]


class DirectWrites:
    """The writes of one connection; made on its loop.

    Args:
        transport: the recorded one, whose writes hold the lock from now on.
        loop: of the connection.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._descriptor = self._socket = _descriptor_of(transport)
        # A frame that was begun past the loop, and how many bytes of it the socket took.
        self._begun: tuple[bytes, list[int]] | None = None
        self._record = transport.record
        self._write_only = transport.write_only
        self._write_recorded = transport.write
        self._close, self._write_eof = transport.close, transport.write_eof
        self._buffered_bytes = transport.below.get_write_buffer_size  # it is a hot path
        self._is_closing = transport.is_closing
        if self._descriptor is not None:
            transport.write, transport.writelines = self._write, self._write_lines
            transport.close, transport.write_eof = self.close, self.write_eof
            transport.may_go_past_loop = self._allow

    def write_now(
        self, frame: bytes, may_send: Callable[[Any], bool], connection: Any = None
    ) -> bool:
        """Write a whole frame past the loop, from any thread; whether that was possible.

        Args:
            frame: its bytes.
            may_send: whether the frame may follow what has been written; asked with the lock held.
            connection: what it is asked about.
        """
        with self._lock:
            descriptor = self._descriptor
            if (
                descriptor is None
                or self._begun is not None
                or self._buffered_bytes()
                or self._is_closing()
                or not may_send(connection)
            ):
                return False
            self._record(frame)
            written: list[int] = []
            self._begun = (frame, written)
            try:
                # Within one call in C: an interrupt comes before it or after it, and never between
                # what the socket took and what is known of it.
                written.extend(map(os.write, (descriptor,), (frame,)))
            except OSError:
                pass  # it is full, or the connection has broken off, which the loop will see, too
            finally:
                if sum(written) == len(frame):
                    self._begun = None
                else:
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        self._loop.call_soon_threadsafe(self._write_rest)
        return True

    def stop(self) -> None:
        """Write no more past the loop: the socket is about to be closed; on the loop."""
        with self._lock:
            self._descriptor = self._socket = None

    def _allow(self, may_go_past_loop: bool) -> None:
        """Write past the loop only while nothing lies between the connection and its socket."""
        with self._lock:
            self._descriptor = self._socket if may_go_past_loop else None

    def _write(self, data: bytes) -> None:
        with self._lock:  # not by `_behind`: it is a hot path
            if self._begun is not None:
                self._finish_begun()
            self._write_recorded(data)

    def _write_lines(self, lines: Iterable[bytes]) -> None:
        self._write(b"".join(lines))

    def _write_rest(self) -> None:
        self._behind(lambda: None)

    def close(self) -> None:
        """Close the transport, behind what was begun; on the loop."""
        self._behind(self._close)

    def write_eof(self) -> None:
        """Say that nothing follows, behind what was begun; on the loop."""
        self._behind(self._write_eof)

    def _behind(self, then: Callable[[], object]) -> None:
        with self._lock:
            if self._begun is not None:
                self._finish_begun()
            then()

    def _finish_begun(self) -> None:
        assert self._begun is not None
        frame, written = self._begun
        self._begun = None
        if not self._is_closing():
            self._write_only(frame[sum(written) :])


def _descriptor_of(transport: Any) -> int | None:
    """Return the socket's number; None where bytes of a frame are not the bytes of the socket."""
    sock = transport.get_extra_info("socket")
    is_plain = transport.get_extra_info("sslcontext") is None
    if sock is None or not is_plain or sys.platform == "win32":
        return None
    return int(sock.fileno())

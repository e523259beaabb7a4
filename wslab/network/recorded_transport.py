"""The transport that a recorded connection of websockets sees.

Its rule: every write is counted and recorded, and then does what it would do without this; nothing
else is changed, neither an argument nor an order. What lies below it may change: a line takes the
transport's place there for as long as a condition is set, and costs nothing while none is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from .traffic import Traffic

__all__ = ["RecordedTransport"]


class RecordedTransport:
    """The transport that a connection sees: every write is recorded, everything else passes.

    Args:
        transport: the connection's own.
        traffic: what is counted of it.
        record: records what is written, if anything does.

    Attributes:
        below: the connection's own transport.
        put: lets something else take its place below, a line, or itself again.
        record, write_only: the two halves of a write, for who writes past the loop.
        may_go_past_loop: called with whether writes may go past the loop (see `direct_writes`).
    """

    def __init__(
        self, transport: asyncio.Transport, traffic: Traffic, record: Callable[[bytes], None] | None
    ) -> None:
        # What websockets calls for each message is bound here; the rest goes through __getattr__.
        self._transport: Any = transport
        self.is_closing = transport.is_closing
        self.below = transport
        self.may_go_past_loop: Callable[[bool], None] = _nothing
        write = transport.write

        def noted(data: bytes) -> None:
            # websockets writes one frame at a time, so the first byte is a frame's first byte:
            # FIN set and the control bit clear is the last frame of a text or binary message.
            # (An HTTP head starts with an ASCII letter: no FIN.)
            if data and data[0] & 0x88 == 0x80:
                traffic.sent += 1
            traffic.sent_bytes += len(data)
            if record is not None:
                record(data)

        def counted(data: bytes) -> None:
            noted(data)
            write(data)

        def counted_lines(lines: Iterable[bytes]) -> None:
            counted(b"".join(lines))

        def write_only(data: bytes) -> None:
            write(data)

        def put(below: Any) -> None:
            nonlocal write
            is_line = below is not transport
            if is_line:
                self.may_go_past_loop(False)
            self._transport, self.is_closing, write = below, below.is_closing, below.write
            if not is_line:
                self.may_go_past_loop(True)

        self.record, self.write_only = noted, write_only
        self.put = put
        self.write = counted
        self.writelines = counted_lines

    # Others keep these, and a line may come in between.

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()

    def write_eof(self) -> None:
        self._transport.write_eof()

    def get_write_buffer_size(self) -> int:
        return cast("int", self._transport.get_write_buffer_size())

    @property
    def max_size(self) -> int:
        """Bytes that asyncio reads at once."""
        return cast("int", self._transport.max_size)

    @max_size.setter
    def max_size(self, size_bytes: int) -> None:
        if not hasattr(self._transport, "max_size"):
            raise AttributeError("this transport has no max_size")
        self._transport.max_size = size_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _nothing(_may: bool) -> None:
    pass

"""CompressionBench: what permessage-deflate saves and costs, by the shape of the messages.

Its rule: it measures what websockets does, and estimates nothing: the bytes of each frame, the time
of the thread that makes them, and the memory that a server's end of one connection holds between
two messages, as Python's own allocator counts it. No socket is needed: a connection would make the
same frames.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.extensions import permessage_deflate
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ..panels.model import size
from ..static_html import columns, escape, soft, table, whole

__all__ = ["CompressionBench", "Measured"]

REPEATS = 3
HEAD = ["compression", "a frame", "ratio", "CPU time", "memory a client"]
_LEGEND = (
    "a frame: on the wire, with its header. ratio: of the message to its frame. CPU time: for one "
    "message. memory a client: what the server's end holds between two messages, to compress and "
    "to decompress. afresh: each message alone. context: it may refer to what went before"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a server compresses (RFC 7692 section 7.1)."""

    words: str
    is_on: bool = True
    keeps_context: bool = True
    window_bits: int = 12
    memory_level: int = 5

    def end(self) -> PerMessageDeflate:
        """Return one end of a connection of this setting."""
        is_bare = not self.keeps_context
        settings = {"memLevel": self.memory_level}
        return PerMessageDeflate(is_bare, is_bare, self.window_bits, self.window_bits, settings)


# The second and third are what compression="deflate" and websockets' own parameters give.
SETTINGS = (
    Setting("off", is_on=False),
    Setting("afresh", keeps_context=False),
    Setting("context"),
    Setting("largest context", window_bits=15, memory_level=8),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of messages of one shape, compressed in one way.

    Attributes:
        shape: what the messages are called.
        setting: how they were compressed, in words.
        message_bytes: of one message, on average.
        wire_bytes: of its frame, on average, header included.
        cpu_us: microseconds of the thread's own time to make one frame.
        memory_bytes: what the server's end holds between two messages.
    """

    shape: str
    setting: str
    message_bytes: float
    wire_bytes: float
    cpu_us: float
    memory_bytes: int

    @property
    def ratio(self) -> float:
        """How many bytes of message a byte on the wire carries."""
        return self.message_bytes / self.wire_bytes


class CompressionBench:
    """Compress messages of several shapes in several ways, and compare.

    Args:
        shapes: what to call messages, and the messages: str or bytes, in order.

    Attributes:
        rows: a `Measured` for each shape and setting, in order.

    Raises:
        ValueError: there is no message of a shape.
    """

    def __init__(self, shapes: Mapping[str, Iterable[str | bytes]]) -> None:
        memory = {setting: _memory_bytes(setting) for setting in SETTINGS}
        self.rows = tuple(
            _measure(shape, [_payload(message) for message in messages], setting, memory[setting])
            for shape, messages in {name: list(each) for name, each in shapes.items()}.items()
            for setting in SETTINGS
        )

    def row(self, shape: str, setting: str) -> Measured:
        """Return one row.

        Args:
            shape: the messages' name.
            setting: in words, as in the table.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.rows:
            if (row.shape, row.setting) == (shape, setting):
                return row
        known = ", ".join(repr(one.words) for one in SETTINGS)
        raise KeyError(
            f"expected a shape of this bench and one of {known}; got {shape!r}, {setting!r}"
        )

    def _tables(self) -> dict[str, list[list[str]]]:
        """Return a heading and the cells for each shape."""
        tables: dict[str, list[list[str]]] = {}
        for row in self.rows:
            heading = f"{row.shape}, {row.message_bytes:,.0f} B a message"
            tables.setdefault(heading, []).append(
                [
                    row.setting,
                    f"{row.wire_bytes:,.0f} B",
                    f"{row.ratio:.1f}",
                    f"{row.cpu_us:,.0f} µs",
                    size(row.memory_bytes),
                ]
            )
        return tables

    def __str__(self) -> str:
        lines = []
        for heading, cells in self._tables().items():
            lines += [heading, *columns([HEAD, *cells])]
        return "\n".join([*lines, _LEGEND])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<p><b>{escape(heading)}</b></p>{table(HEAD, cells)}"
            for heading, cells in self._tables().items()
        ]
        return f'<div style="padding-left:8px">{whole([*parts, soft(f"{_LEGEND}.")])}</div>'


def _payload(message: str | bytes) -> tuple[Opcode, bytes]:
    if isinstance(message, str):
        return Opcode.TEXT, message.encode()
    return Opcode.BINARY, bytes(message)


def _measure(
    shape: str, payloads: list[tuple[Opcode, bytes]], setting: Setting, memory_bytes: int
) -> Measured:
    if not payloads:
        raise ValueError(f"expected at least one message of the shape {shape!r}, got none")
    cpu_us, wire_bytes = float("inf"), 0
    for _ in range(REPEATS):  # the quickest: a busy machine is slow now and then
        extensions = [setting.end()] if setting.is_on else []
        began_s = time.thread_time()
        wire_bytes = sum(
            len(Frame(opcode, payload).serialize(mask=False, extensions=extensions))
            for opcode, payload in payloads
        )
        cpu_us = min(cpu_us, (time.thread_time() - began_s) * 1e6 / len(payloads))
    count = len(payloads)
    message_bytes = sum(len(payload) for _, payload in payloads)
    return Measured(
        shape, setting.words, message_bytes / count, wire_bytes / count, cpu_us, memory_bytes
    )


def _memory_bytes(setting: Setting) -> int:
    """Measure what one end holds after it has sent a message and received one."""
    if not setting.is_on:
        return 0
    coming = setting.end().encode(Frame(Opcode.TEXT, b"hello"))
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        before_bytes = _traced_bytes()
        end: Any = setting.end()
        end.encode(Frame(Opcode.TEXT, b"hello"))
        end.decode(coming)
        return _traced_bytes() - before_bytes
    finally:
        if not was_tracing:
            tracemalloc.stop()


def _traced_bytes() -> int:
    # Only of the lines that compress: other threads go on meanwhile.
    chosen = tracemalloc.Filter(True, permessage_deflate.__file__)
    snapshot = tracemalloc.take_snapshot().filter_traces([chosen])
    return sum(trace.size for trace in snapshot.traces)

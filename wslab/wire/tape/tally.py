"""Tally: how much one side has sent, exactly, whatever was decoded of it."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

from ..frames.decoder import FrameDecoder

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """What one side has sent: frames (also by opcode) and the bytes of those frames."""

    frames: int = 0
    size_bytes: int = 0
    opcodes: list[int] = field(default_factory=lambda: [0] * 16)

    def add(self, other: Tally | FrameDecoder) -> None:
        """Add another tally, or what a decoder has seen."""
        if isinstance(other, FrameDecoder):
            other = Tally(other.frames_seen, other.bytes_seen, other.opcode_counts)
        self.frames += other.frames
        self.size_bytes += other.size_bytes
        self.opcodes = list(map(operator.add, self.opcodes, other.opcodes))

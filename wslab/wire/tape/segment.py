"""Segment: a stretch of a tape: the data of its chunks end to end, and three numbers a chunk.

Its rule: no object for a chunk. What a chunk is stands in one number: its track's, times four, plus
its kind. Locking is for whoever owns the segment.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from ..sender import SENDERS

__all__ = ["CHUNK_BYTES", "ENDED", "KINDS", "OPENED", "SEGMENT_BYTES", "TRACK_BYTES", "Segment"]

KINDS = (*SENDERS, "opened", "ended")  # 0 and 1: bytes of SENDERS[kind]
OPENED, ENDED = 2, 3
SEGMENT_BYTES = 16 * 2**10
CHUNK_BYTES = 16  # what a chunk costs beyond its data
TRACK_BYTES = 1024  # what a connection takes that has ended: addresses, times, how far it was read


class Segment:
    """A stretch of the tape.

    Attributes:
        room: for data: what the chunks' numbers take is taken off.
        extra_bytes: what the connections that end here take beside.
        data: of all chunks.
        times, marks, ends: of each chunk; a mark is ``track << 2 | kind``.
    """

    __slots__ = ("data", "ends", "extra_bytes", "marks", "room", "times")

    def __init__(self) -> None:
        self.room = SEGMENT_BYTES
        self.extra_bytes = 0
        self.data = bytearray()
        self.times = array("d")
        self.marks = array("I")
        self.ends = array("I")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def size_bytes(self) -> int:
        """What it takes, its bookkeeping included."""
        return len(self.data) + CHUNK_BYTES * len(self.times) + self.extra_bytes

    def since(self, first: int) -> Segment:
        """Return a copy of the chunks from the ``first`` on."""
        twin = Segment()
        start = self.ends[first - 1] if first else 0
        twin.data = self.data[start:]
        twin.times = self.times[first:]
        twin.marks = self.marks[first:]
        ends = self.ends[first:]
        twin.ends = array("I", (end - start for end in ends)) if start else ends
        return twin

    def chunks(self) -> Iterator[tuple[float, int, int, bytes]]:
        """Give each chunk's time, track number, kind and data."""
        data = bytes(self.data)
        start = 0
        for at_s, mark, end in zip(self.times, self.marks, self.ends, strict=True):
            yield at_s, mark >> 2, mark & 3, data[start:end]
            start = end

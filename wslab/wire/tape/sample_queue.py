"""SampleQueue: chunks that were fetched from a tape and counted, and wait to be decoded.

Its rule: nearly all that comes is nothing but frames, so these are taken in stretches of many
chunks and counted at once, ahead of the readers; heads are read when they come, since they decide
how to go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from ..connection.reader import ConnectionReader
from ..events import Event, FrameEvent
from ..frames.decoder import FrameDecoder
from ..sender import SENDERS
from .cursor import TapeCursor
from .segment import OPENED, Segment
from .track import Track

__all__ = ["QueuedChunk", "SampleQueue", "Stretch"]

_STRETCH_CHUNKS = 64
_Scouts = tuple[FrameDecoder, FrameDecoder]


@dataclass(slots=True)
class QueuedChunk:
    """A chunk that waits to be decoded, and how many frames it completes.

    ``events`` are there already where the chunk was part of the handshake; ``is_special``: it must
    be decoded whatever the load.
    """

    at_s: float
    track: Track
    kind: int
    data: bytes
    frames: int = 0
    is_special: bool = True
    events: list[Event] | None = None


@dataclass(slots=True)
class Stretch:
    """Chunks in a row with nothing but frames in them; what each side sent in them, end to end.

    A chunk is its time, its mark (the track's number, times four, plus the side) and its data.
    """

    chunks: list[tuple[float, int, bytes]]
    tracks: dict[int, Track]
    sent: dict[tuple[int, int], bytes]
    frames: int
    is_special: bool


class SampleQueue:
    """Chunks in order, and the decoders that count them ahead of the readers.

    Attributes:
        frames: that wait.
    """

    def __init__(self, cursor: TapeCursor) -> None:
        self._cursor = cursor
        self._items: deque[QueuedChunk | Stretch] = deque()
        self._scouts: dict[int, _Scouts] = {}
        self.frames = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def add(self, segment: Segment, tracks: dict[int, Track]) -> None:
        """Add a segment's chunks, with the number of frames in them."""
        data = bytes(segment.data)
        ready: set[int] = set()  # marks of connections where frames are all that is to come
        stretch: list[tuple[float, int, bytes]] = []
        start = 0
        for at_s, mark, end in zip(segment.times, segment.marks, segment.ends, strict=True):
            if mark in ready:  # nearly all: only this is paid for each chunk
                stretch.append((at_s, mark, data[start:end]))
                if len(stretch) == _STRETCH_CHUNKS:
                    self._add_stretch(stretch, tracks)
                    stretch = []
            else:
                number, kind = mark >> 2, mark & 3
                if kind < OPENED and self._has_scouts(number, tracks):
                    ready.add(mark)
                    stretch.append((at_s, mark, data[start:end]))
                elif number in tracks:
                    self._add_stretch(stretch, tracks)
                    stretch = []
                    self._add_chunk(QueuedChunk(at_s, tracks[number], kind, data[start:end]))
            start = end
        self._add_stretch(stretch, tracks)

    def _add_stretch(
        self, chunks: list[tuple[float, int, bytes]], tracks: dict[int, Track]
    ) -> None:
        # At once for each side, and not for each chunk.
        parts: dict[int, list[bytes]] = {}
        for _, mark, data in chunks:
            if mark in parts:
                parts[mark].append(data)
            else:
                parts[mark] = [data]
        sent = {(mark >> 2, mark & 3): b"".join(data) for mark, data in parts.items()}
        frames, is_special = 0, False
        for (number, kind), whole in sent.items():
            found, special = _count(self._scouts[number][kind], whole)
            frames += found
            is_special = is_special or special
        if chunks:
            self._items.append(Stretch(chunks, tracks, sent, frames, is_special))
            self.frames += frames

    def _add_chunk(self, chunk: QueuedChunk) -> None:
        self._items.append(chunk)
        if chunk.kind < OPENED:
            # The handshake decides how to go on, so it is read at once.
            reader = self._cursor.reader(chunk.track)
            chunk.events = reader.feed(chunk.at_s, SENDERS[chunk.kind], chunk.data)
            self._cursor.note(chunk.track.number)
            chunk.frames = sum(isinstance(event, FrameEvent) for event in chunk.events)
            self.frames += chunk.frames

    def _has_scouts(self, number: int, tracks: dict[int, Track]) -> bool:
        """Whether frames are all that is to come; the readers are in step when this is new."""
        if number not in self._scouts and number in tracks:
            reader = self._cursor.reader(tracks[number])
            if reader.is_upgraded:
                self._scouts[number] = _scouts_of(reader)
        return number in self._scouts

    def scouts(self, number: int) -> _Scouts | None:
        """Return what has counted a connection's frames on both sides, where anything has."""
        return self._scouts.get(number)

    def forget(self, number: int) -> None:
        """Forget a connection that has ended."""
        self._scouts.pop(number, None)

    def forget_all(self) -> None:
        """Count from where the readers are when the next chunks come."""
        self._scouts.clear()

    def take_stretch(self, excess: int | None) -> Stretch | None:
        """Take the oldest off where it is a stretch of at most ``excess`` frames, none special."""
        item = self._items[0]
        if not isinstance(item, Stretch) or item.is_special:
            return None
        if excess is not None and item.frames > excess:
            return None
        self._items.popleft()
        self.frames -= item.frames
        return item

    @property
    def begins_with_stretch(self) -> bool:
        """Whether the oldest has not been taken apart into chunks."""
        return isinstance(self._items[0], Stretch)

    def take_chunk(self) -> QueuedChunk:
        """Take the oldest chunk off."""
        item = self._items.popleft()
        if isinstance(item, Stretch):
            item, *others = self._taken_apart(item)
            self._items.extendleft(reversed(others))
        self.frames -= item.frames
        return item

    def _taken_apart(self, stretch: Stretch) -> list[QueuedChunk]:
        scouts: dict[int, _Scouts] = {}
        chunks: list[QueuedChunk] = []
        for at_s, mark, data in stretch.chunks:
            number, kind = mark >> 2, mark & 3
            track = stretch.tracks[number]
            if number not in scouts:
                scouts[number] = _scouts_of(self._cursor.reader(track))
            frames, is_special = _count(scouts[number][kind], data)
            chunks.append(QueuedChunk(at_s, track, kind, data, frames, is_special))
        return chunks

    def cut(self, chunk: QueuedChunk, frames: int) -> QueuedChunk:
        """Cut off about the first ``frames`` frames; the rest goes back to the queue's head."""
        where = max(1, len(chunk.data) * frames // chunk.frames)
        first = replace(chunk, data=chunk.data[:where])
        scout = _scouts_of(self._cursor.reader(chunk.track))[chunk.kind]
        first.frames = scout.skip(first.data)
        rest = replace(chunk, data=chunk.data[where:], frames=chunk.frames - first.frames)
        if rest.data:
            self._items.appendleft(rest)
            self.frames += rest.frames
        return first


def _scouts_of(reader: ConnectionReader) -> _Scouts:
    client, server = reader.decoder("client"), reader.decoder("server")
    assert client is not None
    assert server is not None
    return client.counting_copy(), server.counting_copy()


def _count(scout: FrameDecoder, data: bytes) -> tuple[int, bool]:
    """Return how many frames bytes complete, and whether any of them must be decoded."""
    special = sum(scout.opcode_counts[3:])
    frames = scout.skip(data)
    return frames, sum(scout.opcode_counts[3:]) != special

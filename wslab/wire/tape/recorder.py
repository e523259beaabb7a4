"""Recorder: where the bytes of connections are kept, with time and direction, up to a bound.

Its rules: recording costs a copy of the bytes and sixteen bytes more; it never grows beyond its
bound, drops the oldest first, counts what it dropped, and what is left stays readable. The bytes
are read when they are dropped, and never while they are recorded. It may be used from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..sender import SENDERS, Sender
from .held_bytes import HeldBytes
from .segment import CHUNK_BYTES, ENDED, OPENED, SEGMENT_BYTES, TRACK_BYTES, Segment
from .track import Position, Track

# What bytes mean is loaded when somebody first asks: recording does without.
if TYPE_CHECKING:
    from ..connection.reader import ConnectionReader
    from .snapshot import Snapshot

__all__ = ["Batch", "Dropped", "Recorder"]

_clock = time.monotonic
DEFAULT_MAX_BYTES = 16 * 2**20
_PATIENCE = 2_000  # fragments that are looked into at once where they are dropped; see _skip


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a tape had to drop; false where that is nothing."""

    size_bytes: int = 0
    frames: int = 0
    connections: int = 0

    def __bool__(self) -> bool:
        return bool(self.size_bytes or self.frames or self.connections)

    def __str__(self) -> str:
        if not self:
            return "nothing dropped"
        return f"dropped: {self.frames:,} frames, {self.size_bytes:,} bytes, the oldest first"


class Batch(NamedTuple):
    """What a reader takes at once.

    Attributes:
        segments: copies of what is new.
        tracks: the connections that are still known, by number.
        end: where to go on.
        first: where the oldest bytes are that are kept.
        kept_from_s: what happened before may have been dropped.
        begun: where bytes were dropped unread, how far each connection had been read when they
            were; None where none were.
        dropped: what has been dropped so far.
    """

    segments: list[Segment]
    tracks: dict[int, Track]
    end: Position
    first: Position
    kept_from_s: float
    begun: dict[int, ConnectionReader] | None
    dropped: Dropped


class Recorder:
    """A bounded record of what crossed the transports of one or more connections.

    Args:
        max_bytes: how much it keeps, its own bookkeeping included. Only what belongs to a
            connection that is still open comes on top.
        began_s: when it began, by the monotonic clock; now by default.

    Attributes:
        listeners: called after each chunk, on the thread that recorded it; for who waits.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, *, began_s: float | None = None) -> None:
        if max_bytes < 4 * SEGMENT_BYTES:
            raise ValueError(
                f"expected max_bytes of at least {4 * SEGMENT_BYTES:,}, got {max_bytes:,}: a tape "
                "drops whole stretches of 16 KiB at a time"
            )
        self.max_bytes = max_bytes
        self.listeners: list[Callable[[], object]] = []
        self._began_s = _clock() if began_s is None else began_s
        self._lock = threading.Lock()
        self._segments: deque[Segment] = deque([Segment()])
        self._last = self._segments[0]
        self._first = 0  # the number of _segments[0]
        self._full_bytes = 0  # of all segments but the last
        self._tracks: dict[int, Track] = {}
        self._next_track = 0
        self._held = HeldBytes(max_bytes // 4)  # of frames that began in bytes which were dropped
        self._dropped = [0, 0, 0]  # bytes, frames and connections
        self._kept_from_s = 0.0  # what happened before may have been dropped

    def open(
        self,
        connection_id: str,
        *,
        side: Sender,
        label: str | None,
        client_address: str,
        server_address: str,
        is_secure: bool,
    ) -> Track:
        """Begin a connection, and return the track to record it on; see :meth:`Tape.open`."""
        with self._lock:
            number = self._next_track
            self._next_track += 1
            track = Track(
                self.record, self.count_dropped, number, connection_id, side, label,
                client_address, server_address, is_secure,
            )  # fmt: skip
            self._tracks[number] = track
        track.opened_s = self.record(track, OPENED, b"")
        return track

    def record(self, track: Track, kind: int, data: bytes, at_s: float | None = None) -> float:
        """Record a chunk, and return its time in seconds since the beginning."""
        # Every message pays for this: no object but the three numbers, and all that can be known
        # later is left for later.
        with self._lock:
            if at_s is None:  # with the lock held, so that times never run backwards
                at_s = _clock() - self._began_s
            segment = self._last
            kept = segment.data
            if kind >= OPENED:  # rarely
                if kind == OPENED:
                    track.opened_at = Position(self._first + len(self._segments) - 1, len(segment))
                else:  # it stays until this is dropped, however little it has sent
                    segment.extra_bytes += TRACK_BYTES
                    segment.room -= TRACK_BYTES
            kept += data
            end = len(kept)
            segment.times.append(at_s)
            segment.marks.append(track.mark | kind)
            segment.ends.append(end)
            segment.room -= CHUNK_BYTES
            if end >= segment.room:
                self._begin_segment()
        if self.listeners:
            for tell in tuple(self.listeners):
                tell()
        return at_s

    def count_dropped(self, size_bytes: int) -> None:
        """Count bytes that came and are not kept."""
        with self._lock:
            self._dropped[0] += size_bytes

    def _begin_segment(self) -> None:
        """Begin another segment, and drop the oldest where there is no room for it."""
        self._full_bytes += self._last.size_bytes
        self._last = Segment()
        self._segments.append(self._last)
        # Room for the segment that is filled next: the bound holds at any time.
        while (
            self._full_bytes + self._held.total > self.max_bytes - SEGMENT_BYTES
            and len(self._segments) > 1
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        segment = self._segments.popleft()
        self._first += 1
        self._full_bytes -= segment.size_bytes
        ended: list[Track] = []
        # Frames of one side are skipped at once: nobody will ask for their times any more. Heads
        # are read in order, since the answer decides what follows.
        bulk: dict[tuple[int, int], list[bytes]] = {}
        for at_s, number, kind, data in segment.chunks():
            track = self._tracks.get(number)
            if track is None or kind == OPENED:
                continue
            if kind == ENDED:
                ended.append(track)
            elif track.begun.is_upgraded:
                bulk.setdefault((number, kind), []).append(data)
            else:
                self._skip(track, at_s, kind, data)
        for (number, kind), parts in bulk.items():
            self._skip(self._tracks[number], 0.0, kind, b"".join(parts))
        for track in ended:  # its end is the last thing on a track
            self._held.forget(track.number)
            if self._tracks.pop(track.number, None) is not None:
                self._dropped[2] += 1
        self._held.trim(lambda number: self._tracks[number].begun)
        following = self._segments[0].times
        self._kept_from_s = following[0] if following else max(segment.times)

    def _skip(self, track: Track, at_s: float, kind: int, data: bytes) -> None:
        sender, begun = SENDERS[kind], track.begun
        size_bytes, frames = begun.seen(sender)
        begun.skip(at_s, sender, data, patience=_PATIENCE + len(data) // 64)
        now_bytes, now_frames = begun.seen(sender)
        self._dropped[0] += now_bytes - size_bytes
        self._dropped[1] += now_frames - frames
        self._held.note(track.number, begun)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The connections that it still knows, oldest first."""
        with self._lock:
            return tuple(self._tracks.values())

    @property
    def size_bytes(self) -> int:
        """What it holds now, its own bookkeeping included."""
        with self._lock:
            return self._full_bytes + self._last.size_bytes + self._held.total

    @property
    def dropped(self) -> Dropped:
        """What it had to drop."""
        with self._lock:
            return Dropped(*self._dropped)

    @property
    def end(self) -> Position:
        """Where the next chunk will be."""
        with self._lock:
            return Position(self._first + len(self._segments) - 1, len(self._last))

    def take(
        self, since: Position, *, reveal: bool = False, max_chunks: int | None = None
    ) -> Batch:
        """Return what has come since a place on the tape.

        The lock is held only while this copies, so that recording never waits for reading.

        Args:
            reveal: whether ``begun`` leaves secrets in the heads.
            max_chunks: about how many; None for all.
        """
        with self._lock:
            first = Position(self._first, 0)
            begun: dict[int, ConnectionReader] | None = None
            if since.segment < self._first:
                begun = {n: track.begun.copy(reveal=reveal) for n, track in self._tracks.items()}
                since = first
            segments: list[Segment] = []
            chunks = 0
            end = since
            last = self._first + len(self._segments) - 1
            while max_chunks is None or chunks < max_chunks:
                segment = self._segments[end.segment - self._first].since(end.chunk)
                segments.append(segment)
                chunks += len(segment)
                if end.segment == last:
                    end = Position(last, end.chunk + len(segment))
                    break
                end = Position(end.segment + 1, 0)
            dropped = Dropped(*self._dropped)
            return Batch(
                segments, dict(self._tracks), end, first, self._kept_from_s, begun, dropped
            )

    @classmethod
    def restore(cls, snapshot: Snapshot) -> Recorder:
        """Return a recorder with what was saved; nothing is dropped of it, however big it is."""
        size_bytes = sum(len(data) + CHUNK_BYTES for *_, data in snapshot.chunks)
        size_bytes += TRACK_BYTES * len(snapshot.tracks)
        last_s = snapshot.chunks[-1][0] if snapshot.chunks else 0.0
        recorder = cls(
            max(DEFAULT_MAX_BYTES, size_bytes + 2 * SEGMENT_BYTES), began_s=_clock() - last_s
        )
        if snapshot.dropped is not None:
            recorder._first, recorder._dropped = 1, list(snapshot.dropped)
            recorder._kept_from_s = snapshot.kept_from_s
        for number, saved in enumerate(snapshot.tracks):
            track = Track(
                recorder.record, recorder.count_dropped, number, saved.connection_id,
                saved.side, saved.label,
                saved.client_address, saved.server_address, saved.is_secure,
            )  # fmt: skip
            track.opened_s, track.unread_bytes = saved.opened_s, int(saved.unread_bytes)
            track.tells_end = bool(saved.tells_end)
            if saved.state is not None:
                track.begun = saved.reader()
            recorder._tracks[number] = track
            if snapshot.dropped is None:
                recorder._dropped[0] += track.left_out_bytes
        recorder._next_track = len(snapshot.tracks)
        for at_s, number, kind, data in snapshot.chunks:
            track = recorder._tracks[number]
            recorder.record(track, kind, data, at_s)
            if kind == ENDED:
                track.ended_s = at_s
        return recorder

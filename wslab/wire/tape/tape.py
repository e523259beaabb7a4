"""Tape: a bounded record of the bytes of connections, with time and direction.

Its rules: recording costs a copy of the bytes and sixteen bytes more; it never grows beyond its
bound, drops the oldest first, says what it dropped, and what is left stays readable. The bytes are
decoded when somebody looks, or when they are dropped; never while they are recorded. It may be
written and read from any thread.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..sender import SENDERS, Sender

# What bytes mean is loaded when somebody first asks: recording does without.
if TYPE_CHECKING:
    import os

    from ..connection import Story
    from ..events import Event, FrameEvent, MessageEvent
    from .reader import TapeReader

__all__ = ["Chunk", "Dropped", "Tape", "Track"]

_clock = time.monotonic
DEFAULT_MAX_BYTES = 16 * 2**20
_CHUNK_BYTES = 16  # what a chunk costs beyond its data
_TRACK_BYTES = 1024  # what a connection takes that has ended: its addresses, its times, its story
_MAX_UNREAD_BYTES = 64 * 2**10  # kept of what comes when the receiver has stopped reading
_PATIENCE = 2_000  # fragments that are looked into at once where they are dropped; see _skip
_SEGMENT_BYTES = 16 * 2**10
_OPENED, _ENDED = 2, 3  # beside 0 and 1, which index SENDERS


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that crossed a transport at once. ``what``: "client", "server", "opened", "ended"."""

    at_s: float
    track: Track
    what: str
    data: bytes


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


class Track:
    """One connection on a tape, and the way to record onto it; made by :meth:`Tape.open`."""

    __slots__ = (
        "_begun",
        "_line",
        "_number",
        "_opened_at",
        "_tape",
        "client_address",
        "connection_id",
        "ended_s",
        "is_secure",
        "label",
        "opened_s",
        "server_address",
        "side",
        "unread_bytes",
    )

    def __init__(
        self,
        tape: Tape,
        number: int,
        connection_id: str,
        side: Sender,
        label: str | None,
        client_address: str,
        server_address: str,
        is_secure: bool,
    ) -> None:
        self._tape = tape
        self._number = number
        self._begun: Story | None = None
        self._line = number << 2  # how its chunks are marked
        self._opened_at = (0, 0)  # segment and chunk in it
        self.connection_id = connection_id
        self.side = side
        self.label = label
        self.client_address = client_address
        self.server_address = server_address
        self.is_secure = is_secure
        self.unread_bytes = 0
        self.opened_s = 0.0
        self.ended_s: float | None = None

    @property
    def _story(self) -> Story:
        """The connection read up to where the oldest bytes that are kept begin."""
        if self._begun is None:
            from ..connection import Story

            self._begun = Story(self.connection_id)
        return self._begun

    @_story.setter
    def _story(self, story: Story) -> None:
        self._begun = story

    def client(self, data: bytes) -> None:
        """Record bytes that the client sent; what comes after the end of TCP is left out."""
        if self.ended_s is None:
            self._tape._record(self, 0, data)

    def server(self, data: bytes) -> None:
        """Record bytes that the server sent; what comes after the end of TCP is left out."""
        if self.ended_s is None:
            self._tape._record(self, 1, data)

    def unread(self, data: bytes) -> None:
        """Count bytes that came when the receiver had stopped reading; only the first are kept."""
        room = max(0, _MAX_UNREAD_BYTES - self.unread_bytes)
        self.unread_bytes += len(data)
        kept = data[:room]
        if kept:
            (self.client if self.side == "server" else self.server)(kept)
        with self._tape._lock:
            self._tape._gone[0] += len(data) - len(kept)

    @property
    def left_out_bytes(self) -> int:
        """How much came that nobody read any more, and that is not kept."""
        return max(0, self.unread_bytes - _MAX_UNREAD_BYTES)

    def end(self) -> None:
        """Record the end of TCP; idempotent."""
        if self.ended_s is None:
            self.ended_s = self._tape._record(self, _ENDED, b"")

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Track {self.connection_id}{label}, {self.side} side>"


class Held:
    """What is held of frames, heads and messages that are not complete, on many connections.

    Args:
        max_bytes: when they take more together, those that take most let go; see ``Story.let_go``.

    Attributes:
        total: bytes that are held.
    """

    __slots__ = ("_each", "max_bytes", "total")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._each: dict[int, int] = {}  # by the track's number; those with nothing left out

    def note(self, number: int, story: Story) -> None:
        """Take note of what a connection's story holds now."""
        held = story.held
        self.total += held - self._each.get(number, 0)
        if held:
            self._each[number] = held
        else:
            self._each.pop(number, None)

    def forget(self, number: int) -> None:
        """Forget a connection whose story is gone."""
        self.total -= self._each.pop(number, 0)

    def trim(self, story_of: Callable[[int], Story]) -> None:
        """Have the largest let go where all together hold too much."""
        if self.total <= self.max_bytes:
            return
        for number in sorted(self._each, key=self._each.__getitem__, reverse=True):
            story = story_of(number)
            story.let_go()
            self.note(number, story)
            if self.total <= self.max_bytes // 2:
                return


class _Segment:
    """A stretch of the tape: the data of its chunks end to end, and three numbers a chunk."""

    __slots__ = ("data", "ends", "extra", "lines", "room", "times")

    def __init__(self) -> None:
        self.room = _SEGMENT_BYTES  # for data: what the chunks' numbers take is taken off
        self.extra = 0  # what the connections that end here take beside
        self.data = bytearray()
        self.times = array("d")
        self.lines = array("I")  # the track's number, times four, plus what it is
        self.ends = array("I")

    @property
    def size(self) -> int:
        return len(self.data) + _CHUNK_BYTES * len(self.times) + self.extra


class Tape:
    """A bounded record of what crossed the transports of one or more connections.

    Args:
        max_bytes: how much it keeps, its own bookkeeping included. Beyond it the oldest bytes are
            dropped, and counted in ``dropped``. Only what belongs to a connection that is still
            open comes on top: its heads, and what decompression needs (about 200 KiB).
        name: how views call it.

    Attributes:
        notes: what had to be left out where it was loaded from another program's file.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, name: str | None = None) -> None:
        if max_bytes < 4 * _SEGMENT_BYTES:
            raise ValueError(
                f"expected max_bytes of at least {4 * _SEGMENT_BYTES:,}, got {max_bytes:,}: a tape "
                "drops whole stretches of 16 KiB at a time"
            )
        self.max_bytes = max_bytes
        self.name = name
        self.notes: tuple[str, ...] = ()
        self.began_at = time.time()  # the epoch's seconds at at_s == 0
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._segments: deque[_Segment] = deque([_Segment()])
        self._last = self._segments[0]
        self._first_serial = 0  # of _segments[0]; they are numbered in order for ever
        self._size = 0  # of all segments but the last
        self._turned = 0  # chunks in all segments but the last, those dropped included
        self._tracks: dict[int, Track] = {}
        self._next_track = 0
        # Of frames that began in bytes which were dropped.
        self._held = Held(max_bytes // 4)
        self._gone = [0, 0, 0]  # bytes, frames and connections dropped
        self._kept_from_s = 0.0  # what happened before may have been dropped

    # Recording.

    def open(
        self,
        connection_id: str,
        *,
        side: Sender = "server",
        label: str | None = None,
        client_address: str = "",
        server_address: str = "",
        is_secure: bool = False,
    ) -> Track:
        """Begin a connection, and return the track to record it on.

        Args:
            connection_id: short, unique on this tape.
            side: whose transport this is.
            label: what views call the client; its id where there is none.
            client_address, server_address: "host:port" of the ends of TCP.
            is_secure: whether TLS is between the bytes and TCP: wss and https.
        """
        with self._lock:
            number = self._next_track
            self._next_track += 1
            track = Track(
                self, number, connection_id, side, label, client_address, server_address, is_secure
            )
            self._tracks[number] = track
        track.opened_s = self._record(track, _OPENED, b"")
        return track

    def _record(self, track: Track, what: int, data: bytes, at_s: float | None = None) -> float:
        # Every message pays for this: no object but the three numbers, and all that can be known
        # later is left for later.
        with self._lock:
            if at_s is None:  # with the lock held, so that times never run backwards
                at_s = _clock() - self._began_s
            segment = self._last
            held = segment.data
            if what == _OPENED:
                track._opened_at = (
                    self._first_serial + len(self._segments) - 1,
                    len(segment.times),
                )
            held += data
            end = len(held)
            segment.times.append(at_s)
            segment.lines.append(track._line | what)
            segment.ends.append(end)
            segment.room -= _CHUNK_BYTES
            if what == _ENDED:
                # It stays until this is dropped, however little it has sent.
                segment.extra += _TRACK_BYTES
                segment.room -= _TRACK_BYTES
            if end >= segment.room:
                self._turn()
        return at_s

    def _turn(self) -> None:
        """Begin another segment, and drop the oldest where there is no room for it."""
        self._size += self._last.size
        self._turned += len(self._last.times)
        self._last = _Segment()
        self._segments.append(self._last)
        # Room for the segment that is filled next: the bound holds at any time.
        while (
            self._size + self._held.total > self.max_bytes - _SEGMENT_BYTES
            and len(self._segments) > 1
        ):
            self._drop_oldest()

    @property
    def _writes(self) -> int:
        """How many chunks were ever recorded."""
        return self._turned + len(self._last.times)

    def _drop_oldest(self) -> None:
        segment = self._segments.popleft()
        self._first_serial += 1
        self._size -= segment.size
        ended: list[Track] = []
        # Frames of one side are skipped at once: nobody will ask for their times any more. Heads
        # are read in order, since the answer decides what follows.
        bulk: dict[tuple[int, int], list[bytes]] = {}
        for at_s, number, what, data in _chunks(segment):
            track = self._tracks.get(number)
            if track is None or what == _OPENED:
                continue
            if what == _ENDED:
                ended.append(track)
            elif track._story.is_upgraded:
                bulk.setdefault((number, what), []).append(data)
            else:
                self._skip(track, at_s, what, data)
        for (number, what), parts in bulk.items():
            self._skip(self._tracks[number], 0.0, what, b"".join(parts))
        for track in ended:  # its end is the last thing on a track
            self._held.forget(track._number)
            if self._tracks.pop(track._number, None) is not None:
                self._gone[2] += 1
        self._held.trim(lambda number: self._tracks[number]._story)
        following = self._segments[0].times
        self._kept_from_s = following[0] if following else max(segment.times)

    def _skip(self, track: Track, at_s: float, what: int, data: bytes) -> None:
        sender = SENDERS[what]
        size_bytes, frames = track._story.seen(sender)
        track._story.skip(at_s, sender, data, _PATIENCE + len(data) // 64)
        now_bytes, now_frames = track._story.seen(sender)
        self._gone[0] += now_bytes - size_bytes
        self._gone[1] += now_frames - frames
        self._held.note(track._number, track._story)

    # Reading.

    @property
    def connections(self) -> tuple[Track, ...]:
        """The connections that it still knows, oldest first."""
        with self._lock:
            return tuple(self._tracks.values())

    @property
    def size_bytes(self) -> int:
        """What it holds now, its own bookkeeping included."""
        with self._lock:
            return self._size + self._last.size + self._held.total

    @property
    def dropped(self) -> Dropped:
        """What it had to drop."""
        with self._lock:
            return Dropped(*self._gone)

    def read(self, *, reveal: bool = False) -> list[Event]:
        """Decode all that is kept and return it as events, in the order in which it happened.

        Of more than should be held at once (very many events, or 64 MiB that were compressed)
        events say what is left out; :meth:`iter_events` leaves nothing out.

        Args:
            reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
        """
        return self.reader(reveal=reveal).poll()

    def iter_events(self, *, reveal: bool = False) -> Iterator[Event]:
        """Give all that is kept one by one, decoded as it is taken; see :meth:`read`.

        Args:
            reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
        """
        return self.reader(reveal=reveal).each()

    def reader(self, *, reveal: bool = False) -> TapeReader:
        """Return a reader that gives, with each poll, what has come since the last."""
        from .reader import TapeReader

        return TapeReader(self, reveal=reveal)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that is kept, decoded anew; see :meth:`read`."""
        return tuple(self.read())

    @property
    def frames(self) -> tuple[FrameEvent, ...]:
        """The frames that are kept (RFC 6455 §5.2)."""
        return tuple(event for event in self.read() if event.kind == "frame")  # type: ignore[misc]

    @property
    def messages(self) -> tuple[MessageEvent, ...]:
        """The whole messages that are kept (RFC 6455 §5.4)."""
        return tuple(event for event in self.read() if event.kind == "message")  # type: ignore[misc]

    def chunks(self) -> Iterator[Chunk]:
        """Give the recorded bytes as they crossed the transport, heads unredacted."""
        with self._lock:
            tracks = dict(self._tracks)
            segments = [_copy_of(segment, 0) for segment in self._segments]
        return _named_chunks(segments, tracks)

    # Saving; see wire.export.

    def to_rows(self, *, reveal: bool = False) -> list[dict[str, Any]]:
        """Return one dict an event, for ``pandas.DataFrame(tape.to_rows())``."""
        from ..files import export

        return export.to_rows(self, reveal=reveal)

    def to_har(self, path: str | os.PathLike[str], *, reveal: bool = False) -> None:
        """Write an HTTP Archive, as Chrome's network panel imports it."""
        from ..files import export

        export.to_har(self, path, reveal=reveal)

    def to_pcapng(self, path: str | os.PathLike[str], *, reveal: bool = False) -> None:
        """Write a capture that Wireshark reads as TCP, HTTP and WebSocket."""
        from ..files import export

        export.to_pcapng(self, path, reveal=reveal)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tape:
        """Read a tape that to_har or to_pcapng has written."""
        from ..files import export

        return export.load(path)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        size = f"{self.size_bytes:,} of {self.max_bytes:,} bytes"
        dropped = f", {self.dropped}" if self.dropped else ""
        notes = f", {len(self.notes)} notes" if self.notes else ""
        return f"<Tape{name}, {len(self._tracks)} connections, {size}{dropped}{notes}>"


def _named_chunks(segments: list[_Segment], tracks: dict[int, Track]) -> Iterator[Chunk]:
    names = (*SENDERS, "opened", "ended")
    for segment in segments:
        for at_s, number, what, data in _chunks(segment):
            if number in tracks:
                yield Chunk(at_s, tracks[number], names[what], data)


def _copy_of(segment: _Segment, first: int) -> _Segment:
    """Return a segment's chunks from the ``first`` on; called with the tape's lock held."""
    twin = _Segment()
    start = segment.ends[first - 1] if first else 0
    twin.data = segment.data[start:]
    twin.times = segment.times[first:]
    twin.lines = segment.lines[first:]
    twin.ends = (
        array("I", (end - start for end in segment.ends[first:]))
        if start
        else (segment.ends[first:])
    )
    return twin


def _chunks(segment: _Segment) -> Iterator[tuple[float, int, int, bytes]]:
    """Give each chunk's time, track number, kind and data."""
    data = bytes(segment.data)
    start = 0
    for at_s, line, end in zip(segment.times, segment.lines, segment.ends, strict=True):
        yield at_s, line >> 2, line & 3, data[start:end]
        start = end

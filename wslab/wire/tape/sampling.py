"""SamplingReader: reads a tape for a view that cannot draw everything.

Its rule: what is not decoded is still counted, exactly: frames and bytes, for each side and each
opcode. Heads, control frames and reserved opcodes are decoded whatever the load, for they are few
and decide what the rest means. Left out: faults in data frames that were passed over.
"""

from __future__ import annotations

import operator
from collections import deque
from dataclasses import dataclass, field, replace

from ..connection import Story
from ..events import Event, FrameEvent
from ..frames.decoder import FrameDecoder
from ..sender import SENDERS, Sender
from .reader import TapeReader, _left_out, _opened
from .tape import _ENDED, _OPENED, Tape, Track, _chunks, _copy_of, _Segment

__all__ = ["SamplingReader", "Tally"]

_STRETCH_CHUNKS = 64
_DEFLATED_FRAMES = 4  # of a compressed chunk that are decoded at once
_INFLATED_BYTES = 4 * 2**20  # of one sample, about
_BULK_CHUNKS = 20_000  # of one poll; what is older is passed over without a closer look


@dataclass(slots=True)
class Tally:
    """What one side has sent: frames (also by opcode) and the bytes of those frames."""

    frames: int = 0
    size_bytes: int = 0
    opcodes: list[int] = field(default_factory=lambda: [0] * 16)

    def add(self, decoder: FrameDecoder) -> None:
        """Add what a decoder has seen."""
        self.frames += decoder.frames_seen
        self.size_bytes += decoder.bytes_seen
        self.opcodes = list(map(operator.add, self.opcodes, decoder._counts))

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        self.frames += other.frames
        self.size_bytes += other.size_bytes
        self.opcodes = list(map(operator.add, self.opcodes, other.opcodes))


@dataclass(slots=True)
class _Chunk:
    """A chunk that waits to be decoded, and how many frames it completes.

    ``events`` are there already where the chunk was part of the handshake; ``is_special``: it must
    be decoded whatever the load.
    """

    at_s: float
    track: Track
    what: int
    data: bytes
    frames: int = 0
    is_special: bool = True
    events: list[Event] | None = None


@dataclass(slots=True)
class _Stretch:
    """Chunks in a row with nothing but frames in them; what each side sent in them, end to end.

    A chunk is its time, its line (the track's number, times four, plus the side) and its data.
    """

    chunks: list[tuple[float, int, bytes]]
    tracks: dict[int, Track]
    sent: dict[tuple[int, int], bytes]
    frames: int
    is_special: bool


class SamplingReader(TapeReader):
    """A TapeReader that decodes as many frames as it is asked for, and counts the others.

    Attributes:
        passed_over: frames that were counted and not decoded, so far.
    """

    def __init__(self, tape: Tape, *, reveal: bool = False) -> None:
        super().__init__(tape, reveal=reveal)
        self.passed_over = 0
        self._ended = {sender: Tally() for sender in SENDERS}
        self._scouts: dict[int, tuple[FrameDecoder, ...]] = {}  # ahead of the stories: they count
        self._queue: deque[_Chunk | _Stretch] = deque()
        self._frames_waiting = 0
        self._finished: set[int] = set()  # tracks that were read to their end

    @property
    def waiting(self) -> int:
        """Frames that have been fetched and will come with the next samples."""
        return self._frames_waiting

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, here or on the tape."""
        return not self._queue and self._tape._writes == self._writes_seen

    def tally(self) -> dict[Sender, Tally]:
        """Return what each side has sent so far, on all connections, those waiting included.

        Of a connection that the tape had forgotten before it was read, nothing is known here.
        """
        total = {sender: Tally() for sender in SENDERS}
        for sender, ended in self._ended.items():
            total[sender].merge(ended)
        for number, story in self._stories.items():
            scouts = self._scouts.get(number)
            for nth, sender in enumerate(SENDERS):
                decoder = scouts[nth] if scouts else story._halves[sender].decoder
                if decoder is not None:
                    total[sender].add(decoder)
        return total

    def sample(self, limit: int, keep: int, *, max_chunks: int | None = None) -> list[Event]:
        """Return the events of about ``limit`` frames, oldest first.

        Args:
            limit: frames to decode now.
            keep: frames that may wait for the next call. Of what is more, the oldest are passed
                over: counted, but no events (heads and control frames excepted).
            max_chunks: to take from the tape now, about; it bounds the time that this takes.
        """
        events: list[Event] = []
        self._fetch(events, max_chunks)
        self._pass_over(events, self._frames_waiting - max(keep, limit))
        room, left_bytes = limit, _INFLATED_BYTES
        while self._queue and room > 0:
            chunk = self._next_chunk()
            is_deflated = self._is_deflated(chunk)
            most = min(room, _DEFLATED_FRAMES) if is_deflated else room
            if not chunk.is_special and chunk.frames > most:
                chunk = self._cut(chunk, most)
            room -= max(1, chunk.frames)
            self._frames_waiting -= chunk.frames
            found = self._decode(chunk)
            events += found
            if is_deflated:  # a few bytes may inflate to very many: the rest waits
                left_bytes -= sum(
                    len(event.frame.inflated or b"")
                    for event in found
                    if isinstance(event, FrameEvent)
                )
                if left_bytes <= 0:
                    break
        return events

    def _is_deflated(self, chunk: _Chunk) -> bool:
        if chunk.events is not None or chunk.what >= _OPENED:
            return False
        decoder = self._story(chunk.track)._halves[SENDERS[chunk.what]].decoder
        return decoder is not None and decoder.deflate is not None

    def catch_up(self, keep: int) -> list[Event]:
        """Count all that is there but the last ``keep`` frames; may take a second on a big tape."""
        events: list[Event] = []
        self._fetch(events)
        self._pass_over(events, self._frames_waiting - keep)
        return events

    def _fetch(self, events: list[Event], max_chunks: int | None = None) -> None:
        """Take what is new from the tape, at most about ``max_chunks``, and count its frames."""
        tape = self._tape
        if tape._writes == self._writes_seen:
            return
        segments: list[_Segment] = []
        chunks = 0
        with tape._lock:
            tracks = dict(tape._tracks)
            if self._serial < tape._first_serial:
                self._pass_over(events, self._frames_waiting, all_of_it=True)
                self._jump(tracks, events)
            last = tape._first_serial + len(tape._segments) - 1
            while self._serial <= last and (max_chunks is None or chunks < max_chunks):
                segment = _copy_of(tape._segments[self._serial - tape._first_serial], self._chunk)
                segments.append(segment)
                chunks += len(segment.times)
                if self._serial == last:
                    self._chunk += len(segment.times)
                    self._writes_seen = tape._writes
                    break
                self._serial, self._chunk = self._serial + 1, 0
        far = chunks - _BULK_CHUNKS
        for segment in segments:
            far -= len(segment.times)
            if far > 0:
                self._pass_over(events, self._frames_waiting, all_of_it=True)
                self._scouts.clear()
                self._skip_segment(events, segment, tracks)
            else:
                self._scout(segment, tracks)

    def _jump(self, tracks: dict[int, Track], events: list[Event]) -> None:
        """Take up where the tape's oldest bytes are; called with the tape's lock held."""
        self._scouts.clear()
        for number, story in self._stories.items():
            if number not in tracks:
                self._file_away(story)
        told: list[Event] = []
        self._take_up(tracks, told)
        # What ended before has been read to its end, and counted.
        self._finished &= tracks.keys()
        for number in self._finished:
            self._stories.pop(number, None)
        over = {tracks[number].connection_id for number in self._finished}
        events += [event for event in told if event.connection_id not in over]

    def _story(self, track: Track) -> Story:
        story = self._stories.get(track._number)
        if story is None:
            story = Story(track.connection_id, reveal=self._reveal)
            self._stories[track._number] = story
        return story

    def _scout(self, segment: _Segment, tracks: dict[int, Track]) -> None:
        """Queue a segment's chunks, with the number of frames in them."""
        data = bytes(segment.data)
        ready: set[int] = set()  # lines of connections where frames are all that is to come
        stretch: list[tuple[float, int, bytes]] = []
        start = 0
        for at_s, line, end in zip(segment.times, segment.lines, segment.ends, strict=True):
            if line in ready:  # nearly all: only this is paid for each chunk
                stretch.append((at_s, line, data[start:end]))
                if len(stretch) == _STRETCH_CHUNKS:
                    self._queue_stretch(stretch, tracks)
                    stretch = []
            else:
                number, what = line >> 2, line & 3
                if what < _OPENED and self._has_scouts(number, tracks):
                    ready.add(line)
                    stretch.append((at_s, line, data[start:end]))
                elif number in tracks:
                    self._queue_stretch(stretch, tracks)
                    stretch = []
                    self._queue_chunk(_Chunk(at_s, tracks[number], what, data[start:end]))
            start = end
        self._queue_stretch(stretch, tracks)

    def _queue_stretch(
        self, chunks: list[tuple[float, int, bytes]], tracks: dict[int, Track]
    ) -> None:
        # At once for each side, and not for each chunk.
        parts: dict[int, list[bytes]] = {}
        for _, line, data in chunks:
            if line in parts:
                parts[line].append(data)
            else:
                parts[line] = [data]
        sent = {(line >> 2, line & 3): b"".join(data) for line, data in parts.items()}
        frames, is_special = 0, False
        for (number, what), whole in sent.items():
            scout = self._scouts[number][what]
            special = sum(scout._counts[3:])
            frames += scout.skip(whole)
            is_special = is_special or sum(scout._counts[3:]) != special
        if chunks:
            self._queue.append(_Stretch(chunks, tracks, sent, frames, is_special))
            self._frames_waiting += frames

    def _queue_chunk(self, chunk: _Chunk) -> None:
        self._queue.append(chunk)
        if chunk.what in (_OPENED, _ENDED):
            return
        # The handshake decides how to go on, so it is read at once.
        story = self._story(chunk.track)
        chunk.events = story.feed(chunk.at_s, SENDERS[chunk.what], chunk.data)
        self._held.note(chunk.track._number, story)
        chunk.frames = sum(isinstance(event, FrameEvent) for event in chunk.events)
        self._frames_waiting += chunk.frames

    def _has_scouts(self, number: int, tracks: dict[int, Track]) -> bool:
        """Whether frames are all that is to come; the stories are in step when this is new."""
        if number not in self._scouts and number in tracks:
            story = self._story(tracks[number])
            if story.is_upgraded:
                self._scouts[number] = self._scouts_of(story)
        return number in self._scouts

    def _scouts_of(self, story: Story) -> tuple[FrameDecoder, ...]:
        return tuple(_scout_of(story, sender) for sender in SENDERS)

    def _next_chunk(self) -> _Chunk:
        """Take the oldest chunk off the queue."""
        item = self._queue.popleft()
        if isinstance(item, _Chunk):
            return item
        scouts: dict[int, tuple[FrameDecoder, ...]] = {}
        chunks: list[_Chunk] = []
        for at_s, line, data in item.chunks:
            number, what = line >> 2, line & 3
            track = item.tracks[number]
            if number not in scouts:
                scouts[number] = self._scouts_of(self._story(track))
            scout = scouts[number][what]
            special = sum(scout._counts[3:])
            frames = scout.skip(data)
            is_special = sum(scout._counts[3:]) != special
            chunks.append(_Chunk(at_s, track, what, data, frames, is_special))
        self._queue.extendleft(reversed(chunks[1:]))
        return chunks[0]

    def _decode(self, chunk: _Chunk) -> list[Event]:
        if chunk.events is not None:
            return chunk.events
        track = chunk.track
        if chunk.what == _OPENED:
            return [_opened(track, chunk.at_s)]
        if chunk.what == _ENDED:
            story = self._story(track)
            events = [*_left_out(track, chunk.at_s), *story.end(chunk.at_s, track.side)]
            self._file_away(self._stories.pop(track._number))
            self._scouts.pop(track._number, None)
            self._held.forget(track._number)
            self._finished.add(track._number)
            if len(self._finished) > 2 * len(self._tape._tracks) + 64:
                self._finished &= {each._number for each in self._tape.connections}
            return events
        story = self._story(track)
        events = story.feed(chunk.at_s, SENDERS[chunk.what], chunk.data)
        self._held.note(track._number, story)
        self._held.trim(self._stories.__getitem__)
        return events

    def _cut(self, chunk: _Chunk, frames: int) -> _Chunk:
        """Cut off about the first ``frames`` frames; the rest goes back to the queue's head."""
        where = max(1, len(chunk.data) * frames // chunk.frames)
        first = replace(chunk, data=chunk.data[:where])
        decoder = _scout_of(self._story(chunk.track), SENDERS[chunk.what])
        first.frames = decoder.skip(first.data)
        rest = replace(chunk, data=chunk.data[where:], frames=chunk.frames - first.frames)
        if rest.data:
            self._queue.appendleft(rest)
        return first

    def _pass_over(self, events: list[Event], excess: int, *, all_of_it: bool = False) -> None:
        """Count the oldest ``excess`` frames; decode only what is special among them."""
        bulk: dict[tuple[int, int], list[bytes]] = {}
        while self._queue and (excess > 0 or all_of_it):
            item = self._queue[0]
            if (
                isinstance(item, _Stretch)
                and not item.is_special
                and (item.frames <= excess or all_of_it)
            ):
                self._queue.popleft()
                for key, data in item.sent.items():
                    bulk.setdefault(key, []).append(data)
                self.passed_over += item.frames
                self._frames_waiting -= item.frames
                excess -= item.frames
                continue
            if not isinstance(item, _Chunk):
                for key, parts in bulk.items():  # what follows is counted from where the story is
                    self._skip(*key, parts)
                bulk.clear()
            chunk = self._next_chunk()
            number = chunk.track._number
            if chunk.is_special:
                for what in (0, 1):
                    self._skip(number, what, bulk.pop((number, what), []))
                events += self._decode(chunk)
            else:
                if chunk.frames > excess > 0 and not all_of_it:
                    for what in (0, 1):  # _cut counts from where the story is
                        self._skip(number, what, bulk.pop((number, what), []))
                    chunk = self._cut(chunk, excess)
                bulk.setdefault((number, chunk.what), []).append(chunk.data)
                self.passed_over += chunk.frames
            excess -= chunk.frames
            self._frames_waiting -= chunk.frames
        for (number, what), parts in bulk.items():
            self._skip(number, what, parts)

    def _skip_segment(
        self, events: list[Event], segment: _Segment, tracks: dict[int, Track]
    ) -> None:
        """Pass over a stretch that is too old to be drawn, as fast as it goes."""
        bulk: dict[tuple[int, int], list[bytes]] = {}
        for at_s, number, what, data in _chunks(segment):
            track = tracks.get(number)
            if track is None or what == _OPENED:
                continue
            story = self._story(track)
            if what == _ENDED or not story.is_upgraded:
                for each in (0, 1):
                    self._skip(number, each, bulk.pop((number, each), []), is_counted=True)
                self._decode(_Chunk(at_s, track, what, data))
            else:
                bulk.setdefault((number, what), []).append(data)
        for (number, what), parts in bulk.items():
            self._skip(number, what, parts, is_counted=True)

    def _skip(
        self, number: int, what: int, parts: list[bytes], *, is_counted: bool = False
    ) -> None:
        if not parts:
            return
        story, sender = self._stories[number], SENDERS[what]
        half = story._halves[sender]
        pings = half.pings.copy()  # skip() forgets them, but here no ping or pong is passed over
        frames = half.frames
        story.skip(0.0, sender, b"".join(parts))
        self._held.note(number, story)
        if is_counted:
            self.passed_over += half.frames - frames
        else:
            half.pings = pings

    def _file_away(self, story: Story) -> None:
        for sender in SENDERS:
            decoder = story._halves[sender].decoder
            if decoder is not None:
                self._ended[sender].add(decoder)


def _scout_of(story: Story, sender: Sender) -> FrameDecoder:
    """Return a decoder that goes on where a story is, and only counts."""
    decoder = story._halves[sender].decoder
    assert decoder is not None
    inflater, decoder._inflater = decoder._inflater, None  # copying it is dear
    try:
        scout = decoder.copy()
    finally:
        decoder._inflater = inflater
    scout.hold_nothing()
    return scout

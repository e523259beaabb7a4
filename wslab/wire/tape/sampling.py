"""SamplingReader: reads a tape for a view that cannot draw everything.

Its rule: what is not decoded is still counted, exactly: frames and bytes, for each side and each
opcode. Heads, control frames and reserved opcodes are decoded whatever the load, for they are few
and decide what the rest means. Left out: faults in data frames that were passed over.
"""

from __future__ import annotations

from ..events import Event, FrameEvent
from ..sender import SENDERS, Sender
from .cursor import TapeCursor, opened
from .recorder import Batch, Recorder
from .sample_queue import QueuedChunk, SampleQueue
from .segment import ENDED, OPENED, Segment
from .tally import Tally
from .track import Position, Track

__all__ = ["SamplingReader"]

_DEFLATED_FRAMES = 4  # of a compressed chunk that are decoded at once
_INFLATED_BYTES = 4 * 2**20  # of one sample, about
_BULK_CHUNKS = 20_000  # of one poll; what is older is passed over without a closer look
_MIN_FINISHED = 64

# Bytes of frames that are passed over, by connection and side.
_Bulk = dict[tuple[int, int], list[bytes]]


class SamplingReader:
    """Decodes as many frames of a tape as it is asked for, and counts the others.

    Attributes:
        passed_over: frames that were counted and not decoded, so far.
    """

    def __init__(self, recorder: Recorder, *, reveal: bool = False) -> None:
        self._recorder = recorder
        self._cursor = TapeCursor(recorder, reveal=reveal)
        self._queue = SampleQueue(self._cursor)
        self._ended = {sender: Tally() for sender in SENDERS}
        self._finished: set[int] = set()  # tracks that were read to their end
        self._max_finished = _MIN_FINISHED  # then those that the tape has forgotten are forgotten
        self.passed_over = 0

    @property
    def waiting(self) -> int:
        """Frames that have been fetched and will come with the next samples."""
        return self._queue.frames

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, here or on the tape."""
        return not self._queue and self._cursor.is_at_end

    def tally(self) -> dict[Sender, Tally]:
        """Return what each side has sent so far, on all connections, those waiting included.

        Of a connection that the tape had forgotten before it was read, nothing is known here.
        """
        total = {sender: Tally() for sender in SENDERS}
        for sender, ended in self._ended.items():
            total[sender].add(ended)
        for number, reader in self._cursor.readers.items():
            scouts = self._queue.scouts(number)
            for nth, sender in enumerate(SENDERS):
                decoder = scouts[nth] if scouts else reader.decoder(sender)
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
        queue = self._queue
        events = self._fetch(max_chunks)
        events += self._pass_over(queue.frames - max(keep, limit))
        room, left_bytes = limit, _INFLATED_BYTES
        while queue and room > 0:
            chunk = queue.take_chunk()
            is_deflated = self._is_deflated(chunk)
            most = min(room, _DEFLATED_FRAMES) if is_deflated else room
            if not chunk.is_special and chunk.frames > most:
                chunk = queue.cut(chunk, most)
            room -= max(1, chunk.frames)
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

    def catch_up(self, keep: int) -> list[Event]:
        """Count all that is there but the last ``keep`` frames; may take a second on a big tape."""
        events = self._fetch(None)
        return events + self._pass_over(self._queue.frames - keep)

    def _is_deflated(self, chunk: QueuedChunk) -> bool:
        if chunk.events is not None or chunk.kind >= OPENED:
            return False
        decoder = self._cursor.reader(chunk.track).decoder(SENDERS[chunk.kind])
        return decoder is not None and decoder.deflate is not None

    def _fetch(self, max_chunks: int | None) -> list[Event]:
        """Take what is new from the tape, at most about ``max_chunks``, and count its frames."""
        events: list[Event] = []
        if self._cursor.is_at_end:
            return events
        batch, since = self._cursor.advance(max_chunks)
        if batch.begun is not None:
            events += self._pass_over(None)
            events += self._resume(batch, since)
        far = sum(map(len, batch.segments)) - _BULK_CHUNKS
        for segment in batch.segments:
            far -= len(segment)
            if far > 0:
                events += self._pass_over(None)
                self._queue.forget_all()
                self._skip_segment(segment, batch.tracks)
            else:
                self._queue.add(segment, batch.tracks)
        return events

    def _resume(self, batch: Batch, since: Position) -> list[Event]:
        """Take up where the tape's oldest bytes are."""
        self._queue.forget_all()
        readers = self._cursor.readers
        for number in readers.keys() - batch.tracks.keys():
            self._file_away(number)
        told = self._cursor.resume(batch, since)
        # What ended before has been read to its end, and counted.
        self._finished &= batch.tracks.keys()
        over = set()
        for number in self._finished:
            self._cursor.readers.pop(number, None)
            over.add(batch.tracks[number].connection_id)
        return [event for event in told if event.connection_id not in over]

    def _decode(self, chunk: QueuedChunk) -> list[Event]:
        if chunk.events is not None:
            return chunk.events
        track, cursor = chunk.track, self._cursor
        if chunk.kind == OPENED:
            return [opened(track, chunk.at_s)]
        if chunk.kind == ENDED:
            return self._end(track, chunk.at_s)
        events = cursor.reader(track).feed(chunk.at_s, SENDERS[chunk.kind], chunk.data)
        cursor.note(track.number)
        cursor.trim()
        return events

    def _end(self, track: Track, at_s: float) -> list[Event]:
        self._cursor.reader(track)
        self._file_away(track.number)
        events = self._cursor.end(track, at_s)
        self._queue.forget(track.number)
        self._finished.add(track.number)
        if len(self._finished) > self._max_finished:
            known = {each.number for each in self._recorder.tracks}
            self._finished &= known
            self._max_finished = 2 * len(known) + _MIN_FINISHED
        return events

    def _file_away(self, number: int) -> None:
        """Count what a connection has sent that is read no further."""
        reader = self._cursor.readers[number]
        for sender in SENDERS:
            decoder = reader.decoder(sender)
            if decoder is not None:
                self._ended[sender].add(decoder)

    # Passing over.

    def _pass_over(self, excess: int | None) -> list[Event]:
        """Count the oldest ``excess`` frames, None for all; decode what is special among them."""
        queue = self._queue
        events: list[Event] = []
        bulk: _Bulk = {}
        while queue and (excess is None or excess > 0):
            stretch = queue.take_stretch(excess)
            if stretch is not None:
                for key, data in stretch.sent.items():
                    bulk.setdefault(key, []).append(data)
                self.passed_over += stretch.frames
                excess = None if excess is None else excess - stretch.frames
                continue
            if queue.begins_with_stretch:  # it is counted from where the readers are
                self._skip_bulk(bulk)
            chunk = queue.take_chunk()
            number = chunk.track.number
            if chunk.is_special:
                self._skip_connection(bulk, number)
                events += self._decode(chunk)
            else:
                if excess is not None and chunk.frames > excess:
                    self._skip_connection(bulk, number)  # cut() counts from where the reader is
                    chunk = queue.cut(chunk, excess)
                bulk.setdefault((number, chunk.kind), []).append(chunk.data)
                self.passed_over += chunk.frames
            excess = None if excess is None else excess - chunk.frames
        self._skip_bulk(bulk)
        return events

    def _skip_segment(self, segment: Segment, tracks: dict[int, Track]) -> None:
        """Pass over a stretch that is too old to be drawn, as fast as it goes."""
        bulk: _Bulk = {}
        for at_s, number, kind, data in segment.chunks():
            track = tracks.get(number)
            if track is None or kind == OPENED:
                continue
            if kind == ENDED or not self._cursor.reader(track).is_upgraded:
                self._skip_connection(bulk, number, is_counted=True)
                self._decode(QueuedChunk(at_s, track, kind, data))
            else:
                bulk.setdefault((number, kind), []).append(data)
        self._skip_bulk(bulk, is_counted=True)

    def _skip_connection(self, bulk: _Bulk, number: int, *, is_counted: bool = False) -> None:
        for kind in (0, 1):
            parts = bulk.pop((number, kind), None)
            if parts:
                self._skip_bulk({(number, kind): parts}, is_counted=is_counted)

    def _skip_bulk(self, bulk: _Bulk, *, is_counted: bool = False) -> None:
        """Have the readers pass over bytes, and forget these.

        Args:
            is_counted: control frames may be among them, and ``passed_over`` counts them here.
        """
        for (number, kind), parts in bulk.items():
            reader, sender = self._cursor.readers[number], SENDERS[kind]
            _, frames = reader.seen(sender)
            reader.skip(0.0, sender, b"".join(parts), keeps_pings=not is_counted)
            self._cursor.note(number)
            if is_counted:
                self.passed_over += reader.seen(sender)[1] - frames
        bulk.clear()

"""The bound of a tape: what is dropped, counted, and can still be read."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from tests.wire.tape.filling import SMALLEST, fill, numbered
from tests.wire.taping import Compressor, close, masked, websocket
from wslab.wire.events import (
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    FrameEvent,
    MessageEvent,
    OpenedEvent,
)
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.recorder import Dropped
from wslab.wire.tape.tape import Tape


class TestBound:
    @pytest.mark.parametrize("size", [0, 10, 3000, 16_384, 100_000])
    def test_holds_after_every_write(self, size):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        data = encode_frame(2, bytes(size))
        for _ in range(max(10, 300_000 // max(1, len(data)) // 16)):
            track.server(data)
            assert tape.size_bytes <= SMALLEST

    def test_says_what_it_dropped_and_the_rest_is_whole(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        fill(track, 20_000)
        frames = tape.frames
        assert [event.number for event in frames] == list(range(20_001 - len(frames), 20_001))
        assert [event.text for event in frames] == [f"message {e.number}" for e in frames]
        assert tape.dropped.frames == 20_000 - len(frames)
        kept = sum(len(chunk.data) for chunk in tape.chunks())
        fresh = Tape()
        websocket(fresh)
        sent = sum(len(chunk.data) for chunk in fresh.chunks())
        sent += sum(len(numbered(number)) for number in range(1, 20_001))
        assert tape.dropped.size_bytes + kept == sent
        assert str(tape.dropped) == (
            f"dropped: {tape.dropped.frames:,} frames, {tape.dropped.size_bytes:,} bytes, "
            "the oldest first"
        )

    def test_a_new_reader_is_told_how_it_began_and_what_is_gone(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        before = tape.events
        fill(track, 10_000)
        events = tape.events
        assert events[:3] == before
        gone = [event for event in events if isinstance(event, DroppedEvent)]
        assert [(event.sender, event.connection_id) for event in gone] == [
            ("client", "a1"), ("server", "a1"),
        ]  # fmt: skip
        assert events[3:5] == tuple(gone)
        assert sum(event.frames for event in gone) == tape.dropped.frames
        assert sum(event.size_bytes for event in gone) == tape.dropped.size_bytes
        assert all(isinstance(event, FrameEvent | MessageEvent) for event in events[5:])
        assert gone[0].at_s <= events[5].at_s

    def test_compressed_messages_can_still_be_read(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape, deflate=True)
        compress, source = Compressor(), random.Random(1)
        words = [source.randbytes(20).hex() for _ in range(200)]
        texts = [" ".join(source.choices(words, k=30)) for _ in range(1000)]
        for text in texts:
            track.server(encode_frame(1, compress(text.encode()), rsv1=True))
        assert tape.dropped
        found = [event.data for event in tape.messages]
        assert found == texts[-len(found) :]
        assert len(found) > 100

    def test_a_frame_cut_by_the_bound_is_read_whole(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        for number in range(100):
            data = encode_frame(2, bytes([number]) * 10_000)
            for at in range(0, len(data), 1000):
                track.server(data[at : at + 1000])
        frames = tape.frames
        assert [event.payload[0] for event in frames] == list(range(100 - len(frames), 100))
        assert {len(event.payload) for event in frames} == {10_000}

    def test_a_close_frame_that_was_dropped_still_counts(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        track.client(masked(8, close(1000)))
        for _ in range(5000):
            track.server(encode_frame(1, b"still talking"))
        track.server(encode_frame(8, close(1000)))
        track.end()
        *_, answer, ended = tape.events
        assert tape.dropped
        assert isinstance(answer, CloseEvent)
        assert answer.is_answer
        assert isinstance(ended, EndedEvent)
        assert ended.is_clean

    def test_connections_that_are_over_are_forgotten(self):
        tape = Tape(max_bytes=SMALLEST)
        for number in range(300):
            track = websocket(tape, f"c{number}")
            fill(track, 10)
            track.end()
        known = len(tape.connections)
        assert tape.dropped.connections == 300 - known
        assert 0 < known < 200
        opened = [event for event in tape.events if isinstance(event, OpenedEvent)]
        assert [event.connection_id for event in opened] == [
            f"c{number}" for number in range(300 - known, 300)
        ]

    def test_memory_stays_flat(self):
        data = numbered(1)
        tracemalloc.start()
        try:
            tape = Tape(max_bytes=SMALLEST)
            track = websocket(tape)
            for _ in range(5_000):
                track.client(data)
            start = tracemalloc.get_traced_memory()[0]
            assert start > SMALLEST / 2
            tracemalloc.reset_peak()
            for _ in range(20_000):
                track.client(data)
            now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert now - start < SMALLEST / 2
        assert peak - start < 2 * SMALLEST

    def test_dropped_is_false_where_nothing_is(self):
        assert not Dropped()
        assert Dropped(frames=1)

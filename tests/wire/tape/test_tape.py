"""A tape is bounded, says what it dropped, and what is left of it can be read."""

from __future__ import annotations

import random
import threading
import tracemalloc

import pytest

from tests.wire.taping import Compressor, close, differences, masked, upgrade, websocket
from wslab.wire.events import (
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    FrameEvent,
    MessageEvent,
    OpenedEvent,
    RequestEvent,
    ResponseEvent,
)
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.recorder import Dropped, Track
from wslab.wire.tape.tape import Tape

SMALLEST = 64 * 2**10


def kinds(events) -> list[str]:
    return [event.kind for event in events]


def numbered(number: int) -> bytes:
    return masked(1, f"message {number}".encode())


def fill(track: Track, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        track.client(numbered(number))


class TestRecording:
    def test_events_of_one_connection(self):
        tape = Tape(name="demo")
        track = websocket(tape)
        track.client(masked(1, b"Hello"))
        track.server(encode_frame(8, close(1000)))
        track.end()
        events = tape.events
        assert kinds(events) == [
            "opened", "request", "response", "frame", "message", "frame", "close", "ended",
        ]  # fmt: skip
        assert events[0] == OpenedEvent(
            at_s=track.opened_s,
            connection_id="a1",
            sender="client",
            label="alice",
            side="server",
            client_address="127.0.0.1:50001",
            server_address="127.0.0.1:8765",
        )
        assert [event.text for event in tape.frames] == ["Hello", None]
        assert [event.data for event in tape.messages] == ["Hello"]
        assert events[-1].at_s == track.ended_s
        assert not tape.dropped
        assert str(tape.dropped) == "nothing dropped"
        assert repr(tape).startswith("<Tape 'demo', 1 connections, ")

    def test_times_never_run_backwards(self):
        tape = Tape()
        tracks = [websocket(tape, f"c{number}") for number in range(4)]
        threads = [threading.Thread(target=fill, args=(track, 500)) for track in tracks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = [chunk.at_s for chunk in tape.chunks()]
        assert times == sorted(times)
        assert len(tape.messages) == 2000
        for track in tracks:
            mine = [e for e in tape.frames if e.connection_id == track.connection_id]
            assert [event.number for event in mine] == list(range(1, 501))
            assert mine[-1].text == "message 500"

    def test_chunks_are_the_bytes(self):
        tape = Tape()
        track = websocket(tape)
        track.client(b"\x81")
        track.end()
        chunks = list(tape.chunks())
        assert [chunk.what for chunk in chunks] == ["opened", "client", "server", "client", "ended"]
        assert (chunks[3].data, chunks[3].track) == (b"\x81", track)

    def test_after_the_end_nothing_is_recorded(self):
        tape = Tape()
        track = websocket(tape)
        track.end()
        before = tape.events
        track.client(b"late")
        track.server(b"late")
        track.end()
        assert tape.events == before

    def test_two_connections_in_the_order_in_which_it_happened(self):
        tape = Tape()
        one, two = websocket(tape, "one"), websocket(tape, "two")
        for track in (one, two, one):
            track.client(masked(9))
        assert [event.connection_id for event in tape.frames] == ["one", "two", "one"]
        assert tape.connections == (one, two)

    def test_secrets_show_only_on_demand(self):
        tape = Tape()
        upgrade(tape.open("a1"), target="/?token=s3cretS3cret")
        assert "s3cretS3cret" not in repr(tape.events)
        assert "s3cretS3cret" in repr(tape.read(reveal=True))

    def test_a_bound_that_is_too_small(self):
        with pytest.raises(ValueError, match=r"at least 65,536, got 65,535: a tape drops whole"):
            Tape(max_bytes=SMALLEST - 1)


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


class TestReader:
    def test_gives_what_is_new(self):
        tape = Tape()
        reader = tape.reader()
        assert reader.poll() == []
        track = websocket(tape)
        assert kinds(reader.poll()) == ["opened", "request", "response"]
        assert reader.poll() == []
        track.client(masked(1, b"Hello")[:3])
        assert reader.poll() == []
        track.client(masked(1, b"Hello")[3:])
        track.end()
        assert kinds(reader.poll()) == ["frame", "message", "ended"]
        assert reader.poll() == []

    @pytest.mark.parametrize("seed", range(10))
    def test_polls_at_any_time_add_up_to_all(self, seed):
        source = random.Random(seed)
        tape = Tape(max_bytes=2**20)
        reader, found = tape.reader(), []
        tracks = [websocket(tape, f"c{number}", deflate=number == 1) for number in range(3)]
        for number in range(400):
            source.choice(tracks).client(numbered(number))
            if source.random() < 0.1:
                found += reader.poll()
        found += reader.poll()
        assert differences(tape.events, found, 0) == []

    def test_who_falls_behind_is_told_how_much_is_missing(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        reader = tape.reader()
        reader.poll()
        fill(track, 10)
        assert len(reader.poll()) == 20
        fill(track, 10_000, first=11)
        events = reader.poll()
        gone = events[0]
        assert isinstance(gone, DroppedEvent)
        assert (gone.sender, gone.connection_id) == ("client", "a1")
        frames = [event for event in events if isinstance(event, FrameEvent)]
        assert gone.frames == 10_000 - len(frames)
        assert frames[0].number == 11 + gone.frames
        assert kinds(events[1:]) == ["frame", "message"] * len(frames)

    def test_a_connection_is_opened_once(self):
        tape = Tape(max_bytes=SMALLEST)
        track = tape.open("a1")
        reader = tape.reader()
        assert kinds(reader.poll()) == ["opened"]
        upgrade(track)
        fill(track, 10_000)
        events = reader.poll()
        # Heads that were dropped before they were read are told all the same.
        assert isinstance(events[0], RequestEvent)
        assert isinstance(events[1], ResponseEvent)
        assert kinds(events[2:4]) == ["dropped", "dropped"]
        assert "opened" not in kinds(events)

    def test_a_connection_that_opens_and_is_dropped_between_two_polls(self):
        tape = Tape(max_bytes=SMALLEST)
        reader = tape.reader()
        first = websocket(tape, "first")
        reader.poll()
        second = websocket(tape, "second")
        fill(first, 5000)
        fill(second, 5000)
        events = reader.poll()
        opened = [event for event in events if isinstance(event, OpenedEvent)]
        assert [event.connection_id for event in opened] == ["second"]
        asked = [event for event in events if isinstance(event, RequestEvent)]
        assert [event.connection_id for event in asked] == ["second"]

    def test_reads_while_others_write(self):
        tape = Tape(max_bytes=SMALLEST)
        track = websocket(tape)
        writer = threading.Thread(target=fill, args=(track, 30_000))
        reader, frames, missing = tape.reader(), [], 0
        writer.start()
        is_over = False
        while not is_over:
            is_over = not writer.is_alive()  # looked at first, so that the last poll gets all
            for event in reader.poll():
                if isinstance(event, FrameEvent):
                    frames.append(event)
                elif isinstance(event, DroppedEvent) and event.sender == "client":
                    missing += event.frames
        writer.join()
        assert len(frames) + missing == 30_000
        assert all(event.text == f"message {event.number}" for event in frames)
        assert frames[-1].number == 30_000

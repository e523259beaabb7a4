"""A reader that goes on while more is recorded, and falls behind."""

from __future__ import annotations

import random
import threading

import pytest

from tests.wire.tape.filling import SMALLEST, fill, kinds, numbered
from tests.wire.taping import differences, masked, upgrade, websocket
from wslab.wire.events import (
    DroppedEvent,
    FrameEvent,
    OpenedEvent,
    RequestEvent,
    ResponseEvent,
)
from wslab.wire.tape.tape import Tape


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

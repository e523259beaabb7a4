"""Bytes put on a tape and read back as events."""

from __future__ import annotations

import threading

import pytest

from tests.wire.tape.filling import SMALLEST, fill, kinds
from tests.wire.taping import close, masked, upgrade, websocket
from wslab.wire.events import (
    OpenedEvent,
)
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape


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

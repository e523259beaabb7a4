"""Keepalive: what a library sends by itself is told from what a program sends."""

from __future__ import annotations

import pytest

from tests.widgets.inspector.tapes import (
    HELLO,
    KEY,
    opened,
    rows_of,
)
from tests.wire.layers.talk import OPEN, SID, frame, tell, websocket
from tests.wire.taping import MASK
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.inspector import Inspector
from wslab.widgets.inspector.keepalive import folded
from wslab.widgets.inspector.words import words
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track


def kept_alive(*, pings: int = 3, interval_s: float = 20.0) -> tuple[Tape, Track]:
    """Return a tape on which the server's library has pinged so many times, late by some ms."""
    tape = Tape(name="echo")
    track = opened(tape)
    began_s = rows_of(tape)[1]["at"]
    for number in range(1, pings + 1):
        at_s = began_s + number * (interval_s + 0.004)
        ping(track, at_s, bytes([number, 1, 2, 3]))
    return tape, track


def ping(track: Track, at_s: float, data: bytes, *, by: str = "server") -> None:
    other = {"server": "client", "client": "server"}[by]
    for sender, opcode, later_s in ((by, Opcode.PING, 0.0), (other, Opcode.PONG, 0.003)):
        key = KEY if sender == "client" else None
        record = track.client if sender == "client" else track.server
        record(encode_frame(opcode, data, mask_key=key), at_s + later_s)


def test_keepalive_stands_on_one_line_that_says_how_many_and_how_often():
    tape, track = kept_alive()
    track.client(HELLO, 65.0)
    rows = rows_of(tape)
    assert [row.get("keepalive", False) for row in rows] == [False] * 2 + [True] * 6 + [False]
    feed = Feed([tape])
    feed.catch_up()
    lanes, numbers = feed.timeline.lanes.by_number, feed.numbers()
    said = static_html.text("t", lanes, rows, numbers)
    assert "3 pings and 3 pongs, 20 s apart" in said
    assert "pong" not in said.replace("3 pongs", "")
    assert len(said.splitlines()) == 7  # title, two of HTTP, keepalive, silence, Hello, figures
    assert "3 pings and 3 pongs" in static_html.svg("t", lanes, rows, numbers)


@pytest.mark.parametrize(
    ("at_s", "data"),
    [
        (7.0, b"\x01\x02\x03\x04"),  # alice.ping() somewhere in between
        (20.0, b"are you there?"),  # the moment fits, but no library of ours writes so
        (20.0, b""),
    ],
)
def test_a_ping_that_somebody_sends_is_an_arrow(at_s, data):
    tape = Tape()
    track = opened(tape)
    ping(track, at_s, data, by="client")
    assert [row.get("keepalive", False) for row in rows_of(tape)] == [False] * 4


def test_one_by_hand_does_not_put_the_rhythm_out():
    tape, track = kept_alive(pings=1)
    ping(track, 31.0, b"hand", by="server")
    ping(track, 40.02, b"\x09\x09\x09\x09")
    kept = [row.get("keepalive", False) for row in rows_of(tape)]
    assert kept == [False] * 2 + [True] * 2 + [False] * 2 + [True] * 2


def test_the_rhythm_of_another_library_is_learnt_from_its_third_ping_on():
    tape = Tape()
    track = opened(tape)
    for number in range(4):
        ping(track, 2.0 + 7.0 * (number + 1), b"beat %d" % number)
    kept = [row.get("keepalive", False) for row in rows_of(tape)]
    assert kept == [False] * 6 + [True] * 4


def test_pings_that_are_the_subject_are_not_folded():
    tape, _ = kept_alive()
    inspector = Inspector(tape, fold_keepalive=False)
    assert inspector.folds_keepalive is False
    data, _ = inspector._repr_mimebundle_()
    assert "pings and" not in data["text/plain"]
    assert data["text/plain"].count("pong") == 3
    inspector.close()


def test_heartbeats_of_engine_io_are_folded_and_probes_are_not():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    for start in (1.0, 26.0, 51.0):
        track.server(frame("2"), start)
        track.client(frame("3", MASK), start + 0.01)
    track.client(frame("2probe", MASK), 60.0)
    track.client(frame("2", MASK), 61.0)  # from the wrong side
    rows = rows_of(tape)
    assert [row["label"] for row in rows if row.get("keepalive")] == ["2", "3"] * 3
    fold, probe, wrong = folded(rows)[-3:]
    assert (fold["what"], fold["frames"], fold["pings"], fold["every"]) == ("keepalive", 6, 3, 25.0)
    assert words(fold) == "3 pings and 3 pongs, 25 s apart"
    assert (probe["label"], wrong["label"]) == ("2probe", "2")

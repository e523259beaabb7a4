"""The arrow to open on: known from the beginning, or the first that fits."""

from __future__ import annotations

import pytest

from tests.widgets.inspector.tapes import (
    HELLO,
    KEY,
    opened,
)
from wslab.widgets.inspector.inspector import Inspector
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track


def two_hellos() -> tuple[Tape, Track, Track]:
    tape = Tape()
    alice = opened(tape, "a1")
    bob = opened(tape, "b2", label="bob", client_address="127.0.0.1:2")
    for track in (alice, bob, alice):
        track.client(HELLO)
    alice.client(encode_frame(Opcode.CLOSE, b"\x03\xe8bye", mask_key=KEY))
    return tape, alice, bob


def chosen_by(tape: Tape, select) -> tuple[str, object]:
    inspector = Inspector(tape, select=select)
    feed = inspector._read()
    [row] = [row.json for row in feed.rows if row.json.get("chosen")]
    again = [row.json["id"] for row in inspector._read().rows if row.json.get("chosen")]
    assert again == [row["id"]]
    text = inspector._repr_mimebundle_()[0]["text/plain"]
    assert sum("<== chosen" in line for line in text.splitlines()) == 1
    inspector.close()
    return feed.timeline.lanes.by_number[row["lane"]]["name"], row.get("code", row.get("n"))


def test_it_opens_on_the_arrow_that_is_asked_for():
    tape, _, bob = two_hellos()
    frames = [event for event in tape.events if event.kind == "frame"]
    assert chosen_by(tape, frames[0]) == ("alice", 1)
    assert chosen_by(tape, frames[1]) == ("bob", 1)
    assert chosen_by(tape, lambda event: event.text == "Hello") == ("alice", 2)  # the latest
    theirs = bob.connection_id
    hello = lambda event: event.connection_id == theirs and event.text == "Hello"  # noqa: E731
    assert chosen_by(tape, hello) == ("bob", 1)
    # What happened as a frame came is that frame's arrow.
    assert chosen_by(tape, lambda event: event.kind == "close") == ("alice", 1000)
    assert chosen_by(tape, tape.messages[1]) == ("bob", 1)


def test_what_is_not_there_yet_is_chosen_when_it_comes_and_the_first_stays():
    tape = Tape()
    track = opened(tape)
    inspector = Inspector(tape, select=lambda event: event.text == "Hello")
    feed = inspector._begin() or inspector._feed
    track.client(HELLO + HELLO)
    rows = [row.json for row in feed.poll()]
    assert [row.get("chosen", False) for row in rows] == [True, False]
    inspector.close()


def test_the_chosen_arrow_is_in_the_static_form_among_many():
    tape = Tape()
    track = opened(tape)
    track.client(HELLO)
    for number in range(100):
        track.server(encode_frame(Opcode.TEXT, b"%d" % number))
    inspector = Inspector(tape, select=lambda event: event.text == "Hello")
    text = inspector._repr_mimebundle_()[0]["text/plain"]
    assert "around the chosen one of 103 events" in text
    assert 'text "Hello", 11 B   <== chosen' in text
    inspector.close()


def test_another_select_says_what_it_takes():
    with pytest.raises(TypeError, match=r"an event of the tape.*got str"):
        Inspector(Tape(), select="Hello")
    with pytest.raises(ZeroDivisionError):
        tape = Tape()
        opened(tape)
        Inspector(tape, select=lambda event: 1 / 0)

"""A conversation as lines of text."""

from __future__ import annotations

from tests.wire.taping import close, masked, websocket
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.conversation import conversation
from wslab.wire.tape.tape import Tape


def said(tape, **kwargs):
    text = conversation(tape.iter_events(), {"a1": "alice"}, **kwargs)
    return [line.partition(" s  ")[2] or line for line in text.splitlines()]


def test_nothing_yet():
    assert said(Tape()) == ["  (nothing yet)"]


def test_each_frame_once_and_close_frames_in_words():
    tape = Tape()
    track = websocket(tape)
    track.client(masked(1, "Grüße\nan alle".encode()))
    track.client(masked(9, b"p"))
    track.server(encode_frame(10, b"p"))
    track.server(encode_frame(1, b"a", fin=False))
    track.server(encode_frame(0, b"b"))
    track.server(encode_frame(8, close(1011, "oh")))
    track.client(masked(8, close(1011)))
    track.end()
    assert said(tape)[2:] == [
        "alice -> text 'Grüße\\nan alle'",
        "alice -> ping 70",
        "alice <- pong 70",
        "alice <- text 'a', more follows",
        "alice <- continuation 'b'",
        "alice <- close 1011 (internal error) 'oh'",
        "alice -> close 1011 (internal error)",
        "alice -- ended: clean",
    ]


def test_a_fault_and_what_was_dropped_are_said():
    tape = Tape(max_bytes=2**16)
    track = websocket(tape)
    for _ in range(100):
        track.client(masked(1, bytes(range(65, 91)) * 100))
    track.server(encode_frame(1, b"\xff"))
    lines = said(tape)
    assert any("dropped: " in line for line in lines)
    assert any("<- fault: " in line for line in lines)


def test_an_end_that_is_not_told_is_no_end_of_tcp():
    tape = Tape()
    track = websocket(tape)
    track.tells_end = False
    track.end()
    assert said(tape)[-1] == "alice -- over; how it ended is not on the record"


def test_whoever_sends_much_fills_no_screen():
    tape = Tape()
    track = websocket(tape)
    for number in range(1000):
        track.client(masked(1, b"x" * 10_000 if number % 2 else f"{number}".encode()))
    lines = said(tape)
    assert lines[0] == "  ... 962 before these"
    assert len(lines) == 41
    assert max(map(len, lines)) < 120
    assert len(said(tape, max_lines=3)) == 4

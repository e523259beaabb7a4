"""The tally: bytes go to the way whose path was asked for; the tape is written by hand here."""

from __future__ import annotations

from wslab.widgets.race.tally import MAX_KEPT, Tally, update_text
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


UPGRADE = get(
    "/socket?after=0",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
)


def test_an_update_is_as_long_as_it_is_to_be():
    assert update_text(7, 8) == "u7:....."
    assert update_text(123_456, 4) == "u123456:"


def test_one_connection_may_serve_one_way_after_another():
    tape = Tape()
    tally = Tally(tape)
    tally.made(1, 0.0)
    track = tape.open("a")
    body = b'["u1:."]'
    asked, answered = get("/poll?after=0"), OK % len(body)
    track.client(asked, 1.0)
    track.server(answered, 1.1)
    track.server(body, 1.2)
    other = get("/")
    track.client(other, 2.0)
    track.server(OK % 3 + b"u1:", 2.1)
    held = get("/wait?after=1", "Cookie: secret=0123456789\r\n")
    track.client(held, 3.0)
    tally.count()
    poll, wait = tally.ways["polling"], tally.ways["long polling"]
    assert (poll.requests, wait.requests) == (1, 1)
    assert poll.head_bytes == len(asked) + len(answered)
    assert poll.bytes == poll.head_bytes + len(body)
    assert wait.bytes == wait.head_bytes == len(held)  # the cookie's bytes, too
    assert poll.came_s == {1: 1.2}
    assert poll.late_s == {1: 1.2}
    assert wait.came_s == {}
    assert tally.others == 1
    assert poll.asked_s == [1.0]


def test_frames_count_with_their_headers_and_silence_by_itself():
    tape = Tape()
    tally = Tally(tape)
    tally.made(1, 1.5)
    track = tape.open("b")
    track.client(UPGRADE, 1.0)
    track.server(SWITCH, 1.1)
    frame = encode_frame(1, b"u1:.......")
    track.server(frame, 2.0)
    tally.count()
    tally.idle_from_s = 2.5
    ping = encode_frame(9, b"")
    track.server(ping, 3.0)
    tally.count()
    one = tally.ways["WebSocket"]
    assert one.head_bytes == len(UPGRADE) + len(SWITCH)
    assert one.bytes == one.head_bytes + len(frame) + len(ping)
    assert one.idle_bytes == len(ping)
    assert one.late_s == {1: 0.5}
    assert one.usual_late_s == 0.5


def test_an_update_that_comes_in_two_pieces_is_found():
    tape = Tape()
    tally = Tally(tape)
    tally.made(1234, 0.0)
    track = tape.open("c")
    track.client(get("/stream?after=0"), 1.0)
    track.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1.1)
    track.server(b'a\r\n"u12', 1.2)
    track.server(b"34:.\n", 1.3)
    tally.count()
    assert tally.ways["fetch stream"].came_s == {1234: 1.3}


def test_what_was_before_the_round_does_not_count():
    tape = Tape()
    track = tape.open("d")
    track.client(get("/events?after=0"), 1.0)
    track.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1.1)
    tally = Tally(tape)
    tally.made(1, 0.0)
    track.server(b"4\r\nu1:.\r\n", 1.2)
    tally.count()
    assert tally.ways["SSE"].bytes == 0


def test_a_refusal_is_said_and_an_ended_connection_forgotten():
    tape = Tape()
    tally = Tally(tape)
    track = tape.open("e")
    track.client(get("/events"), 1.0)
    track.server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 1.1)
    track.end()
    tally.count()
    assert tally.ways["SSE"].refused == 404
    assert tally._on == {}
    assert tally._tails == {}


def test_a_client_that_asks_without_end_is_counted_and_not_kept():
    tape = Tape()
    tally = Tally(tape)
    track = tape.open("f")
    for _ in range(MAX_KEPT + 50):
        track.client(get("/poll?after=0"))
        track.server(OK % 2 + b"[]")
    # It says updates that nobody made, too.
    track.client(get("/poll?after=0"))
    track.server(OK % 400 + b"u99999:...." * 40)
    tally.count()
    one = tally.ways["polling"]
    assert one.requests == MAX_KEPT + 51
    assert len(one.asked_s) == MAX_KEPT
    assert one.came_s == {}

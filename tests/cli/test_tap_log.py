"""The lines of `wslab tap`, event by event."""

from __future__ import annotations

from tests import peers
from wslab.cli.tap_log import line_of
from wslab.wire.tape.tape import Tape


def lines(*parts):
    """Return what is printed of a connection on which these bytes passed, by sender."""
    tape = Tape()
    track = tape.open("c1", client_address="127.0.0.1:5000")
    for sender, data in parts:
        getattr(track, sender)(data)
    track.end()
    return [line for event in tape.events if (line := line_of(event)) is not None]


OPENS = (
    ("client", peers.request(80)),
    ("server", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
)  # fmt: skip


def test_a_conversation():
    said = lines(
        *OPENS,
        ("client", peers.frame(1, "¡hola!\x1b".encode())),
        ("server", peers.frame(2, bytes(range(40)), masked=False)),
        ("server", peers.frame(9, b"p", masked=False)),
        ("client", peers.frame(10, b"p")),
        ("server", peers.close_frame(1001, "bye", masked=False)),
        ("client", peers.frame(8)),
    )
    assert said == [
        "connect     127.0.0.1:5000",
        "-->  request                GET /",
        "<--  answer                 101 Switching Protocols",
        "-->  text              8 B  ¡hola!\\x1b",
        "<--  binary           40 B  " + bytes(range(24)).hex(" ") + "...",
        "<--  ping              1 B  70",
        "-->  pong              1 B  70",
        "<--  close                  1001 going away bye",
        "-->  close                  without a code",
        "disconnect",
    ]


def test_what_goes_wrong():
    said = lines(*OPENS, ("client", b"\x83\x80abcd"))
    assert said[-2].startswith("-->  fault")
    assert "opcode" in said[-2]
    assert said[-1] == "disconnect  without a close frame"


def test_a_long_text_is_cut_and_a_body_is_counted():
    [*_, text, _] = lines(*OPENS, ("client", peers.frame(1, b"x" * 500)))
    assert text == "-->  text            500 B  " + "x" * 100 + "..."
    said = lines(("client", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
    assert said[1:3] == ["-->  request                POST /", "-->  body              3 B"]

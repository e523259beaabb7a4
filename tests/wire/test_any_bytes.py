"""Whatever came over the wire, every view of a tape can be had, and none of them raises."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wire.framing import spoiled, streams
from tests.wire.taping import BROKEN, KEY, MASK, Compressor
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.feed import Feed
from wslab.wire.events import Event, FrameEvent, ResponseEvent
from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.tape.sampling import SamplingReader
from wslab.wire.tape.tape import Tape

NUMBERS = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "5",
        "9" * 19,
        "9" * 5_000,
        "0x10",
        "1e5",
        "\xb2",
        "",
        "ffffffffffffffffff",
        "13",
    ]
)
NAMES = st.sampled_from(
    [
        "Content-Length", "Transfer-Encoding", "Content-Encoding", "Sec-WebSocket-Version",
        "Sec-WebSocket-Key", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Cookie",
        "Set-Cookie", "Host", "Location", "Retry-After", "Authorization", "Upgrade", "Content-Type",
    ]
)  # fmt: skip
VALUES = NUMBERS | st.sampled_from(
    [
        "chunked", "gzip", "gzip, chunked", "permessage-deflate; server_max_window_bits=99999999",
        "permessage-deflate; client_max_window_bits=" + "1" * 5_000, "permessage-deflate", "a=b; c",
        "permessage-deflate; server_max_window_bits=9; client_no_context_takeover", ";;,,==",
        "\xff", "websocket", "text/event-stream", "http://[", "http://x:" + "9" * 5_000 + "/",
    ]
)  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
TARGETS = st.sampled_from(
    ["/", "*", "/?a=%ff%", "http://[::1", "http://x:99999/", "//", "/#a", "/?token=%25%32%35", "x"]
)


@st.composite
def heads(draw) -> bytes:
    lines = [f"{name}: {value}" for name, value in draw(HEADERS)]
    start = draw(
        st.sampled_from(
            ["GET {} HTTP/1.1", "POST {} HTTP/1.1", "CONNECT {} HTTP/1.0", "HTTP/1.1 {}"]
        )
    )
    what = draw(st.sampled_from(["101 x", "200 OK", "999 \xff", "204 ", "426 Upgrade"]))
    first = start.format(what if start.startswith("HTTP") else draw(TARGETS))
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


OPENING = build_request("/", "x", KEY, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
ANSWERS = [
    build_response(101, key=KEY),
    build_response(101, key=KEY, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")]),
]
PIECES = (
    st.binary(max_size=300)
    | spoiled
    | streams
    | heads()
    | st.sampled_from(
        [
            OPENING, *ANSWERS, *BROKEN, b"5\r\nhello\r\n", b"f" * 20 + b"\r\n", b"0\r\n\r\n",
            encode_frame(1, b'{"event":"welcome","data":{"session":"abc', fin=False),
            encode_frame(1, Compressor()(b'{"event":"welcome","data":{"session":"a'), rsv1=True),
            encode_frame(0, b'40{"sid":"\xff'), b"\x82\xff" + b"\x7f" * 8 + MASK,
            b"\x82\xff" + b"\xff" * 8,
            b"GET /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /?EIO=4&transport=polling&sid=a HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
            build_request("/?EIO=4&transport=websocket&sid=a", "x", KEY),
            b'42["a",{}]', b"bAQ==\x1e",
            encode_frame(1, b'451-["a",{"_placeholder":true,"num":0}]'), encode_frame(2, b"x"),
            encode_frame(1, b'42["connect"]', mask_key=MASK),
        ]
    )
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["client", "server", "end"]), PIECES), max_size=12
)


def raw(events: list[Event]) -> list[bytes]:
    return [event.frame.raw for event in events if isinstance(event, FrameEvent)]


def every_view(tape: Tape, folder: Path) -> None:
    revealed = tape.read(reveal=True)
    for reveal in (False, True):
        events = tape.read(reveal=reveal)
        for event in events:
            repr(event)
            if isinstance(event, FrameEvent):
                frame = event.frame
                _ = (frame.text, frame.close_code, frame.close_reason, frame.fields, frame.raw)
                repr(frame)
            elif isinstance(event, ResponseEvent) and event.handshake is not None:
                _ = (event.handshake.why_refused, event.handshake.suspect, event.handshake.checks)
                _ = (event.handshake.extensions, event.handshake.subprotocol)
        tape.to_rows(reveal=reveal)
        tape.to_har(folder / "x.har", reveal=reveal)
        tape.to_pcapng(folder / "x.pcapng", reveal=reveal)
        for name in ("x.har", "x.pcapng"):
            again = Tape.load(folder / name)
            assert raw(again.read(reveal=True)) == raw(events)
            if raw(events) == raw(revealed):  # else: behind a token, other bytes may be in order
                again_events = again.read(reveal=reveal)
                assert [event.kind for event in again_events] == [event.kind for event in events]
    assert len(tape.frames) == sum(event.kind == "frame" for event in tape.events)
    assert len(tape.messages) == sum(event.kind == "message" for event in tape.events)
    for limit, keep in ((3, 5), (1_000, 1_000)):
        SamplingReader(tape.recorder).sample(limit, keep)
    SamplingReader(tape.recorder).catch_up(2)
    repr(tape)
    feed = Feed([tape])
    feed.catch_up()
    rows = [row.json for row in feed.poll()]
    lanes, numbers = feed.timeline.lanes.by_number, feed.numbers()
    static_html.text("x", lanes, rows, numbers)
    static_html.html("x", lanes, rows, numbers)


def record(tape: Tape, steps, openings) -> None:
    tracks = []
    for number, opening in enumerate(openings):
        track = tape.open(f"c{number}", side=["client", "server"][number % 2])
        if opening is not None:
            track.client(OPENING)
            track.server(ANSWERS[opening])
        tracks.append(track)
    for number, what, data in steps:
        track = tracks[number]
        if what == "end":
            track.end()
        else:
            (track.client if what == "client" else track.server)(data)


OPENINGS = st.tuples(*[st.sampled_from([None, 0, 1])] * 3)


# A compressed frame that takes more bytes where it is saved: what is behind it must not be shifted.
GROWN = (
    b"\x02\x7f\x00\x00\x00\x00\x00\x00\x00\x02\x98\x80\x03\x84w\xfb)\xca\xcb\xb7\xa9\xd6A\x81\x07"
    b"\xfb\x7f\x81\xea@\xff\x00\x00\x00\x00\x00\x00\x00\x01H}\x13\x08)\x80\xff\x00\x00\x00\x00\x00"
    b"\x00\x00\x02\x10\x1c|-\xb63\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"
)


@settings(max_examples=100, deadline=None, database=None)
@example([(2, "server", GROWN)], (1, 0, 1))
@given(STEPS, OPENINGS)
@example([(0, "client", b"a~\x00\x00")], (1, None, None))
@example([(0, "client", b"a\x01\x02\x00\x01\x01")], (1, None, None))
def test_any_bytes_on_any_track(steps, openings):
    tape = Tape()
    record(tape, steps, openings)
    with tempfile.TemporaryDirectory() as folder:
        every_view(tape, Path(folder))


@settings(max_examples=40, deadline=None, database=None)
@given(STEPS, OPENINGS, STEPS)
def test_any_bytes_when_what_came_before_was_dropped(steps, openings, more):
    tape = Tape(max_bytes=64 * 2**10)
    filling = tape.open("filling")
    filling.client(OPENING)
    filling.server(ANSWERS[0])
    record(tape, steps, openings)
    for _ in range(9):
        filling.server(encode_frame(2, bytes(9_000)))
    for number, what, data in more:
        track = [t for t in tape.connections if t.connection_id == f"c{number}"]
        if track and what != "end":
            (track[0].client if what == "client" else track[0].server)(data)
    filling.server(encode_frame(1, b"still here"))
    assert tape.frames[-1].text == "still here"
    with tempfile.TemporaryDirectory() as folder:
        every_view(tape, Path(folder))


@pytest.mark.parametrize("name", ["Content-Length", "Sec-WebSocket-Version", "Content-Encoding"])
@pytest.mark.parametrize("value", ["9" * 5_000, "9" * 15_000, "-" + "9" * 5_000])
def test_a_number_of_thousands_of_digits_in_any_head(name, value, tmp_path):
    tape = Tape()
    for who in ("client", "server"):
        track = tape.open(who)
        track.client(
            build_request("/", "x", KEY, headers=[(name, value)] if who == "client" else [])
        )
        track.server(build_response(200, headers=[(name, value)] if who == "server" else []))
        track.client(b"more")
        track.end()
    every_view(tape, tmp_path)

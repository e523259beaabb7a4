"""Session tokens are taken out of the packets that tell them, in every view and file."""

from __future__ import annotations

import itertools
import json
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wslab
from tests.peers import until
from tests.wire.taping import MASK, websocket
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.feed import Feed
from wslab.wire.connection.token_redaction import _padding, hide_tokens
from wslab.wire.events import FrameEvent
from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape

TOKEN = "5loVWsNl4bVLHJSuT4IKJ8pyq9bVoY-R"
WELCOME = json.dumps(
    {"event": "welcome", "data": {"id": "b32a62", "session": TOKEN, "offset": 0}},
    separators=(",", ":"),
)
PACKETS = [
    WELCOME,
    json.dumps({"event": "welcome", "data": {"session": TOKEN}}, indent=1),
    "0" + json.dumps({"sid": TOKEN, "upgrades": ["websocket"], "pingInterval": 25000}),
    "40" + json.dumps({"sid": TOKEN, "pid": TOKEN}),
    "40/admin," + json.dumps({"sid": TOKEN}),
    "40" + json.dumps({"name": "alice", "accessToken": TOKEN, "password": TOKEN}),
    json.dumps({"event": "authenticate", "data": {"token": TOKEN}}),
    json.dumps({"event": "authenticate", "data": TOKEN, "id": 7, "n": 3}),
    "42" + json.dumps(["authenticate", {"token": TOKEN}]),
    "42" + json.dumps(["authenticate", TOKEN], separators=(",", ":")),
    "42/admin,17" + json.dumps(["authenticate", TOKEN]),
]
AFTER = "the next message repeats nothing secret, " * 3


class Compress:
    """One side's frames, compressed with the context taken over, or not compressed at all."""

    def __init__(self, is_on: bool, key: bytes | None) -> None:
        self._stream = zlib.compressobj(wbits=-15) if is_on else None
        self._key = key

    def __call__(self, text: str, cuts: tuple[int, ...] = ()) -> list[bytes]:
        data = text.encode()
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        parts = [data[a:b] for a, b in itertools.pairwise(edges)]
        frames = []
        for nth, part in enumerate(parts):
            is_last = nth == len(parts) - 1
            if self._stream is not None:
                # A frame may end within a byte of DEFLATE's: without a flush nothing is aligned.
                part = self._stream.compress(part)
                if is_last:
                    part += self._stream.flush(zlib.Z_SYNC_FLUSH)
                    part = part[:-4]
            frames.append(
                encode_frame(
                    0 if nth else 1, part, fin=is_last, mask_key=self._key,
                    rsv1=self._stream is not None and not nth,
                )
            )  # fmt: skip
        return frames


def unmarked(data: str | bytes) -> str:
    """Return a message without the marks by which ids that are hidden can be told apart."""
    assert isinstance(data, str)
    return re.sub(r"(?<=\[redacted\])[0-9a-f]{8}", "*" * 8, data)


def recorded(packet: str, *, side: str, is_on: bool, cuts: tuple[int, ...], chunk: int) -> Tape:
    tape = Tape()
    track = websocket(tape, deflate=is_on)
    record = track.client if side == "client" else track.server
    compress = Compress(is_on, MASK if side == "client" else None)
    data = b"".join(compress(packet, cuts) + compress(AFTER) + compress(packet) + compress(AFTER))
    for start in range(0, len(data), chunk):
        record(data[start : start + chunk])
    return tape


def views(tape: Tape, tmp_path) -> list[bytes]:
    """Everything that anybody is shown of a tape, or that is written of it."""
    found = []
    for event in tape.events:
        found.append(repr(event).encode())
        if isinstance(event, FrameEvent):
            frame = event.frame
            found += [frame.raw, frame.payload, frame.content, repr(frame.fields).encode()]
            found.append((frame.text or "").encode())
    found.append(repr(tape.messages).encode())
    rows = tape.to_rows()
    found.append(repr(rows).encode())
    found += [bytes.fromhex(row["hex"]) for row in rows if row["hex"]]
    for name, write in (("x.har", tape.to_har), ("x.pcapng", tape.to_pcapng)):
        write(tmp_path / name)
        found.append((tmp_path / name).read_bytes())
        again = Tape.load(tmp_path / name)
        found += [chunk.data for chunk in again.chunks()]
        found.append(repr(again.read(reveal=True)).encode())
        # Unmasked and inflated, with nothing of ours but the decoder.
        deflate = Deflate() if tape.connections and "deflate" in repr(again.events) else None
        for sender in ("client", "server"):
            decoder = FrameDecoder(sender, deflate)
            for chunk in list(again.chunks())[3:]:
                if chunk.what == sender:
                    found += [
                        item.content
                        for item in decoder.feed(chunk.data)
                        if hasattr(item, "content")
                    ]
    feed = Feed([tape])
    feed.catch_up()
    rows_drawn = feed.poll()
    found += [repr(row.json).encode() + row.data for row in rows_drawn]
    lanes, numbers = feed.timeline.lanes.by_number, feed.numbers()
    drawn = [row.json for row in rows_drawn]
    found.append(static_html.text("x", lanes, drawn, numbers).encode())
    found.append(static_html.html("x", lanes, drawn, numbers).encode())
    return found


@pytest.mark.parametrize("packet", PACKETS)
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("is_on", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("cuts", [(), (40,), (5, 20, 21, 60, 66), (0, 0)])
def test_no_view_and_no_file_has_it(packet, side, is_on, cuts, tmp_path):
    tape = recorded(packet, side=side, is_on=is_on, cuts=cuts, chunk=37)
    shown = packet.replace(TOKEN, "[redacted]".ljust(len(TOKEN), "*"))
    assert [unmarked(message.data) for message in tape.messages] == [shown, AFTER] * 2
    assert not [event for event in tape.events if event.kind == "fault"]
    for view in views(tape, tmp_path):
        for size in (len(TOKEN), 12):
            assert TOKEN[-size:].encode() not in view
            assert TOKEN[:size].encode() not in view
    for name in ("x.har", "x.pcapng"):
        again = Tape.load(tmp_path / name)
        assert [m.data for m in again.messages] == [m.data for m in tape.messages]  # with marks
        assert [unmarked(message.data) for message in again.messages] == [shown, AFTER] * 2
        sizes = [frame.frame.size_bytes for frame in tape.frames]
        assert [frame.frame.size_bytes for frame in again.frames] == sizes
    assert [message.data for message in tape.read(reveal=True) if message.kind == "message"] == [
        packet, AFTER, packet, AFTER,
    ]  # fmt: skip


def test_the_longest_token_that_a_hub_takes_is_taken_out_whole():
    # A signed token says who somebody is, and what it ends with is the signature.
    long = (TOKEN * 200)[:4096]
    for packet in ({"token": long}, long):
        text = hide_tokens(json.dumps({"event": "authenticate", "data": packet}))
        assert "[redacted]" in text
        assert TOKEN[-6:] not in text


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.integers(1, 200), st.booleans(), st.sampled_from(["client", "server"]),
    st.lists(st.integers(0, 90), max_size=6),
)  # fmt: skip
def test_however_it_is_cut(chunk, is_on, side, cuts):
    tape = recorded(WELCOME, side=side, is_on=is_on, cuts=tuple(cuts), chunk=chunk)
    shown = WELCOME.replace(TOKEN, "[redacted]".ljust(len(TOKEN), "*"))
    assert [message.data for message in tape.messages] == [shown, AFTER, shown, AFTER]
    texts = b"".join(frame.frame.content for frame in tape.frames)
    assert TOKEN[:6].encode() not in texts
    assert TOKEN[-6:].encode() not in texts


def test_a_packet_that_is_cut_off_is_saved_without_it(tmp_path):
    for is_on in (False, True):
        tape = Tape()
        track = websocket(tape, deflate=is_on)
        frame = Compress(is_on, None)(WELCOME)[0]
        track.server(frame[:-3])
        tape.to_har(tmp_path / "x.har")
        assert TOKEN[:12].encode() not in b"".join(
            c.data for c in Tape.load(tmp_path / "x.har").chunks()
        )
        assert Tape.load(tmp_path / "x.har").events == tape.events


@pytest.mark.parametrize(
    "text",
    [
        "hello", "", '{"event":"say","data":{"session":"abcdefgh"}}', '{"session":"open a tap"}',
        '{"event":"welcome","data":{"session":true}}', '{"event":"welcome","data":{}}', "0", "40",
        '{"event":"welcome"', "4" * 5_000, " " * 5_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_on", [False, True])
@pytest.mark.parametrize("cuts", [(), (1, 9, 30)])
def test_everything_else_stays_as_it_is(text, is_on, cuts):
    tape = recorded(text, side="server", is_on=is_on, cuts=cuts, chunk=50)
    assert [message.data for message in tape.messages] == [text, AFTER, text, AFTER]
    if not is_on:
        plain = [event.frame.raw for event in tape.read(reveal=True) if event.kind == "frame"]
        assert [event.frame.raw for event in tape.frames] == plain


@pytest.mark.parametrize("size", range(80))
def test_padding(size):
    padding = _padding(size)
    if size in (1, 2, 3, 4, 8):
        assert padding is None
        return
    assert len(padding) == size
    assert zlib.decompress(padding + zlib.compress(b"after", wbits=-15), wbits=-15) == b"after"


@pytest.mark.parametrize("length_form", [16, 64])
@pytest.mark.parametrize("size", [0, 5, 100, 124, 125])
def test_a_length_in_more_bits_than_needed_stays_one(size, length_form, tmp_path):
    # A first fragment that could be a packet's is written anew, here with five bytes more.
    tape = Tape()
    track = websocket(tape, deflate=True)
    data = b"\x02\x00\x00\x00\xff\xff" * 30  # nothing, deflated
    track.server(encode_frame(1, data[:size], fin=False, rsv1=True, length_form=length_form))
    frame = tape.frames[0].frame
    assert "length-not-minimal" in [fault.rule for fault in frame.faults]
    tape.to_pcapng(tmp_path / "x.pcapng")
    again = Tape.load(tmp_path / "x.pcapng").frames[0].frame
    assert [fault.rule for fault in again.faults] == [fault.rule for fault in frame.faults]
    assert again.payload == frame.payload


def test_the_url_of_a_poll_and_its_body(tmp_path):
    tape = Tape()
    track = tape.open("a1")
    track.client(f"GET /socket.io/?EIO=4&sid={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    body = PACKETS[2].encode()
    track.server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    for view in views(tape, tmp_path):
        assert TOKEN[:12].encode() not in view


def marks(tape: Tape) -> list[str]:
    """Return the marks of hidden ids in targets, bodies and messages, in their order."""
    found = []
    for event in tape.read():
        if event.kind == "request":
            text = event.request.target
        elif event.kind == "response":
            text = event.response.body.decode()
        elif event.kind == "body":
            text = event.data.decode()
        elif event.kind == "message":
            text = event.data
        else:
            continue
        found += re.findall(r"\[redacted\]([0-9a-f]{8})?", text)
    return found


def test_a_hidden_id_has_the_same_mark_wherever_it_stands(tmp_path):
    tape = Tape()
    polls = tape.open("a1")
    for query, body in (("", PACKETS[2]), (f"&sid={TOKEN}", "2"), (f"&sid={TOKEN}2", "6")):
        polls.client(f"GET /socket.io/?EIO=4{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        for data in (head, body[:20], body[20:]) if len(body) > 20 and query else (head + body,):
            polls.server(data.encode())
    track = websocket(tape)
    track.server(encode_frame(1, PACKETS[2].encode()))
    mark, *others = marks(tape)
    assert re.fullmatch("[0-9a-f]{8}", mark)
    assert others[:1] == [mark]  # of the URL
    assert others[1] != mark  # of another id's URL
    assert others[2:] == [mark]  # of the frame
    tape.to_har(tmp_path / "x.har")
    assert marks(Tape.load(tmp_path / "x.har")) == [mark, *others]


def test_an_id_that_is_cut_in_two_has_no_mark():
    tape = Tape()
    track = tape.open("a1")
    track.client(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n")
    body = PACKETS[2].encode()
    track.server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:20])
    track.server(body[20:])
    assert marks(tape) == [""]
    shown = b"".join(e.response.body if e.kind == "response" else e.data
                     for e in tape.read() if e.kind in ("response", "body"))  # fmt: skip
    assert len(shown) == len(body)
    assert TOKEN[:8].encode() not in shown
    assert TOKEN[-8:].encode() not in shown


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_real_hub(compression, tmp_path):
    hub = wslab.Hub(history=10)
    with wslab.serve(hub, compression=compression) as server:
        with wslab.connect(server, compression=compression) as first:
            token = json.loads(first.recv(timeout=5))["data"]["session"]
            url = f"{server.url}?session={token}&offset=0"
            with wslab.connect(url, compression=compression) as second:
                until(lambda: len(second.tape.messages) > 0)
                for tape in (server.tape, first.tape, second.tape):
                    for view in views(tape, tmp_path):
                        assert token[:12].encode() not in view


def test_a_whole_message():
    packet = '{"event":"welcome","session":"s3cretS3cret"}'
    assert hide_tokens(packet) == '{"event":"welcome","session":"[redacted]**"}'
    assert hide_tokens('0{"sid":"s3cretS3cret"}' + "é" * 5000).endswith("é" * 5000)
    assert "s3cret" not in hide_tokens('0{"sid":"s3cretS3cret"}')
    for text in ("", "hello", '{"event":"chat","session":"s3cret"}', "4" * 10_000, "\ud800"):
        assert hide_tokens(text) == text

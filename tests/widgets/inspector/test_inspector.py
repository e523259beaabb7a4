"""What the Inspector sends, and what it shows where no script runs; the wire is literal bytes."""

from __future__ import annotations

import base64
import json
import re
import time
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator

import pytest

from wslab.widgets import live
from wslab.widgets.inspector import inspector as inspectors
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.inspector import Feed, Inspector
from wslab.widgets.inspector.model import FORGET_AT, Timeline, moment, words
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape, Track

KEY = b"\x37\xfa\x21\x3d"
REQUEST = (
    b"GET /chat?token=hunter2 HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nCookie: session=hunter2\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
CLIENT, SERVER = "127.0.0.1:50001", "127.0.0.1:8765"
HELLO = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 §5.7


def opened(
    tape: Tape,
    connection_id: str = "7f3a21",
    *,
    label: str | None = "alice",
    extensions: bytes = b"",
    side: str = "server",
    client_address: str = CLIENT,
) -> Track:
    track = tape.open(
        connection_id,
        side=side,  # type: ignore[arg-type]
        label=label,
        client_address=client_address,
        server_address=SERVER,
    )
    track.client(REQUEST)
    track.server(RESPONSE + extensions + b"\r\n")
    return track


def rows_of(*tapes: Tape, servers=(), **options) -> list[dict]:
    feed = Feed(tapes, servers, **options)
    feed.catch_up()
    while feed.poll():
        pass
    return [row.json for row in feed.rows]


def frames(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["what"] == "frame"]


# --- rows ----------------------------------------------------------------------------------


def test_a_row_brings_the_bytes_to_read_the_frame_without_the_kernel():
    tape = Tape()
    opened(tape).client(HELLO)
    feed = Feed([tape])
    feed.catch_up()
    row = feed.poll()[-1]
    assert row.json["bytes"] == [6, 5, 0]
    assert row.data == HELLO
    assert (row.json["kind"], row.json["label"], row.json["n"]) == ("text", "Hello", 1)
    assert (row.json["by"], row.json["size"], row.json["wire"]) == ("client", 5, 11)
    json.dumps(row.json)  # plain


def test_a_large_payload_is_cut_and_its_size_is_told():
    tape = Tape()
    opened(tape).server(encode_frame(Opcode.BINARY, bytes(70_000)))
    feed = Feed([tape])
    feed.catch_up()
    row = feed.poll()[-1]
    assert row.json["bytes"] == [10, 256, 0]
    assert len(row.data) == 266
    assert row.json["size"] == 70_000


def test_a_compressed_frame_brings_both():
    tape = Tape()
    track = opened(tape, extensions=b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
    deflater = zlib.compressobj(wbits=-15)
    data = (deflater.compress(b"spam " * 100) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    track.client(encode_frame(Opcode.TEXT, data, rsv1=True, mask_key=KEY))
    feed = Feed([tape])
    feed.catch_up()
    row = feed.poll()[-1]
    assert row.json["bytes"] == [6, len(data), 256]
    assert row.json["content"] == 500
    assert row.data.endswith(b"spam spam s")
    assert row.json["label"].startswith("spam spam")
    assert feed.numbers()["inflated"] == [len(data), 500]


def test_fragments_are_numbered_and_the_last_tells_of_the_whole():
    tape = Tape()
    track = opened(tape)
    track.client(encode_frame(Opcode.TEXT, b"one ", fin=False, mask_key=KEY))
    track.client(encode_frame(Opcode.PING, b"", mask_key=KEY))
    track.client(encode_frame(Opcode.CONT, "zwölf".encode()[:3], fin=False, mask_key=KEY))
    track.client(encode_frame(Opcode.CONT, "zwölf".encode()[3:], mask_key=KEY))
    track.client(encode_frame(Opcode.TEXT, b"next", mask_key=KEY))
    rows = frames(rows_of(tape))
    assert [row.get("part") for row in rows] == [1, None, 2, 3, None]
    assert [row["label"] for row in rows] == ["one ", "", "zw", "ölf", "next"]
    assert rows[3]["whole"]["parts"] == 3
    assert rows[3]["whole"]["size"] == len("one zwölf".encode())
    assert rows[3]["carry"] == "c3"


def test_ping_close_and_end_are_told():
    tape = Tape()
    track = opened(tape)
    track.server(encode_frame(Opcode.PING, b"\x01\x02"))
    track.client(encode_frame(Opcode.PONG, b"\x01\x02", mask_key=KEY))
    track.client(encode_frame(Opcode.CLOSE, b"\x03\xe8bye", mask_key=KEY))
    track.server(encode_frame(Opcode.CLOSE, b"\x03\xe8"))
    track.end()
    ping, pong, first, second, end = rows_of(tape)[2:]
    assert ping["label"] == "01 02"
    assert 0 <= pong["rtt"] < 1
    assert (first["code"], first["reason"], first["answer"]) == (1000, "bye", False)
    assert second["answer"] is True
    assert end["clean"] is True
    assert end["label"] == 'closed by alice: 1000 normal closure "bye"'


@pytest.mark.parametrize(
    ("closes", "label"),
    [
        ((), "broke off: TCP ended without a close frame (reported as 1006)"),
        (("server",), "broke off: the server sent a close frame, alice never answered it (1006)"),
    ],
)
def test_a_connection_that_breaks_off_says_so(closes, label):
    tape = Tape()
    track = opened(tape)
    for _ in closes:
        track.server(encode_frame(Opcode.CLOSE, b"\x03\xe8"))
    track.end()
    end = rows_of(tape)[-1]
    assert (end["what"], end["clean"], end["label"]) == ("ended", False, label)


def test_a_fault_is_on_its_frame_and_not_twice():
    tape = Tape()
    opened(tape).client(encode_frame(Opcode.TEXT, b"bare"))
    rows = rows_of(tape)
    assert [row["what"] for row in rows] == ["request", "response", "frame"]
    rule, reference, message = rows[-1]["faults"][0]
    assert (rule, reference) == ("unmasked-client", "RFC 6455 §5.1")
    assert message.startswith("Expected")


def test_the_handshake_is_explained_and_shows_no_secret():
    tape = Tape()
    opened(tape)
    feed = Feed([tape])
    feed.catch_up()
    request, response = (row.json for row in feed.poll())
    assert request["upgrade"] is True
    assert response["request"] == request["id"]
    steps = response["handshake"]["accept"]
    assert steps["accept"] == steps["sent"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert steps["sha1"] == "b37a4f2cc0624f1690f64606cf385945b2bec4ea"
    assert all(ok for _, ok, *_ in response["handshake"]["checks"])
    name, value, text, fault = request["head"]["headers"][3]
    assert (name, value, fault) == ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "")
    assert "16 random bytes" in feed.timeline.texts[text][0]
    assert "hunter2" not in json.dumps([request, response])


def test_a_refusal_names_its_cause():
    tape = Tape()
    track = tape.open("c1", label="eve", client_address=CLIENT, server_address=SERVER)
    track.client(REQUEST.replace(b"Version: 13", b"Version: 12"))
    track.server(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\r\n")
    response = rows_of(tape)[-1]
    assert response["handshake"]["accepted"] is False
    assert response["handshake"]["suspect"] == "Sec-WebSocket-Version"
    faults = [fault for name, _, _, fault in response["asked"]["headers"] if "Version" in name]
    assert faults[0].startswith("Expected 13")


def test_a_page_request_is_told_apart():
    tape = Tape()
    track = tape.open("c1", client_address=CLIENT, server_address=SERVER)
    track.client(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    track.server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    track.end()
    request, response = rows_of(tape)
    assert (request["upgrade"], response["upgrade"]) == (False, False)
    assert response["body"] == "hello"
    assert "handshake" not in response


# --- several sources -----------------------------------------------------------------------


def test_one_connection_on_two_tapes_is_drawn_once_under_the_clients_name():
    served, dialled = Tape(name="echo"), Tape(name="alice")
    on_client = opened(dialled, "c1", side="client")
    on_server = opened(served, label=None)
    for track in (on_client, on_server):
        track.client(HELLO)
    feed = Feed([served, dialled], [SERVER])
    feed.catch_up()
    rows = feed.poll()
    assert [row.json["what"] for row in rows] == ["request", "response", "frame"]
    lane = feed.timeline.lanes[rows[-1].json["lane"]]
    assert lane["name"] == "alice"
    assert feed.timeline.lanes[lane["server"]]["name"] == "echo"


def test_a_client_alone_is_drawn_from_its_own_record():
    tape = Tape(name="alice")
    opened(tape, side="client").client(HELLO)
    assert [row["what"] for row in rows_of(tape)] == ["request", "response", "frame"]


def test_names_in_use_get_a_number_and_are_free_again_after_the_end():
    tape = Tape()
    first = opened(tape, "c1")
    opened(tape, "c2", client_address="127.0.0.1:2")
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    names = [lane["name"] for lane in feed.timeline.lanes.values() if lane["side"] == "client"]
    assert names == ["alice", "alice (2)"]
    first.end()
    feed.poll()
    opened(tape, "c3", client_address="127.0.0.1:3")
    feed.poll()
    assert list(feed.timeline.lanes.values())[-1]["name"] == "alice"


@pytest.mark.parametrize("side", ["server", "client"])
def test_connections_that_come_and_go_leave_no_lanes_behind(side):
    # Each left a dict, two names and an address for as long as somebody looked.
    tape = Tape(max_bytes=65_536)
    feed = Feed([tape], max_rows=100)
    feed.catch_up()
    most = 0
    for number in range(15_000):
        ends = {"client_address": f"127.0.0.1:{number}"}
        if side == "client":
            ends["server_address"] = f"10.0.0.{number % 500}:{number}"
        track = tape.open(f"{number:06x}", side=side, label=f"n{number}", **ends)
        track.client(b"GET / HTTP/1.1\r\n\r\n")
        track.end()
        if number % 20 == 0:
            for row in feed.poll():
                if "lane" in row.json:
                    lane = feed.timeline.lanes[row.json["lane"]]
                    assert feed.timeline.lanes[lane["server"]]["side"] == "server"
            timeline = feed.timeline
            most = max(most, len(timeline.lanes), len(timeline._names), len(timeline._new_lanes),
                       len(timeline._server_lanes), len(timeline._connections),
                       len(timeline._taken))  # fmt: skip
    assert most <= 2 * FORGET_AT
    assert set(feed.timeline.lanes_of(feed.rows)) <= set(feed.timeline.lanes)
    static_html.text("t", feed.timeline.lanes, [row.json for row in feed.rows], feed.numbers())


def test_lanes_of_rows_that_wait_to_be_shown_are_kept(monkeypatch):
    monkeypatch.setattr("wslab.widgets.inspector.model.FORGET_AT", 0)
    tape = Tape(max_bytes=65_536)
    opened(tape, "first").end()
    feed = Feed([tape], max_rows=50)
    feed.catch_up()
    waiting = list(feed.timeline.rows(0, tape.events))
    for number in range(2_000):
        opened(tape, f"{number:06x}", client_address=f"127.0.0.1:{number}").end()
        if number % 20 == 0:
            feed.poll(waiting)
    assert "first" not in {track.connection_id for track in tape.connections}
    assert {row.json["lane"] for row in waiting} <= set(feed.timeline.lanes)
    feed.timeline._forget_at = 0
    feed.poll()
    assert not {row.json["lane"] for row in waiting} <= set(feed.timeline.lanes)


def test_a_name_that_comes_late_replaces_the_id():
    tape = Tape()
    track = opened(tape, label=None)
    timeline = Timeline()
    timeline.meet(0, tape)
    assert list(timeline.lanes.values())[-1]["name"] == "id 7f3a21"
    track.label = "bob"
    timeline.take_new_lanes()
    timeline.meet(0, tape)
    assert [lane["name"] for lane in timeline.take_new_lanes().values()] == ["bob"]


# --- keepalive -----------------------------------------------------------------------------


def kept_alive(*, pings: int = 3, interval_s: float = 20.0) -> tuple[Tape, Track]:
    """Return a tape on which the server's library has pinged so many times, late by some ms."""
    tape = Tape(name="echo")
    track = opened(tape)
    began_s = rows_of(tape)[1]["at"]
    for number in range(1, pings + 1):
        at_s = began_s + number * (interval_s + 0.004)
        ping(tape, track, at_s, bytes([number, 1, 2, 3]))
    return tape, track


def ping(tape: Tape, track: Track, at_s: float, data: bytes, *, by: str = "server") -> None:
    other = {"server": "client", "client": "server"}[by]
    for sender, opcode, later_s in ((by, Opcode.PING, 0.0), (other, Opcode.PONG, 0.003)):
        key = KEY if sender == "client" else None
        line = 0 if sender == "client" else 1
        tape._record(track, line, encode_frame(opcode, data, mask_key=key), at_s + later_s)


def test_keepalive_stands_on_one_line_that_says_how_many_and_how_often():
    tape, track = kept_alive()
    tape._record(track, 0, HELLO, 65.0)
    rows = rows_of(tape)
    assert [row.get("keepalive", False) for row in rows] == [False] * 2 + [True] * 6 + [False]
    feed = Feed([tape])
    feed.catch_up()
    lanes, numbers = feed.timeline.lanes, feed.numbers()
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
    ping(tape, track, at_s, data, by="client")
    assert [row.get("keepalive", False) for row in rows_of(tape)] == [False] * 4


def test_one_by_hand_does_not_put_the_rhythm_out():
    tape, track = kept_alive(pings=1)
    ping(tape, track, 31.0, b"hand", by="server")
    ping(tape, track, 40.02, b"\x09\x09\x09\x09")
    kept = [row.get("keepalive", False) for row in rows_of(tape)]
    assert kept == [False] * 2 + [True] * 2 + [False] * 2 + [True] * 2


def test_the_rhythm_of_another_library_is_learnt_from_its_third_ping_on():
    tape = Tape()
    track = opened(tape)
    for number in range(4):
        ping(tape, track, 2.0 + 7.0 * (number + 1), b"beat %d" % number)
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


# --- opened on an arrow --------------------------------------------------------------------


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
    return feed.timeline.lanes[row["lane"]]["name"], row.get("code", row.get("n"))


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


# --- load ----------------------------------------------------------------------------------


def test_a_burst_is_drawn_in_full_and_a_flood_is_counted_in_full(monkeypatch):
    now = [time.monotonic()]  # the tape goes by the real clock
    monkeypatch.setattr(inspectors.time, "monotonic", lambda: now[0])
    tape = Tape()
    track = opened(tape)
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    for _ in range(600):
        track.client(HELLO)
    drawn = 0
    for _ in range(6):
        now[0] += 0.1
        drawn += len(frames([row.json for row in feed.poll()]))
    assert drawn == 600
    for _ in range(50):
        for _ in range(1_000):
            track.client(HELLO)
        now[0] += 0.1
        feed.poll()
    numbers = feed.numbers()
    assert numbers["client"]["frames"] == 50_600
    assert numbers["client"]["size"] == 50_600 * len(HELLO)
    assert numbers["header"] == 50_600 * 6
    assert numbers["about"] is True
    assert feed.drawn + numbers["passed"] + feed._readers[0].waiting == 50_600
    assert 600 <= feed.drawn - 600 <= 1_200  # 120 a second, and what was saved up
    assert sum(row.json["what"] == "passed" for row in feed.rows) >= 40
    assert len(feed.rows) <= 2_000


def test_each_sides_headers_are_estimated_from_its_own_frames():
    tape = Tape()
    track = opened(tape)
    for _ in range(3_000):
        track.client(HELLO)
    for _ in range(3_000):
        track.server(encode_frame(Opcode.TEXT, b"Hello"))
    track.client(HELLO)
    feed = Feed([tape])
    feed.catch_up()
    while feed.poll():
        pass
    numbers = feed.numbers()
    assert numbers["client"]["frames"] + numbers["server"]["frames"] == 6_001
    assert numbers["header"] == 3_001 * 6 + 3_000 * 2


def test_old_rows_give_way():
    tape = Tape()
    track = opened(tape)
    for _ in range(500):
        track.client(HELLO)
    rows = rows_of(tape, max_rows=100)
    assert len(rows) == 100
    assert rows[-1]["n"] == 500


# --- the widget ----------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch) -> Iterator[tuple[Inspector, list, Track]]:
    """An Inspector with one connection, whose messages to pages are collected."""
    monkeypatch.setattr(live, "watch", lambda view: None)
    tape = Tape(name="echo")
    track = opened(tape)
    inspector = Inspector(tape)
    sent: list = []
    inspector.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    yield inspector, sent, track
    inspector.close()


def ready(inspector: Inspector, page: str = "p1") -> None:
    inspector._on_msg(inspector, {"type": "ready", "page": page}, [])


def test_nothing_is_read_until_somebody_looks(shown):
    inspector, sent, _ = shown
    assert inspector.is_watched is False
    assert inspector.refresh() == 0
    assert inspector._feed is None
    assert sent == []


def test_a_page_gets_all_rows_first_and_then_the_new_ones(shown):
    inspector, sent, track = shown
    ready(inspector)
    assert inspector.is_watched
    assert inspector.refresh() > 0
    batch, buffers = sent.pop()
    assert batch["reset"] is True
    assert [row["what"] for row in batch["rows"]] == ["request", "response"]
    assert set(batch["lanes"]) == {0, 1}
    assert batch["texts"][0] == 0
    assert inspector.refresh() == 0
    track.client(HELLO)
    inspector.refresh()
    batch, buffers = sent.pop()
    assert "reset" not in batch
    assert [row["label"] for row in batch["rows"]] == ["Hello"]
    assert buffers == [HELLO]
    assert batch["numbers"]["client"]["frames"] == 1


def test_a_batch_is_bounded_and_the_rest_follows(shown):
    inspector, sent, track = shown
    for _ in range(400):
        track.client(HELLO)
    ready(inspector)
    while inspector.refresh():
        pass
    assert max(len(batch["rows"]) for batch, _ in sent) <= inspectors.ROWS_A_TICK
    numbers = [row["n"] for batch, _ in sent for row in batch["rows"] if "n" in row]
    assert numbers == list(range(1, 401))


def test_when_the_last_page_is_gone_nothing_is_kept(shown):
    inspector, _, _ = shown
    ready(inspector)
    inspector.refresh()
    inspector._on_msg(inspector, {"type": "gone", "page": "p1"}, [])
    assert inspector.is_watched is False
    assert inspector._feed is None


def test_before_a_page_answers_the_rows_wait_for_it(shown):
    inspector, sent, track = shown
    inspector._repr_mimebundle_()
    inspector.refresh()
    assert len(inspector.early["rows"]) == 2
    track.client(HELLO)
    inspector.refresh()
    assert inspector.early["rows"][-1]["label"] == "Hello"
    assert inspector.early["data"] == HELLO
    assert sent == []
    ready(inspector)
    inspector.refresh()
    assert inspector.early == {}
    assert sent[0][0]["reset"] is True


def test_clear_counts_from_here_on_and_lasts(shown):
    inspector, sent, track = shown
    track.client(HELLO)
    ready(inspector)
    inspector.refresh()
    inspector.clear()
    track.client(HELLO)
    inspector.refresh()
    batch, _ = sent.pop()
    assert batch["reset"] is True
    assert batch["base"]["client"]["frames"] == 1
    assert [row["n"] for row in batch["rows"]] == [2]
    ready(inspector, "another page")
    inspector.refresh()
    assert [row["n"] for row in sent.pop()[0]["rows"]] == [2]


def test_clear_from_a_page_is_taken(shown):
    inspector, sent, _ = shown
    ready(inspector)
    inspector.refresh()
    batch, _ = sent.pop()
    at = batch["rows"][-1]["at"]
    content = {"type": "clear", "at": at, "base": batch["numbers"], "page": "p1"}
    inspector._on_msg(inspector, content, [])
    ready(inspector, "p2")
    inspector.refresh()
    assert sent.pop()[0]["rows"] == []


def test_what_a_page_sends_wrong_is_shown_and_not_raised(shown):
    inspector, _, _ = shown
    inspector._on_msg(inspector, {"type": "clear"}, [])
    assert "KeyError" in inspector.failure


def test_pause_is_a_trait_that_pages_follow(shown):
    inspector, _, _ = shown
    inspector.pause()
    assert inspector.paused is True
    inspector.resume()
    assert inspector.paused is False


def test_a_tick_does_not_wait_for_a_page_that_is_being_read_for(shown):
    import threading

    inspector, _, track = shown
    ready(inspector)
    inspector.refresh()
    track.client(HELLO)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with inspector._mutex:
            held.set()
            go.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    began = time.perf_counter()
    assert inspector.refresh() == 0
    assert time.perf_counter() - began < 1
    go.set()
    thread.join()
    assert inspector.refresh() > 0


@pytest.mark.parametrize(
    ("sources", "error", "words"),
    [
        ((), ValueError, "expected a Server, a Client or a Tape"),
        (("ws://example.org",), TypeError, "got str"),
        (([object()],), TypeError, "got object"),
    ],
)
def test_what_cannot_be_inspected_is_refused(sources, error, words):
    with pytest.raises(error, match=re.escape(words)):
        Inspector(*sources)


def test_a_server_without_a_record_is_refused_with_advice():
    class Unrecorded:
        tape = None

    with pytest.raises(ValueError, match="record=False"):
        Inspector(Unrecorded())


# --- where no script runs ------------------------------------------------------------------


def sample() -> tuple[Timeline, list[dict], dict]:
    tape = Tape(name="echo")
    track = opened(tape)
    for at_s, what, data in (
        (1.0, 0, HELLO),
        (3.4, 1, encode_frame(Opcode.PING, b"")),
        (3.5, 0, encode_frame(Opcode.CLOSE, b"\x03\xe8<b>", mask_key=KEY)),
    ):
        tape._record(track, what, data, at_s)
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    return feed.timeline, [row.json for row in feed.rows], feed.numbers()


def test_the_text_form_is_aligned_and_folds_silence():
    timeline, rows, numbers = sample()
    lines = static_html.text("echo", timeline.lanes, rows, numbers).splitlines()
    assert lines[0] == "Inspector of echo"
    assert "alice --> echo  GET /chat?token=" in lines[1]
    assert lines[1].endswith("Upgrade: websocket")
    assert "hunter2" not in lines[1]
    assert '   1.000 s  alice --> echo  text "Hello", 11 B' in lines
    assert "            (2.4 s of silence)" in lines
    assert "   3.400 s  alice <·· echo  ping, 2 B" in lines
    assert lines[-1].startswith("to the server 2 frames, 22 B | from the server 1 frame")


def test_the_picture_is_well_formed_and_escaped():
    timeline, rows, numbers = sample()
    markup = static_html.html("<echo>", timeline.lanes, rows, numbers)
    assert "<echo>" not in markup
    assert "<b>" not in markup
    picture = re.search(r"base64,([^\"]+)", markup)
    assert picture
    root = ElementTree.fromstring(base64.b64decode(picture[1]))
    texts = "".join(root.itertext())
    assert "alice" in texts
    assert "2.4 s of silence" in texts
    assert "script" not in markup


def test_the_bundle_holds_the_widget_and_both_forms(monkeypatch):
    monkeypatch.setattr(live, "watch", lambda view: None)
    inspector = Inspector(Tape(name="quiet"))
    bundle = inspector._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "Nothing has happened yet" in data["text/html"]
    assert "Nothing has happened yet" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    inspector.close()


@pytest.mark.parametrize(
    ("at_s", "said"),
    [(0.0, "0 ms"), (0.3042, "304 ms"), (1.2041, "1.204 s"), (125.31, "2:05.310"),
     (3725.0, "1:02:05")],
)  # fmt: skip
def test_moments_are_in_sensible_units(at_s, said):
    assert moment(at_s) == said


def test_every_kind_of_row_has_words():
    timeline, rows, _ = sample()
    assert all(words(row) for row in rows)
    passed = timeline.passed_over(1_234, 2.0)
    assert words(passed.json) == "1,234 frames not drawn; all are counted"

"""Sessions of Engine.IO, found on a tape: which events are one conversation, and their packets."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.layers.talk import (
    OPEN,
    PLACE,
    SID,
    answer,
    frame,
    get,
    layers,
    post,
    said,
    say,
    stock,
    tell,
    websocket,
)
from tests.wire.taping import MASK
from wslab.wire.events import DroppedEvent, FrameEvent, MessageEvent
from wslab.wire.frames.layout import encode_frame
from wslab.wire.layers.body import MAX_BODY
from wslab.wire.layers.reader import LayerReader
from wslab.wire.tape.tape import Tape


def test_a_stock_client_is_one_conversation():
    found = layers(stock())
    assert {each.session.number for _, each in found} == {1}
    assert [packet.says for _, each in found for packet in each.packets] == [
        "open", "connect", "connect", "ping probe", "pong probe", "noop", "upgrade",
        "event chat, id 1", "ack 1", "event picture", "attachment 1 of 1, event picture", "ping",
        "pong", "disconnect", "close",
    ]  # fmt: skip
    purposes = [each.purpose for kind, each in found if kind == "request"]
    assert purposes == ["handshake", "post", "poll", "upgrade", "poll"]
    assert not [p.violation for _, each in found for p in each.packets if p.violation]
    assert not [each.violation for _, each in found if each.violation]


def test_it_is_one_conversation_with_its_secrets_too():
    reader = LayerReader()
    found = [reader.feed(event) for event in stock().read(reveal=True)]
    assert {each.session.number for each in found if each is not None} == {1}


def test_the_transport_changes_with_the_upgrade():
    tape = stock()
    reader = LayerReader()
    transports = []
    for event in tape.read():
        found = reader.feed(event)
        if found is not None and transports[-1:] != [found.session.transport]:
            transports.append(found.session.transport)
    assert transports == ["polling", "websocket", "closed"]


def test_a_websocket_alone_and_others_beside_it():
    tape = Tape()
    plain, socket = tape.open("a1"), tape.open("a2")
    websocket(plain, sid="", path="/chat?x=")
    websocket(socket, sid="")
    tell(socket, OPEN % SID)
    say(plain, "40", "hello")
    say(socket, "40")
    found = layers(tape)
    assert {each.session.number for _, each in found} == {1}
    assert said(tape) == ["open", "connect"]
    second = tape.open("a3")  # with an id that is taken: the same conversation
    websocket(second)
    assert layers(tape)[-1][1].session.number == 1


def test_two_sessions_over_one_connection_are_two():
    tape = Tape()
    track = tape.open("a1")
    for sid in (SID, SID[::-1]):
        get(track, sid="")
        answer(track, OPEN % sid)
    for sid in (SID, SID[::-1], SID):
        get(track, sid)
        answer(track, "2")
    track.client(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
    answer(track, "4this is no packet")
    found = layers(tape)
    assert [each.session.number for kind, each in found if kind == "request"] == [1, 2, 1, 2, 1]
    assert said(tape) == ["open", "open", "ping", "ping", "ping"]


def test_of_a_session_whose_beginning_is_not_there_what_follows_is_read():
    tape = Tape()
    track = tape.open("a1")
    get(track)
    answer(track, 'bAQID\x1e42["a"]')
    post(track, '42/x,["b"]')
    answer(track, "ok")
    found = layers(tape)
    assert {each.session.number for _, each in found} == {1}
    assert [packet.says for _, each in found for packet in each.packets] == [
        "bytes of something before", "event a", "event b in /x",
    ]  # fmt: skip


@pytest.mark.parametrize("cuts", [(), (0,), (1, 2, 30), (3, 3, 3)])
def test_bodies_in_pieces(cuts):
    tape = Tape()
    track = tape.open("a1")
    get(track)
    answer(track, f'451-["a",{PLACE % 0}]\x1ebAQID\x1e2', cuts=cuts)
    post(track, '40\x1e42["z\u00f6lf"]', cuts=cuts)
    answer(track, "ok", cuts=())
    assert said(tape) == [
        "event a", "attachment 1 of 1, event a", "ping", "connect", "event z\u00f6lf",
    ]  # fmt: skip


def test_bodies_in_chunks_and_compressed():
    tape = Tape()
    track = tape.open("a1")
    body = gzip.compress(b'42["a"]' + b"\x1e2" * 100)
    get(track)
    track.server(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
        + b"%x\r\n%s\r\n" % (len(body), body)
    )
    track.server(b"0\r\n\r\n")
    assert said(tape) == ["event a"] + ["ping"] * 100


def test_what_is_no_body_of_packets():
    tape = Tape()
    track = tape.open("a1")
    get(track)
    answer(track, '{"code":1,"message":"Session ID unknown"}', "400 Bad Request")
    post(track, "1")
    answer(track, "ok")
    track.client(f"OPTIONS /socket.io/?EIO=4&transport=polling&sid={SID} HTTP/1.1\r\n\r\n".encode())
    answer(track, "")
    for query in ("EIO=3&transport=polling", "transport=polling", "EIO=4;", "a=EIO=4"):
        track.client(f"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer(track, "4a")
    assert said(tape) == ["close"]
    assert [each.purpose for kind, each in layers(tape) if kind == "request"] == [
        "poll", "post", "other",
    ]  # fmt: skip


def test_engine_io_alone():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="", path="/engine.io/?EIO=4&transport=")
    tell(track, OPEN % SID)
    say(track, "4hello", b"x")
    assert said(tape) == ["open", "message", "1 bytes"]


def violations(tape: Tape) -> list[str]:
    return [
        violation.rule
        for _, each in layers(tape)
        for violation in (each.violation, *(packet.violation for packet in each.packets))
        if violation is not None
    ]


def test_violations_of_http():
    tape = Tape()
    first, second = tape.open("a1"), tape.open("a2")
    get(first)
    get(second)
    answer(second, "", "400 Bad Request")
    answer(first, "1")
    get(first)  # the other one is over
    first.end()
    get(tape.open("a3"))  # the client has gone, and comes back
    posts = tape.open("a4"), tape.open("a5")
    post(posts[0], "2")
    post(posts[1], "3")
    answer(posts[0], "ok")
    answer(posts[1], "ok")
    post(posts[0], b"4\xff")
    answer(posts[0], "ok")
    post(posts[0], "3\x1e")
    assert violations(tape) == [
        "poll-overlap", "wrong-side", "post-overlap", "bad-utf8", "empty-packet",
    ]  # fmt: skip


def test_violations_of_frames():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, '42["early"]', "40", b"x", '42["disconnect"]', "7")
    assert violations(tape) == [
        "before-connect", "attachment-unexpected", "reserved-event", "unknown-type",
    ]  # fmt: skip


def test_frames_that_were_passed_over_make_no_violations():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40", f'451-["a",{PLACE % 0}]', b"x", b"not known what for")
    events = list(tape.read())
    lost = {3}  # the text before the bytes
    reader = LayerReader()
    found = []
    for event in events:
        if isinstance(event, FrameEvent):
            number = event.number
        if isinstance(event, FrameEvent | MessageEvent) and number in lost:
            continue
        each = reader.feed(event)
        found += each.packets if each else ()
    assert [packet.says for packet in found] == [
        "open", "connect", "bytes of something before", "bytes of something before",
    ]  # fmt: skip


def test_what_the_tape_dropped_makes_no_violations():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40")
    reader = LayerReader()
    layers(tape, reader)
    dropped = DroppedEvent(at_s=1.0, connection_id="a1", sender="client", size_bytes=9, frames=1)
    assert reader.feed(dropped) is not None
    event = MessageEvent(
        at_s=1.0, connection_id="a1", sender="client", data=b"x", began_s=1.0, fragments=1,
        wire_bytes=7, compressed=False,
    )  # fmt: skip
    found = reader.feed(event)
    assert found is not None
    assert [packet.says for packet in found.packets] == ["bytes of something before"]


@pytest.mark.parametrize("data", ["", "7", "[]", "{}", '{"sid":7}', '{"sid":""}', '{"sid"'])
def test_an_open_packet_without_an_id_binds_nothing(data):
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, f"0{data}")
    reader = LayerReader()
    layers(tape, reader)
    assert reader._sessions == {}


def test_an_id_that_is_hidden_without_a_mark_is_nobodys():
    tape = Tape()
    for number in range(2):
        track = tape.open(f"a{number}")
        get(track, sid="")
        answer(track, OPEN % "short")
    assert {each.session.number for _, each in layers(tape)} == {1, 2}


def test_a_query_of_very_many_fields_is_no_session():
    tape = Tape()
    get(tape.open("a1"), path=f"/?{'a=1&' * 60}EIO=4&transport=")
    assert layers(tape) == []


def test_a_message_that_nobody_can_read_makes_no_violations():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40")
    track.client(encode_frame(1, b"\xff", mask_key=MASK))
    say(track, b"x")
    assert said(tape) == ["open", "connect", "bytes of something before"]


def test_fragments_are_one_packet():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40")
    track.client(encode_frame(1, b'42["a"', fin=False, mask_key=MASK))
    track.client(encode_frame(9, b"", mask_key=MASK))
    track.client(encode_frame(0, b',"b"]', mask_key=MASK))
    assert said(tape) == ["open", "connect", "event a"]


def test_fragments_and_control_frames_are_no_gaps():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40")
    track.client(encode_frame(1, b'42["a"', fin=False, mask_key=MASK))
    track.client(encode_frame(0, b"]", mask_key=MASK))
    track.client(encode_frame(9, b"", mask_key=MASK))
    say(track, b"x", '42/other,["b"]')
    assert violations(tape) == ["attachment-unexpected", "before-connect"]


def test_after_a_body_that_is_no_text_nothing_is_sure():
    tape = Tape()
    track = tape.open("a1")
    get(track, sid="")
    answer(track, OPEN % SID)
    for body in (b"4\xff", b"bAQID"):
        post(track, body)
        answer(track, "ok")
    assert violations(tape) == ["bad-utf8"]


def test_a_body_that_a_poll_should_not_have_is_nothing():
    tape = Tape()
    track = tape.open("a1")
    head = (
        f"GET /socket.io/?EIO=4&transport=polling&sid={SID} HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    )
    track.client(head.encode() + b"42")
    answer(track, "2")
    assert said(tape) == ["ping"]


def test_the_end_of_a_connection_is_not_that_of_the_session():
    tape = Tape()
    polls, socket = tape.open("a1"), tape.open("a2")
    get(polls, sid="")
    answer(polls, OPEN % SID)
    get(polls)
    polls.end()
    websocket(socket)
    say(socket, "2probe")
    socket.end()
    again = tape.open("a3")
    websocket(again)
    say(again, "2probe", "5")
    again.end()
    assert [each.goes_on for kind, each in layers(tape) if kind == "ended"] == [True, True, False]


# --- bounds --------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_not_held():
    tape = Tape(max_bytes=2**24)
    track = tape.open("a1")
    post(track, "4" + "x" * MAX_BODY)
    answer(track, "ok")
    post(track, "bAQID")
    answer(track, "ok")
    reader = LayerReader()
    found = layers(tape, reader)
    assert [each.unread for _, each in found if each.unread] == [1]
    assert reader._held == 0
    assert found[-2][1].packets[0].violation is None  # the event before may have been in it


def test_bodies_that_never_end_are_held_up_to_a_bound_together():
    tape = Tape(max_bytes=2**25)
    for number in range(60):
        track = tape.open(f"a{number}")
        track.client(
            f"POST /socket.io/?EIO=4&transport=polling&sid={SID}{number} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {MAX_BODY}\r\n\r\n".encode()
            + b"4" * (MAX_BODY - 1)
        )
    reader = LayerReader()
    layers(tape, reader)
    assert reader._held <= 8 * 2**20
    held = [body.held for each in reader._connections.values() for body in each.bodies.values()]
    assert sum(held) == reader._held
    reader.forget(set())
    assert reader._held == 0
    assert not reader._connections


def test_sessions_are_bounded():
    tape = Tape(max_bytes=2**24)
    track = tape.open("a1")
    for number in range(2_100):
        get(track, f"{SID}{number}")
        answer(track, "6")
    reader = LayerReader()
    layers(tape, reader)
    assert len(reader._sessions) == 2_000


def test_a_body_of_very_many_packets():
    tape = Tape()
    track = tape.open("a1")
    post(track, "\x1e".join(["3"] * 5_000))
    answer(track, "ok")
    (unread,) = [each for _, each in layers(tape) if each.packets]
    assert (len(unread.packets), unread.unread) == (1_000, 4_000)


pieces = st.sampled_from(
    [
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"HTTP/1.1 400 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\n4ab\r\n0\r\n\r\n",
        b'0{"sid":7}', b'0{"sid":"abc"}', b"2\x1e3", b"b", frame("40", MASK), frame("2"),
        frame(b"x"),
    ]
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), pieces | st.binary(max_size=20)), max_size=20
    ),
    st.booleans(),
)
def test_any_bytes(steps, opens):
    tape = Tape()
    tracks = [tape.open(f"a{number}") for number in range(3)]
    if opens:
        websocket(tracks[0])
    for number, by_client, data in steps:
        (tracks[number].client if by_client else tracks[number].server)(data)
    for track in tracks:
        track.end()
    reader = LayerReader()
    layers(tape, reader)
    assert reader._held == 0
    assert not reader._connections
    assert all(each.open == {"poll": 0, "post": 0} for each in reader._sessions.values())

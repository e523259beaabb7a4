"""Rows: what a page gets to know of each event, with a bounded prefix of its bytes."""

from __future__ import annotations

import json
import zlib

import pytest

from tests.widgets.inspector.tapes import (
    CLIENT,
    HELLO,
    KEY,
    REQUEST,
    SERVER,
    frames,
    opened,
    rows_of,
)
from wslab.widgets.inspector.feed import Feed
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape


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
    who = "The server closed it with 1000" if closes else "The connection broke off: TCP ended"
    assert end["why"].startswith(who)
    assert end["why"].endswith("It had been open for 0.0 s.")


def test_an_end_that_the_record_does_not_tell_is_none_that_broke_off():
    tape = Tape()
    track = opened(tape)
    track.tells_end = False
    track.end()
    end = rows_of(tape)[-1]
    assert (end["what"], end["clean"], end["untold"]) == ("ended", True, True)
    assert end["label"] == "ended: the record does not say how"
    assert end["why"].startswith("It ended, and the record does not say how")


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

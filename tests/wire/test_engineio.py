"""Engine.IO's packets: literal bytes, every rule that is broken, any text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.wire.engineio import (
    SEPARATOR,
    Packet,
    PacketType,
    decode_payload,
    decode_text,
    encode,
    encode_payload,
)
from wslab.wire.violation import ProtocolViolation

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = PacketType
BARE = (CLOSE, UPGRADE, NOOP)

PACKETS = [
    ('0{"sid":"x"}', Packet(OPEN, '{"sid":"x"}')),
    ("1", Packet(CLOSE)),
    ("2", Packet(PING)),
    ("2probe", Packet(PING, "probe")),
    ("3probe", Packet(PONG, "probe")),
    ("4", Packet(MESSAGE)),
    ("4hello", Packet(MESSAGE, "hello")),
    ("4\u20ac\x00", Packet(MESSAGE, "\u20ac\x00")),
    ("5", Packet(UPGRADE)),
    ("6", Packet(NOOP)),
]


@pytest.mark.parametrize(("text", "packet"), PACKETS)
def test_text(text, packet):
    assert decode_text(text) == packet
    assert encode(packet) == text


def test_bytes_are_bare_on_a_websocket_and_base64_in_a_body():
    packet = Packet(MESSAGE, b"\x01\x02\x03\x04")
    assert encode(packet) == b"\x01\x02\x03\x04"
    assert encode_payload([packet, Packet(MESSAGE, b"")]) == "bAQIDBA==\x1eb"
    assert decode_payload("bAQIDBA==\x1eb") == [packet, Packet(MESSAGE, b"")]
    assert decode_text("bAQIDBA==") == packet  # of a client with forceBase64


def test_a_body_holds_packets_with_a_separator_between():
    body = "4hello\x1e2\x1e4\u20ac"
    packets = [Packet(MESSAGE, "hello"), Packet(PING), Packet(MESSAGE, "\u20ac")]
    assert decode_payload(body) == packets
    assert encode_payload(packets) == body


REFUSED = [
    ("", "empty-packet"),
    ("7", "unknown-type"),
    ("-1", "unknown-type"),
    (" 4", "unknown-type"),
    ("\u0664", "unknown-type"),  # a digit, but not one of ASCII
    ("B", "unknown-type"),
    ("1bye", "unexpected-data"),
    ("5x", "unexpected-data"),
    ("6x", "unexpected-data"),
    ("bAQ", "bad-base64"),
    ("bAQ=", "bad-base64"),
    ("bA Q=", "bad-base64"),
    ("b-_==", "bad-base64"),
    ("b\u20ac", "bad-base64"),
    ("bAQ==AQ==", "bad-base64"),
    ("bAQ==\n", "bad-base64"),
]


@pytest.mark.parametrize(("text", "rule"), REFUSED)
def test_what_is_no_packet(text, rule):
    with pytest.raises(ProtocolViolation) as caught:
        decode_text(text)
    assert caught.value.rule == rule
    with pytest.raises(ProtocolViolation) as caught:
        decode_payload(f"4a\x1e{text}")
    assert caught.value.rule == rule


@pytest.mark.parametrize("body", ["", SEPARATOR, "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"])
def test_a_body_has_no_empty_packets(body):
    with pytest.raises(ProtocolViolation) as caught:
        decode_payload(body)
    assert caught.value.rule == "empty-packet"


def test_a_body_has_no_more_packets_than_told():
    assert len(decode_payload("2\x1e2\x1e2", max_packets=3)) == 3
    with pytest.raises(ProtocolViolation, match="at most 2 packets in one body, got 3") as caught:
        decode_payload("2\x1e2\x1e2", max_packets=2)
    assert caught.value.rule == "too-many-packets"
    with pytest.raises(ProtocolViolation, match="at most 65,536 packets in one body"):
        decode_payload("6\x1e" * 500_000)


@pytest.mark.parametrize(
    ("packet", "rule"),
    [
        (Packet(PING, b"x"), "unexpected-data"),
        (Packet(OPEN, b""), "unexpected-data"),
        *[(Packet(type, "x"), "unexpected-data") for type in BARE],
        (Packet(MESSAGE, "\ud800"), "lone-surrogate"),
    ],
)
def test_what_is_not_sent(packet, rule):
    for send in (encode, lambda packet: encode_payload([packet])):
        with pytest.raises(ProtocolViolation) as caught:
            send(packet)
        assert caught.value.rule == rule


def test_a_body_is_not_sent_where_it_would_be_read_as_another():
    assert encode(Packet(MESSAGE, "a\x1eb")) == "4a\x1eb"
    with pytest.raises(ProtocolViolation) as caught:
        encode_payload([Packet(MESSAGE, "a\x1eb")])
    assert caught.value.rule == "separator-in-data"
    with pytest.raises(ProtocolViolation) as caught:
        encode_payload([])
    assert caught.value.rule == "empty-packet"


packets = st.one_of(
    st.builds(Packet, st.sampled_from([OPEN, PING, PONG, MESSAGE]), st.text()),
    st.sampled_from(BARE).map(Packet),
    st.binary().map(lambda data: Packet(MESSAGE, data)),
)


@given(st.lists(packets, min_size=1, max_size=6))
def test_round_trips(some):
    bodied = [p for p in some if isinstance(p.data, bytes) or SEPARATOR not in p.data]
    if bodied:
        assert decode_payload(encode_payload(bodied)) == bodied
    for packet in some:
        sent = encode(packet)
        assert packet == (Packet(MESSAGE, sent) if isinstance(sent, bytes) else decode_text(sent))


@given(st.text() | st.text("0123456b=\x1eAQ"))
def test_any_text_is_packets_or_a_violation(text):
    with suppress(ProtocolViolation):
        found = decode_payload(text, max_packets=10)
        if not any(part.startswith("b") for part in text.split(SEPARATOR)):  # of base64 are several
            assert encode_payload(found) == text

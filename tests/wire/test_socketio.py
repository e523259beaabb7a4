"""Socket.IO's packets: literal bytes, every rule that is broken, any messages."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wslab.wire.socketio import (
    RESERVED,
    Decoder,
    Packet,
    PacketType,
    cut,
    decode_text,
    encode,
    head,
)
from wslab.wire.violation import ProtocolViolation

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = PacketType
PH = '{"_placeholder":true,"num":%d}'

PACKETS = [
    ("0", Packet(CONNECT)),
    ('0{"token":"x"}', Packet(CONNECT, data={"token": "x"})),
    ("0/admin,", Packet(CONNECT, "/admin")),
    ('0/admin,{"a":1}', Packet(CONNECT, "/admin", data={"a": 1})),
    ("1", Packet(DISCONNECT)),
    ("1/admin,", Packet(DISCONNECT, "/admin")),
    ('2["a"]', Packet(EVENT, data=["a"])),
    ('2["a",1,null,[{}]]', Packet(EVENT, data=["a", 1, None, [{}]])),
    ('2/admin,["a"]', Packet(EVENT, "/admin", data=["a"])),
    ('212["a"]', Packet(EVENT, id=12, data=["a"])),
    ('2/admin,9007199254740991["a"]', Packet(EVENT, "/admin", 2**53 - 1, ["a"])),
    ('20["a"]', Packet(EVENT, id=0, data=["a"])),
    ("2[1,2]", Packet(EVENT, data=[1, 2])),
    ("2[1.5]", Packet(EVENT, data=[1.5])),
    ('2[""]', Packet(EVENT, data=[""])),
    ('2["\u20ac\\u0000\\ud800"]', Packet(EVENT, data=["\u20ac\x00\ud800"])),
    ("312[]", Packet(ACK, id=12, data=[])),
    ('3/admin,0["a"]', Packet(ACK, "/admin", 0, ["a"])),
    ('4{"message":"no"}', Packet(CONNECT_ERROR, data={"message": "no"})),
    ('4"no"', Packet(CONNECT_ERROR, data="no")),
    ("4/x,{}", Packet(CONNECT_ERROR, "/x", data={})),
    ('2["a",{"_placeholder":true,"num":0}]',
     Packet(EVENT, data=["a", {"_placeholder": True, "num": 0}])),
]  # fmt: skip


def only(text, *attachments, **options) -> Packet:
    """Decode messages that make one packet, with the last of them."""
    decoder = Decoder(**options)
    for message in (text, *attachments)[:-1]:
        assert decoder.add(message) is None
    packet = decoder.add((text, *attachments)[-1])
    assert decoder.missing == 0
    assert packet is not None
    return packet


def broken(*messages, **options) -> str:
    """Return the rule that the last message breaks."""
    decoder = Decoder(**options)
    for message in messages[:-1]:
        decoder.add(message)
    with pytest.raises(ProtocolViolation) as caught:
        decoder.add(messages[-1])
    assert decoder.missing == 0
    return caught.value.rule


def unsent(packet: Packet) -> str:
    with pytest.raises(ProtocolViolation) as caught:
        encode(packet)
    return caught.value.rule


@pytest.mark.parametrize(("text", "packet"), PACKETS)
def test_text(text, packet):
    assert only(text) == packet
    assert encode(packet) == (text, [])


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0/admin", Packet(CONNECT, "/admin")),  # without the comma
        ("1/a/b?c=1", Packet(DISCONNECT, "/a/b?c=1")),
        ('2/,["a"]', Packet(EVENT, data=["a"])),
        ("0/", Packet(CONNECT)),
        ('2[ "a" , {"b" : 1e2} ] \r\n', Packet(EVENT, data=["a", {"b": 100.0}])),
    ],
)
def test_text_that_others_write(text, packet):
    assert only(text) == packet


def test_bytes():
    packet = only(f'52-/x,7["a",{PH % 1},{{"b":[{PH % 0}]}}]', b"one", bytearray(b"two"))
    assert packet == Packet(EVENT, "/x", 7, ["a", b"two", {"b": [b"one"]}], (b"one", b"two"))
    assert encode(packet) == (f'52-/x,7["a",{PH % 0},{{"b":[{PH % 1}]}}]', [b"two", b"one"])
    assert only(f"61-0[{PH % 0}]", b"") == Packet(ACK, id=0, data=[b""], attachments=(b"",))
    for type in (EVENT, BINARY_EVENT):
        assert encode(Packet(type, data=("a", memoryview(b"x")))) == (f'51-["a",{PH % 0}]', [b"x"])
    for type in (ACK, BINARY_ACK):
        assert encode(Packet(type, id=1, data=[bytearray(b"x")])) == (f"61-1[{PH % 0}]", [b"x"])
    assert encode(Packet(BINARY_EVENT, data=["a"])) == ('2["a"]', [])


def test_what_is_still_to_come_is_counted():
    decoder = Decoder()
    decoder.add(f'52-["a",{PH % 0},{PH % 1}]')
    assert decoder.missing == 2
    decoder.add(b"")
    assert decoder.missing == 1
    assert decoder.add(b"x") is not None
    assert decoder.missing == 0
    assert decoder.add('2["b"]') == Packet(EVENT, data=["b"])


def test_the_head_alone():
    assert head(EVENT) == "2"
    assert head(EVENT, "/admin", 7, 2) == "52-/admin,7"
    assert head(ACK, id=7, attachments=1) == "61-7"
    assert head(CONNECT, "/admin") == "0/admin,"


REFUSED = [
    (("",), "empty-packet"),
    (("7",), "unknown-type"),
    (("-1",), "unknown-type"),
    (("\u0662[]",), "unknown-type"),
    (("hello",), "unknown-type"),
    # JSON
    (('2["a"',), "bad-json"),
    (('2["a"]]',), "bad-json"),
    (("2['a']",), "bad-json"),
    (('2["a",NaN]',), "bad-json"),
    (('2["a",-Infinity]',), "bad-json"),
    (('2["a",1e999]',), "bad-json"),
    (('2["a",' + "9" * 5000 + "]",), "bad-json"),
    (('2["a\n"]',), "bad-json"),
    (('2\ufeff["a"]',), "bad-json"),
    (('2/admin["a","b"]',), "bad-json"),  # all before the comma is the namespace
    (('2-1["a"]',), "bad-json"),
    (('2 ["a"]',), "bad-json"),
    (('2\n["a"]',), "bad-json"),
    (('21-["a"]',), "bad-json"),  # how many attachments: only of a type that has some
    (('2["a",' + "[" * 100_000,), "too-deep"),
    (('2["a",' + '{"a":' * 100_000,), "too-deep"),
    # events
    (("2",), "bad-event"),
    (("27",), "bad-event"),
    (("2/admin,",), "bad-event"),
    (("2[]",), "bad-event"),
    (("2null",), "bad-event"),
    (("2{}",), "bad-event"),
    (('2"a"',), "bad-event"),
    (("2[null]",), "bad-event"),
    (("2[true]",), "bad-event"),
    (('2[["a"]]',), "bad-event"),
    (('2[{"a":1}]',), "bad-event"),
    *[((f'2["{name}"]',), "reserved-event") for name in sorted(RESERVED)],
    ((f'51-["connect",{PH % 0}]',), "reserved-event"),
    (('2["c\\u006fnnect"]',), "reserved-event"),
    # ids
    (('2007["a"]',), "bad-id"),
    (("300[]",), "bad-id"),
    (('29007199254740992["a"]',), "bad-id"),
    (("3" + "9" * 100_000 + "[]",), "bad-id"),
    (("01{}",), "unexpected-id"),
    (("11",), "unexpected-id"),
    (('41"no"',), "unexpected-id"),
    # what a type holds
    (("3[]",), "bad-ack"),
    (("31",), "bad-ack"),
    (("31{}",), "bad-ack"),
    (("31null",), "bad-ack"),
    (("0[]",), "bad-connect"),
    (("0null",), "bad-connect"),
    (('0"x"',), "bad-connect"),
    (("0/admin,true",), "bad-connect"),
    (("1{}",), "bad-disconnect"),
    (("1null",), "bad-disconnect"),
    (("1/admin,[]",), "bad-disconnect"),
    (("4",), "bad-connect-error"),
    (("4null",), "bad-connect-error"),
    (("4[]",), "bad-connect-error"),
    # how many attachments
    (('5["a"]',), "bad-attachment-count"),
    (('50-["a"]',), "bad-attachment-count"),
    (('501-["a"]',), "bad-attachment-count"),
    (('5-1-["a"]',), "bad-attachment-count"),
    (('5+1-["a"]',), "bad-attachment-count"),
    (('51.0-["a"]',), "bad-attachment-count"),
    (('50x1-["a"]',), "bad-attachment-count"),
    (('51e0-["a"]',), "bad-attachment-count"),
    (('5 1-["a"]',), "bad-attachment-count"),
    (('5\u0661-["a"]',), "bad-attachment-count"),
    (("51",), "bad-attachment-count"),
    (('511-["a"]',), "too-many-attachments"),
    (("6" + "9" * 100_000 + "-1[]",), "too-many-attachments"),
    # where they belong
    (('51-["a"]',), "bad-placeholder"),
    ((f'51-["a",{PH % 1}]',), "bad-placeholder"),
    ((f'51-["a",{PH % -1}]',), "bad-placeholder"),
    ((f'51-["a",{PH % 0},{PH % 0}]',), "bad-placeholder"),
    ((f'52-["a",{PH % 0}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":true}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":true,"num":"0"}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":true,"num":0.0}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":true,"num":true}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":true,"num":0,"x":1}]',), "bad-placeholder"),
    (('51-["a",{"_placeholder":1,"num":0}]',), "bad-placeholder"),
    # in which order
    ((b"x",), "attachment-unexpected"),
    (('2["a"]', b"x"), "attachment-unexpected"),
    ((f'51-["a",{PH % 0}]', b"x", b"y"), "attachment-unexpected"),
    ((f'51-["a",{PH % 0}]', '2["a"]'), "attachment-missing"),
    ((f'52-["a",{PH % 0},{PH % 1}]', b"x", "1"), "attachment-missing"),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "rule"), REFUSED, ids=lambda value: f"{str(value)[:40]}")
def test_what_is_no_packet(messages, rule):
    assert broken(*messages) == rule


def test_attachments_have_a_place_as_deep_as_json_can_be():
    def deep(depth):
        return '51-["a",' + "[" * depth + PH % 0 + "]" * depth + "]"

    for depth in (500, 800):  # a call for each needs more than Python's stack
        assert only(deep(depth), b"x").attachments == (b"x",)
    assert broken(deep(100_000)) == "too-deep"


def test_a_large_packet_waits_as_text():
    text = '52-["a",' + "[]," * 100_000 + f"{PH % 1},{PH % 0}]"
    decoder = Decoder()
    tracemalloc.start()
    decoder.add(text)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 100_000  # its data would take 6 MB
    assert decoder.add(b"x") is None
    packet = decoder.add(b"y")
    assert packet.data[-2:] == [b"y", b"x"]
    assert len(packet.data) == 100_003


def test_a_peer_cannot_make_a_packet_grow_beyond_its_bounds():
    ten = "[" + ",".join(['"a"', *(PH % i for i in range(10))]) + "]"
    decoder = Decoder(max_bytes=1_000)
    decoder.add(f"510-{ten}")
    with pytest.raises(ProtocolViolation, match="at most 1,000 bytes in one packet") as caught:
        for _ in range(10):
            decoder.add(b"x" * 100)
    assert caught.value.rule == "too-large"
    assert decoder.missing == 0
    assert broken("x" * 1_001, max_bytes=1_000) == "too-large"
    assert broken('52-["a",' + PH % 0, max_attachments=1) == "too-many-attachments"


def test_reads_on_after_a_violation():
    decoder = Decoder()
    decoder.add(f'51-["a",{PH % 0}]')
    with pytest.raises(ProtocolViolation, match="expected binary attachments, 1 more, got text"):
        decoder.add('2["b"]')
    assert decoder.add('2["b"]') == Packet(EVENT, data=["b"])


def test_a_text_alone_keeps_its_placeholders():
    packet, missing = decode_text(f'51-/x,7["a",{PH % 0}]')
    assert packet == Packet(EVENT, "/x", 7, ["a", {"_placeholder": True, "num": 0}])
    assert missing == 1
    assert decode_text("0") == (Packet(CONNECT), 0)
    with pytest.raises(ProtocolViolation):
        decode_text("7")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "", "", "", "")),
        ("0", ("0", "", "", "", "")),
        ("0/admin", ("0", "", "/admin", "", "")),
        ('52-/x,7["a"]', ("5", "2-", "/x,", "7", '["a"]')),
        ('21-["a"]', ("2", "", "", "1", '-["a"]')),
        ("511", ("5", "", "", "11", "")),
        ("hello", ("h", "", "", "", "ello")),
    ],
)
def test_any_text_can_be_cut_into_parts(text, parts):
    assert cut(text) == parts
    assert "".join(parts) == text


@pytest.mark.parametrize(
    ("packet", "rule"),
    [
        (Packet(EVENT), "bad-event"),
        (Packet(EVENT, data="a"), "bad-event"),
        (Packet(EVENT, data=[b"a"]), "bad-event"),
        (Packet(EVENT, data=("connect",)), "reserved-event"),
        (Packet(EVENT, "admin", data=["a"]), "bad-namespace"),
        (Packet(EVENT, "/a,b", data=["a"]), "bad-namespace"),
        (Packet(EVENT, "/\ud800", data=["a"]), "bad-namespace"),
        (Packet(EVENT, "", data=["a"]), "bad-namespace"),
        (Packet(EVENT, id=-1, data=["a"]), "bad-id"),
        (Packet(EVENT, id=2**53, data=["a"]), "bad-id"),
        (Packet(EVENT, id=True, data=["a"]), "bad-id"),
        (Packet(EVENT, id="1", data=["a"]), "bad-id"),
        (Packet(ACK, data=[]), "bad-ack"),
        (Packet(ACK, id=1, data={}), "bad-ack"),
        (Packet(CONNECT, id=1), "unexpected-id"),
        (Packet(CONNECT, data=[]), "bad-connect"),
        (Packet(DISCONNECT, data={}), "bad-disconnect"),
        (Packet(CONNECT_ERROR), "bad-connect-error"),
        (Packet(CONNECT, data={"a": b"x"}), "bad-attachment-count"),
        (Packet(EVENT, data=["a", *[b"x"] * 11]), "too-many-attachments"),
        (Packet(EVENT, data=["a", b"x", {"_placeholder": True, "num": 0}]), "bad-placeholder"),
        (Packet(EVENT, data=["a", float("nan")]), "bad-json"),
    ],
)
def test_what_is_not_sent(packet, rule):
    assert unsent(packet) == rule


def test_what_json_cannot_hold_is_not_sent():
    with pytest.raises(TypeError, match="expected data that JSON can hold"):
        encode(Packet(EVENT, data=["a", object()]))
    circle = []
    circle.append(circle)
    assert unsent(Packet(EVENT, data=["a", circle])) == "bad-json"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert unsent(Packet(EVENT, data=["a", deep])) == "too-deep"


# --- any of it -----------------------------------------------------------------------------------

# What JSON gives back as it was; and no data that looks like a place for bytes.
halves = st.sampled_from(["\ud800", "a\udfff"])  # of a surrogate pair: JSON may hold them
texts = st.text(max_size=8) | halves
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
    | st.floats(-(2.0**53), 2.0**53) | st.just(1e300)
)  # fmt: skip


def several(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)


plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
binary = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
namespaces = st.just("/") | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=","), max_size=8
).map(lambda name: f"/{name}")
ids = st.integers(0, 2**53 - 1)
names = texts.filter(lambda name: name not in RESERVED) | st.integers(-9, 9)
events = st.builds(
    lambda namespace, id, name, arguments: Packet(EVENT, namespace, id, [name, *arguments]),
    namespaces, st.none() | ids, names, st.lists(binary, max_size=3),
)  # fmt: skip
objects = st.dictionaries(st.text(max_size=4), plain, max_size=3)
packets = st.one_of(
    events,
    st.builds(lambda nsp, data: Packet(CONNECT, nsp, None, data), namespaces, st.none() | objects),
    namespaces.map(lambda nsp: Packet(DISCONNECT, nsp)),
    st.builds(
        lambda nsp, id, data: Packet(ACK, nsp, id, data),
        namespaces, ids, st.lists(binary, max_size=3),
    ),
    st.builds(
        lambda nsp, data: Packet(CONNECT_ERROR, nsp, None, data), namespaces, texts | objects
    ),
)  # fmt: skip


@given(packets)
def test_round_trips(packet):
    text, attachments = encode(packet)
    text.encode()
    decoded = only(text, *attachments)
    assert decoded._replace(attachments=()) == packet
    assert json.dumps(decoded.data, default=list) == json.dumps(packet.data, default=list)  # types
    assert decoded.attachments == tuple(attachments)
    assert encode(decoded) == (text, attachments)


texts = (
    st.text()
    | st.text('0123456789-/,[]{}"a:_placeholdernumtrue ')
    | packets.map(lambda packet: encode(packet)[0])
)


# What is nearly a packet, too.
written = st.text() | st.text('0123456789-/,[]{}"a:_placeholdernumtrue ') | packets.map(
    lambda packet: encode(packet)[0]
)  # fmt: skip


@given(
    st.lists(written | st.binary(max_size=4), max_size=6), st.integers(0, 40), st.text(max_size=2)
)
@example(["51-[" + '"a"' + "]"], 3, "")
def test_any_messages_are_packets_or_a_violation(messages, at, put):
    decoder = Decoder()
    for message in messages:
        if isinstance(message, str):
            message = message[:at] + put + message[at + 1 :]
        with suppress(ProtocolViolation):
            packet = decoder.add(message)
            if packet is not None:
                text, attachments = encode(packet)
                assert only(text, *attachments)[:4] == packet[:4]

"""Packets by the letter: each row of the table, what is refused and how, and round trips.

Whatever text comes, decoding it returns a packet or raises BadPacket; and what was taken can be
sent on.
"""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.hub.protocol.rig import DEPTHS, tried
from wslab.errors import BadPacket
from wslab.hub.protocol import packets
from wslab.hub.protocol.packets import Packet, decode, dumps, encode_event, take_binary

EXPECTED = 'expected a packet such as {"event": "chat", "data": "hi"}, got '


# The table.

ROWS = [
    ('{"event":"chat","data":"hi"}', Packet("chat", "hi"), encode_event("chat", "hi")),
    ('{"event":"chat"}', Packet("chat"), encode_event("chat")),
    ('{"event":"chat","data":null}', Packet("chat"), encode_event("chat", None)),
    ('{"event":"chat","data":"hi","id":7}', Packet("chat", "hi", id=7),
     encode_event("chat", "hi", id=7)),
    ('{"answer":7,"data":[1,true]}', Packet(answer=7, data=[1, True]),
     packets.encode_answer(7, [1, True])),
    ('{"answer":0,"data":null}', Packet(answer=0), packets.encode_answer(0)),
    ('{"answer":7,"error":{"code":"failed","message":"no"}}',
     Packet(answer=7, error={"code": "failed", "message": "no"}),
     (packets.encode_error("failed", "no", answer=7), [])),
    ('{"event":"e","data":[{"$binary":0},{"a":{"$binary":1}}],"binary":2}',
     Packet("e", [{"$binary": 0}, {"a": {"$binary": 1}}], binary=2),
     encode_event("e", [b"\0", {"a": b"\xff"}])),
    ('{"answer":7,"data":{"$binary":0},"binary":1}',
     Packet(answer=7, data={"$binary": 0}, binary=1), packets.encode_answer(7, b"x")),
    ('{"event":"chat","data":1,"offset":42}', Packet("chat", 1, offset=42),
     encode_event("chat", 1, offset=42)),
    ('{"event":"chat","data":1,"n":3}', Packet("chat", 1, n=3), encode_event("chat", 1, n=3)),
    ('{"event":"e","data":{"$binary":0},"id":1,"n":2,"offset":3,"binary":1}',
     Packet("e", {"$binary": 0}, id=1, n=2, offset=3, binary=1),
     encode_event("e", b"x", id=1, n=2, offset=3)),
    ('{"received":3}', Packet(received=3), (packets.encode_received(3), [])),
    ('{"event":"error","data":{"code":"refused","message":"no \\"é\\""}}',
     Packet("error", {"code": "refused", "message": 'no "é"'}),
     (packets.encode_error("refused", 'no "é"'), [])),
    ('{"event":"error","data":{"code":"failed","message":"no","event":"chat"}}',
     Packet("error", {"code": "failed", "message": "no", "event": "chat"}),
     (packets.encode_error("failed", "no", event="chat"), [])),
]  # fmt: skip


@pytest.mark.parametrize(("text", "packet", "encoded"), ROWS)
def test_each_row_both_ways(text, packet, encoded):
    assert encoded[0] == text
    assert len(encoded[1]) == packet.binary
    assert decode(text) == packet
    assert decode(json.dumps(json.loads(text), indent=1)) == packet  # as a person may write it
    assert packet.is_whole is (not packet.binary)


def test_data_that_is_encoded_already_is_taken_as_it_is():
    assert encode_event("e", encoded=("[1, 2]", [b"x"]), n=1) == (
        '{"event":"e","data":[1, 2],"n":1,"binary":1}', [b"x"],
    )  # fmt: skip


def test_what_a_packet_need_not_have():
    nothing = '"id":null,"n":null,"offset":null,"answer":null,"error":null,"received":null'
    assert decode('{"event":"e",' + nothing + ',"data":null,"binary":null}') == Packet("e")
    assert decode('{"event":null,"received":0}') == Packet(received=0)
    assert decode('{"event":"e","later":[1],"":2,"Id":"x"}') == Packet("e")  # unknown members
    assert decode('{"event":"a","event":"b","n":1,"n":2}') == Packet("b", n=2)  # the last counts
    assert decode('{"n":9007199254740991,"event":"' + "é" * 128 + '"}').n == 2**53 - 1


def test_binary_frames_go_where_they_belong():
    packet = decode('{"event":"e","data":[{"$binary":1},{"$binary":0},[{"$binary":1}]],"binary":2}')
    before = copy.deepcopy(packet.data)
    for nth, payload in enumerate((b"a", b"")):
        assert not packet.is_whole, nth
        packet.attachments.append(payload)
    assert packet.is_whole
    assert take_binary(packet) == [b"", b"a", [b""]]
    assert packet.data == before
    # Without binary frames, "$binary" is a key as any other.
    assert take_binary(decode('{"event":"e","data":{"$binary":5}}')) == {"$binary": 5}
    assert encode_event("e", {"$binary": 0}) == ('{"event":"e","data":{"$binary":0}}', [])
    with pytest.raises(ValueError, match='no key "\\$binary" in data that carries bytes'):
        dumps([b"x", ({"deep": {"$binary": 0}},)])
    with pytest.raises(ValueError, match='nor "_placeholder": they stand for them'):
        dumps([b"x", {"_placeholder": True, "num": 9}])  # by which Socket.IO's clients would end
    assert dumps([bytearray(b"a"), memoryview(b"b")])[1] == [b"a", b"b"]
    many = [b"x"] * packets.MAX_BINARY
    assert decode(encode_event("e", many)[0]).binary == 64
    with pytest.raises(ValueError, match="expected at most 64 values of bytes in one event, got"):
        encode_event("e", [*many, b"x"])


# What is refused.

REFUSED = [
    ('{"event":""}', 'expected "event" to be a name of 1 to 128 characters, got \'\''),
    ('{"event":["a"]}', 'expected "event" to be a name of 1 to 128 characters, got [\'a\']'),
    ('{"event":true}', 'expected "event" to be a name of 1 to 128 characters, got True'),
    ('{"event":"' + "x" * 129 + '"}',
     'expected "event" to be a name of 1 to 128 characters, got \'' + "x" * 59),
    ('{"event":"e","error":"why"}', 'expected "error" to be an object, got \'why\''),
    ('{"answer":1,"error":[]}', 'expected "error" to be an object, got []'),
    ('{"event":"e","binary":65}', 'expected "binary" to be at most 64 frames, got 65'),
    *(
        (json.dumps({"event": "e", name: number}),
         f'expected "{name}" to be a whole number, got {number!r:.60}')
        for name in ("id", "n", "offset", "answer", "received", "binary")
        for number in (True, False, -1, 1.0, 2**53, 10**4000, "1", [], {}, "")
    ),
]  # fmt: skip
RAW = [
    ("", "''"),
    ("hello", "'hello'"),
    (' {"event":"e"}', "' {\"event\":\"e\"}'"),
    ('["event"]', "'[\"event\"]'"),
    ("x" * 1000, "'" + "x" * 59),
    ("\ud83d", "'\\ud83d'"),
    *(
        (text, "text that is no JSON: ")
        for text in (
            "{", "{}}", '{"event":"e"', '{"event":"e"} {}', "{'event':'e'}", '{"event":"e",}',
            '{"event":"a\nb"}', '{"event":"\\x"}', '{event:"e"}', '{"event":"e","data":01}',
            '{"event":"e","data":' + "9" * 5000 + "}",
        )
    ),
    *(
        (f'{{"event":"e","data":{number}}}', f"text that is no JSON: {number} is not JSON")
        for number in ("NaN", "Infinity", "-Infinity")
    ),
    ('{"event":"e","data":[1e308,-1e309]}',
     "text that is no JSON: -1e309 is too large a number"),
]  # fmt: skip
NEITHER = [
    ("{}", "nothing"),
    ('{"data":1,"id":2}', '"data", "id"'),
    ('{"event":null}', '"event"'),
    ('{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}', '"a", "b", "c", "d", "e"'),
    ('{"' + "k" * 1000 + '":1}', '"' + "k" * 40 + '"'),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_packet_that_is_wrong_says_where(text, message):
    with pytest.raises(BadPacket) as caught:
        decode(text)
    assert str(caught.value) == message
    assert not caught.value.is_raw


@pytest.mark.parametrize(("text", "message"), RAW)
def test_text_that_is_no_packet_is_raw(text, message):
    with pytest.raises(BadPacket) as caught:
        decode(text)
    assert str(caught.value).startswith(EXPECTED + message)
    assert caught.value.is_raw


@pytest.mark.parametrize(("text", "names"), NEITHER)
def test_an_object_that_is_no_packet_is_raw_and_says_what_it_has(text, names):
    with pytest.raises(BadPacket) as caught:
        decode(text)
    assert str(caught.value) == f'expected a packet with "event" or "answer", got one with {names}'
    assert caught.value.is_raw


@pytest.mark.parametrize("nth", [1, -1, True, 0.0, "0", None, []])
def test_a_placeholder_for_a_frame_that_there_is_not(nth):
    packet = decode(json.dumps({"event": "e", "data": [{"$binary": nth}], "binary": 1}))
    packet.attachments.append(b"x")
    with pytest.raises(BadPacket) as caught:
        take_binary(packet)
    assert str(caught.value) == f'expected "$binary" to be one of 1 frames, got {nth!r:.60}'


@pytest.mark.parametrize(
    ("name", "exception", "message"),
    [
        ("", ValueError, "expected an event's name of 1 to 128 characters, got 0"),
        ("x" * 129, ValueError, "expected an event's name of 1 to 128 characters, got 129"),
        (b"chat", TypeError, "expected an event's name, such as 'chat', got bytes b'chat'"),
        (None, TypeError, "expected an event's name, such as 'chat', got NoneType None"),
    ],
)
def test_what_is_no_name_of_an_event(name, exception, message):
    with pytest.raises(exception) as caught:
        encode_event(name)
    assert str(caught.value) == message


# Depth.

SHAPES = [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("member", ["data", "event", "id", "binary", "error", "x"])
def test_no_depth_of_nesting_raises_anything_else(shape, member):
    refused = 0
    for depth in DEPTHS:
        deep = shape[0] * depth + '{"$binary":0}' + shape[1] * depth
        for binary in (0, 1):
            members = {"received": "1", "binary": str(binary)} | {member: deep}
            text = "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
            packet, flaw = tried(decode, text)
            if flaw is None:
                packet.attachments.append(b"x")
                data, flaw = tried(take_binary, packet)
                assert flaw is None or "sensible depth, got some nested too deep" in str(flaw)
            assert flaw is None or type(flaw) is BadPacket
            refused += flaw is not None
            if flaw is None:
                frames, flaw = tried(dumps, data)  # one that just fitted may not fit any more
                assert flaw is None or "expected data that JSON can hold" in str(flaw)
                assert flaw or len(frames[1]) == (binary if member == "data" else 0)
    assert refused >= 2
    if member in ("data", "x"):
        assert refused < 2 * len(DEPTHS)


# Half a surrogate pair: JSON may hold it, UTF-8 may not.


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ud83d", '"\\ud83d"'),
        ("\udfff é \\\ud800", '"\\udfff \\xe9 \\\\\\ud800"'.replace("\\xe9", "é")),
        ({"\ud83d": ["\udc00x"]}, '{"\\ud83d":["\\udc00x"]}'),
    ],
)
def test_half_a_surrogate_pair_stays_an_escape(data, text):
    sent, frames = encode_event("e\ud800", data)
    assert sent == '{"event":"e\\ud800","data":' + text + "}"
    assert sent.encode()
    assert frames == []
    packet = decode(sent)
    assert (packet.event, packet.data) == ("e\ud800", data)
    assert decode(packets.encode_error("failed", "no \ud800", answer=1)).error["message"][-1:] == (
        "\ud800"
    )


# Round trips.

NAMES = st.text(st.characters(), max_size=5)  # surrogates are among them
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.text(max_size=5).filter(lambda key: key != "$binary")


def _json(leaves, keys=KEYS):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=30,
    )


NUMBER = st.none() | st.integers(0, 2**53 - 1)


@settings(max_examples=300, derandomize=True, database=None)
@given(
    st.text(min_size=1, max_size=20), _json(SCALARS | st.text() | st.binary()),
    NUMBER, NUMBER, NUMBER,
)  # fmt: skip
def test_any_event_comes_as_it_was_sent(event, data, id, n, offset):
    text, frames = encode_event(event, data, id=id, n=n, offset=offset)
    assert json.loads(text.encode())
    packet = decode(text)
    assert (packet.event, packet.id, packet.n, packet.offset) == (event, id, n, offset)
    assert packet.binary == len(frames)
    packet.attachments = frames
    assert repr(take_binary(packet)) == repr(data)  # repr: 1, 1.0 and True differ; so do 0.0, -0.0


@settings(max_examples=200, derandomize=True, database=None)
@given(st.integers(0, 2**53 - 1), _json(SCALARS | st.text() | st.binary()))
def test_any_answer_comes_as_it_was_sent(number, data):
    text, frames = packets.encode_answer(number, data)
    packet = decode(text)
    packet.attachments = frames
    assert packet.answer == number
    assert repr(take_binary(packet)) == repr(data)


# Fuzz.

MEMBERS = st.sampled_from(
    ["event", "data", "id", "n", "offset", "answer", "error", "received", "binary", "$binary", "x"]
)
ODD = SCALARS | st.just({"$binary": 0}) | st.floats() | st.text(st.characters(), max_size=5)
OBJECTS = st.dictionaries(MEMBERS, _json(ODD, MEMBERS | NAMES) | st.integers(0, 3), max_size=6)
TEXTS = st.one_of(
    st.text(st.characters()),
    st.text(st.sampled_from('{}[]",:\\u$019.eE-+nulltrue "event"data')).map("{".__add__),
    OBJECTS.map(json.dumps),
    OBJECTS.map(lambda fields: json.dumps({"event": "e", "binary": 1} | fields)),
)


@st.composite
def _broken(draw):
    text = json.dumps({"event": "e"} | draw(OBJECTS))
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.text(st.characters(), max_size=2)) + text[at + draw(st.booleans()) :]


@settings(max_examples=800, derandomize=True, database=None)
@given(TEXTS | _broken())
@example('{"event":"e","binary":null}')
@example('{"event":"e","data":1e999}')
@example('{"event":"e","data":{"$binary":0,"x":1},"binary":1}')
def test_any_text_is_a_packet_or_a_bad_packet_and_what_was_taken_can_be_sent(text):
    packet, flaw = tried(decode, text)
    if packet is None:
        assert type(flaw) is BadPacket
        assert str(flaw).startswith("expected ")
        assert len(str(flaw)) < 400
        assert packets.encode_error("bad-packet", str(flaw)).encode()
        return
    assert packet.event or packet.answer is not None or packet.received is not None
    again = decode(encode_event(packet.event or "e", packet.data)[0])
    assert repr(again.data) == repr(_paired(packet.data))
    packet.attachments = [b"x"] * packet.binary
    data, flaw = tried(take_binary, packet)
    if flaw is not None:
        assert type(flaw) is BadPacket
        assert 'expected "$binary" to be one of' in str(flaw)
        return
    frames, flaw = tried(dumps, data)
    if flaw is None:
        assert bool(frames[1]) <= bool(packet.binary)
    else:  # the two things that only a stranger's encoder can have made
        assert "no key" in str(flaw) or "at most 64 values" in str(flaw)


def _paired(data):
    """Two halves that stand side by side are one character once they have been sent."""
    return json.loads(json.dumps(data))


def test_a_packet_that_waits_is_folded_to_its_text():
    text = '{"event":"e","data":[1,{"a":[2]}],"id":3}'
    packet = decode(text)
    packet.fold(text)
    assert (packet.data, packet.text) == (None, text)
    packet.unfold()
    assert (packet.data, packet.text) == ([1, {"a": [2]}], "")
    packet.unfold()
    assert packet.data == [1, {"a": [2]}]
    flat = decode('{"event":"e","data":"flat"}')
    flat.fold('{"event":"e","data":"flat"}')
    assert (flat.data, flat.text) == ("flat", "")


def test_data_that_can_no_longer_be_read_is_a_flaw():
    packet = Packet("e", text="[" * 100_000)
    packet.unfold()
    assert packet.flaw == "too large: expected data of a sensible depth"

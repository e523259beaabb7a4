"""Socket.IO by its literal text, and what stock parsers and ours make of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wslab.errors import BadPacket
from wslab.hub import Args
from wslab.hub.dialects.dialect import Dialect, Greeting, Raw
from wslab.hub.dialects.socket_io import VIOLATION, SocketIo
from wslab.hub.protocol import packets
from wslab.hub.protocol.packets import Packet
from wslab.hub.server.emitter import said_of
from wslab.wire import socketio
from wslab.wire.violation import ProtocolViolation

ROOT, ADMIN, KEEPS = SocketIo(), SocketIo("/admin"), SocketIo("/", "m-1")
PID = "abcdefghijklmnop"


def said(data, **more):
    return said_of("chat", data, None)._replace(**more)


@pytest.mark.parametrize(
    ("dialect", "told", "payloads"),
    [
        (ROOT, said("hi"), ('42["chat","hi"]', [])),
        (ROOT, said(None), ('42["chat"]', [])),
        (ROOT, said("hi", offset=7), ('42["chat","hi"]', [])),
        (ADMIN, said([1, 2]), ('42/admin,["chat",[1,2]]', [])),
        (ROOT, said(Args(1, "2")), ('42["chat",1,"2"]', [])),
        (ROOT, said(Args()), ('42["chat"]', [])),
        (ROOT, said(Args(None)), ('42["chat",null]', [])),
        (KEEPS, said("hi", offset=7), ('42["chat","hi","m-1.7"]', [])),
        (KEEPS, said(None, offset=7), ('42["chat","m-1.7"]', [])),
        (KEEPS, said(Args(1, 2), offset=7), ('42["chat",1,2,"m-1.7"]', [])),
        (ROOT, said([b"x", {"y": b"z"}]),
         ('452-["chat",[{"_placeholder":true,"num":0},{"y":{"_placeholder":true,"num":1}}]]',
          [b"x", b"z"])),
        (ADMIN, said(Args(b"x", '{"$binary":0}')),
         ('451-/admin,["chat",{"_placeholder":true,"num":0},"{\\"$binary\\":0}"]', [b"x"])),
    ],
)  # fmt: skip
def test_an_event(dialect: Dialect, told, payloads):
    assert dialect.event(told) == payloads


def test_what_else_is_said():
    assert ROOT.event(said("hi"), 7) == ('427["chat","hi"]', [])
    assert ADMIN.event(said(b"x"), 7)[0] == ('451-/admin,7["chat",{"_placeholder":true,"num":0}]')
    assert ROOT.answer(7, None, None) == ("437[]", ())
    assert ROOT.answer(7, [1], None) == ("437[[1]]", [])
    assert ADMIN.answer(7, Args(1, 2), None) == ("43/admin,7[1,2]", [])
    assert ROOT.answer(7, b"x", None) == ('461-7[{"_placeholder":true,"num":0}]', [b"x"])
    assert ROOT.answer(7, 1, lambda data: f" {data + 1}") == ("437[ 2]", [])
    assert ROOT.error("c", "m", answer=7) == ('437[{"error":{"code":"c","message":"m"}}]', ())
    assert ROOT.error("c", "m") == ('42["error",{"code":"c","message":"m"}]', ())
    assert ROOT.error("c", "m", event="e")[0].endswith('"event":"e"}]')
    assert KEEPS.dropped(3, 9) == ('42["dropped",{"count":3},"m-1.9"]', ())
    assert KEEPS.dropped(3) == ('42["dropped",{"count":3}]', ())
    assert KEEPS.received(3) == (None, ())
    assert KEEPS.raw(Raw(b'h"i', True, 9)) == ('42["message","h\\"i","m-1.9"]', ())
    assert ROOT.raw(Raw(b"x", False, 9)) == (
        '451-["message",{"_placeholder":true,"num":0}]', (b"x",),
    )  # fmt: skip


def test_who_comes_and_goes():
    fields = {"id": "a1b2c3", "session": PID, "offset": 3}
    assert KEEPS.welcome(fields) == (f'40{{"sid":"a1b2c3","pid":"{PID}"}}', ())
    assert ADMIN.welcome(fields) == ('40/admin,{"sid":"a1b2c3"}', ())
    assert KEEPS.welcome({"id": "a1b2c3", "session": None}) == ('40{"sid":"a1b2c3"}', ())
    assert ADMIN.refusal("full", "no seat") == ('44/admin,{"message":"no seat"}', ())
    assert ROOT.refusal("full", "no", {"seats": 0}) == (
        '44{"message":"no","data":{"seats":0}}', (),
    )  # fmt: skip
    with pytest.raises(TypeError, match="JSON can hold"):
        ROOT.refusal("full", "no", {1})
    assert ROOT.farewell(1000, "why", was_let_in=True) == ("41", ())
    assert ADMIN.farewell(4001, "why", was_let_in=True) == ("41/admin,", ())
    assert ROOT.farewell(1013, "why", was_let_in=False) == ('44{"message":"why"}', ())
    for code in (1002, 1013):  # with the connection
        assert ROOT.farewell(code, "why", was_let_in=True) == (None, ())


@pytest.mark.parametrize(
    ("auth", "greeting"),
    [
        (None, ("", None)),
        ({"token": "x"}, ("", None)),
        ({"pid": PID}, (PID, None)),
        ({"pid": PID, "offset": "m-1.7"}, (PID, 7)),
        ({"pid": PID, "offset": "other.7"}, (PID, None)),  # of another history
        ({"pid": PID, "offset": 7}, (PID, None)),
        ({"pid": PID, "offset": "m-1.-7"}, (PID, None)),
        ({"pid": PID + "\n", "offset": "m-1.7"}, ("", None)),
        ({"pid": [PID]}, ("", None)),
        ({"pid": "short", "offset": "m-1.7"}, ("", None)),
    ],
)
def test_what_a_client_comes_with(auth, greeting):
    assert KEEPS.greeting("/", auth) == Greeting(*greeting, is_whole_or_new=True)
    assert ROOT.greeting("/", auth) == Greeting("", None, is_whole_or_new=True)


def test_a_secret_is_not_shown():
    assert KEEPS.shown_auth({"token": "x", "pid": PID, "offset": "m-1.7"}) == {"token": "x"}
    assert KEEPS.shown_auth(None) is None
    assert ROOT.shown_path("/socket.io/?EIO=4&sid=x&a=1") == "/socket.io/?EIO=4&a=1"
    assert ROOT.shown_path("/socket.io/?sid=x") == "/socket.io/"


# What comes.


def assembled(*messages, max_size=200):
    assembler = ROOT.assembler(lambda: max_size, lambda: False, lambda packet, why: None)
    found = []
    for message in messages:
        item = assembler.add(message)
        if isinstance(item, Packet):
            item.unfold()
        if item is not None:
            found.append(item)
    return found


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (['2["e",1]'], {"event": "e", "data": 1}),
        (['2["e"]'], {"event": "e", "data": Args()}),
        (['27["e",1,[2]]'], {"event": "e", "data": Args(1, [2]), "id": 7}),
        (['2[5,"x"]'], {"event": "5", "data": "x"}),
        (["37[]"], {"answer": 7, "data": None}),
        (["3/admin,7[1]"], {"answer": 7, "data": 1}),
        (["37[1,2]"], {"answer": 7, "data": Args(1, 2)}),
        (['52-["e",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]', b"x", b"y"],
         {"event": "e", "data": Args(b"y", [b"x"])}),
        (['61-7[{"_placeholder":true,"num":0}]', b"x"], {"answer": 7, "data": b"x"}),
        (['2["message",{"a":1}]'], {"event": "message", "data": {"a": 1}}),
        (['27["message","hi"]'], {"event": "message", "data": "hi", "id": 7}),
    ],
)  # fmt: skip
def test_a_packet_comes_whole(messages, expected):
    [packet] = assembled(*messages)
    assert isinstance(packet, Packet)
    found = {name: getattr(packet, name) for name in ("event", "answer", "id", "data")}
    assert {name: value for name, value in found.items() if value is not None} == {
        name: value for name, value in expected.items() if value is not None
    }
    assert type(packet.data) is type(expected["data"])
    assert packet.size_bytes == sum(map(len, messages))
    text = messages[0]
    if len(messages) == 1:  # as for one that waits for its turn
        before = packet.data
        packet.fold(text)
        packet.unfold()
        assert packet.data == before


def test_a_message_is_a_raw_one():
    assert assembled('2["message","hi"]') == ["hi"]
    assert assembled('51-["message",{"_placeholder":true,"num":0}]', b"x") == [b"x"]


@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        (["9"], "unknown-type"),
        (["2[1"], "bad-json"),
        (['2["disconnect"]'], "reserved-event"),
        (["37{}"], "bad-ack"),
        ([b"x"], "attachment-unexpected"),
        (['51-["e",{"_placeholder":true,"num":0}]', '2["e"]'], "attachment-missing"),
        (['51-["e",{"_placeholder":true,"num":1}]'], "bad-placeholder"),
        (['511-["e"]'], "too-many-attachments"),
    ],
)
def test_a_violation_is_told_as_one(messages, rule):
    *_, flaw = assembled(*messages)
    assert isinstance(flaw, BadPacket)
    assert str(flaw).startswith(f"{rule}: expected ")
    assert flaw.code == VIOLATION
    assert VIOLATION in ROOT.ends_with


def test_what_is_too_large_is_let_go_of():
    [packet] = assembled('27["e","' + "x" * 40 + '"]', max_size=40)
    assert packet.flaw == "too large: expected at most 40 bytes in one message, got 50"
    assert (packet.id, packet.data) == (7, None)
    [packet] = assembled('51-["e",{"_placeholder":true,"num":0}]', b"x" * 3, max_size=40)
    assert packet.flaw
    assert (packet.data, packet.attachments, packet.text) == (None, [], "")
    [raw] = assembled('2["message","' + "x" * 40 + '"]', max_size=40)
    assert str(raw).startswith("too large")
    [name] = assembled(f'27["{"x" * 129}"]')
    assert (name.code, name.id) == ("bad-packet", 7)


def test_a_users_loads_gets_each_argument():
    [packet] = assembled('51-["e",[1,{"_placeholder":true,"num":0}],2]', b"x")

    def loads(text):
        return ["loaded", json.loads(text)]

    assert packets.take_binary(packet, loads) == Args(["loaded", [1, b"x"]], ["loaded", 2])


def test_an_answer_has_no_more_bytes_than_a_client_takes():
    with pytest.raises(ValueError, match="at most 10 values of bytes in an answer to a Socket.IO"):
        ROOT.answer(1, [b"x"] * 11, None)
    with pytest.raises(ProtocolViolation):
        SocketIo("admin")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.lists(json_values, max_size=3), st.booleans())
def test_what_is_said_is_what_a_strict_parser_reads(arguments, keeps):
    dialect = KEEPS if keeps else ADMIN
    text, attachments = dialect.event(said(Args(*arguments), offset=3))
    decoder = socketio.Decoder()
    packet = decoder.add(text.removeprefix("4"))
    for attachment in attachments:
        packet = decoder.add(attachment)
    assert packet.namespace == dialect.namespace
    assert packet.data == ["chat", *arguments, *(["m-1.3"] if keeps else [])]
    assert text.removeprefix("4") == socketio.encode(packet)[0]

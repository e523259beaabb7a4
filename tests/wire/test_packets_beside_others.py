"""Our packets beside those of npm's parsers and of python-engineio and python-socketio.

What we write they read, what they write we read, and it means the same. Where they take what we
refuse stands in two tables, which are asserted, so that they stay true.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from engineio.packet import Packet as PythonEnginePacket
from engineio.payload import Payload as PythonPayload
from hypothesis import example, given
from hypothesis import strategies as st
from socketio.packet import Packet as PythonPacket

from tests.node import Script, need
from tests.wire import test_engineio, test_socketio
from tests.wire.test_socketio import only
from wslab.wire import engineio
from wslab.wire.engineio import SEPARATOR
from wslab.wire.socketio import Packet, PacketType, decode_text, encode
from wslab.wire.violation import ProtocolViolation

EVENT, ACK = PacketType.EVENT, PacketType.ACK
BINARY = {EVENT: PacketType.BINARY_EVENT, ACK: PacketType.BINARY_ACK}


@pytest.fixture(scope="module")
def node() -> Iterator[Script]:
    need("engine.io-parser", "socket.io-parser")
    with Script(Path(__file__).with_name("parsers.js")) as script:
        yield script


def packed(value: Any) -> Any:
    """Return a value with its bytes as parsers.js takes them."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    return {k: packed(v) for k, v in value.items()} if isinstance(value, dict) else value


def unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return {key: unpacked(item) for key, item in value.items()}


# --- what they take and we do not ----------------------------------------------------------------

ALL, NONE = "all", ()
# By rule, what goes through all the same: socket.io-parser 4.2, python-socketio 5. (What their
# servers check later is another matter: these are the parsers.)
LAXER: dict[str, tuple[Any, Any]] = {
    "empty-packet": (ALL, ALL),
    "unknown-type": (NONE, ("7", "\u0662[]")),
    "bad-json": (
        ('2["a",1e999]', '2["a",99999999', '2\ufeff["a"]', '2 ["a"]', '2\n["a"]'),
        ('2["a",NaN]', '2["a",-Infinit', '2["a",1e999]', '2 ["a"]', '2\n["a"]', '21-["a"]'),
    ),
    "too-deep": (NONE, NONE),
    "bad-event": (("2", "27", "2/admin,"), ALL),
    "reserved-event": (NONE, ALL),
    "bad-id": (ALL, ('2007["a"]', "300[]", '29007199254740')),
    "unexpected-id": (ALL, ALL),
    "bad-ack": (("3[]", "31"), ALL),
    "bad-connect": (NONE, ALL),
    "bad-disconnect": (NONE, ALL),
    "bad-connect-error": (("4",), ALL),
    "bad-attachment-count": (
        ('501-["a"]', '5+1-["a"]', '51.0-["a"]', '50x1-["a"]', '51e0-["a"]', '5 1-["a"]'),
        ('5["a"]', '50-["a"]', '501-["a"]', '5\u0661-["a"]', "51"),
    ),
    "too-many-attachments": (NONE, ('511-["a"]',)),
    # Cut off to what tells them apart: "num" missing, a text, -1, 1 of 1, true are refused by one.
    "bad-placeholder": (
        ('51-["a"]', "twice", "unnamed", "0.0", "another key", "1 for true"),
        ('51-["a"]', "-1", "twice", "unnamed", "no num", "another key", "1 for true"),
    ),
    "attachment-unexpected": (NONE, NONE),
    "attachment-missing": (NONE, ALL),
}  # fmt: skip
_PLACES = {
    '{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]': "twice",
    '52-["a",{"_placeholder":true,"num":0}]': "unnamed",
    '"num":-1}]': "-1",
    '"num":0.0}]': "0.0",
    '"num":0,"x":1}]': "another key",
    '{"_placeholder":1,"num":0}]': "1 for true",
    '{"_placeholder":true}]': "no num",
}


def shortly(message: str | bytes) -> str:
    assert isinstance(message, str)
    return next((short for end, short in _PLACES.items() if message.endswith(end)), message[:14])


def python_reads(messages: Sequence[str | bytes]) -> list[PythonPacket]:
    """Read as python-socketio does; a packet that is not whole gets the bytes that it waits for."""
    packets, partial = [], None
    for message in messages:
        if isinstance(message, str):
            partial = PythonPacket(encoded_packet=message)
            if not partial.attachment_count:
                packets.append(partial)
                partial = None
        elif partial is None:
            raise ValueError("binary data, and nothing waits for it")
        elif partial.add_attachment(message):
            packets.append(partial)
            partial = None
    while partial is not None:
        if partial.add_attachment(b"x"):
            packets.append(partial)
            partial = None
    return packets


def goes_through(rule: str, takes: Any) -> Any:
    refused = [messages for messages, broken in test_socketio.REFUSED if broken == rule]
    taken = [messages for messages in refused if takes(messages)]
    return ALL if len(taken) == len(refused) else tuple(shortly(found[-1]) for found in taken)


@pytest.mark.parametrize("rule", LAXER)
def test_where_socket_io_parser_is_laxer(node, rule):
    def takes(messages):
        return node.ask({"decode": packed(messages)})["error"] is None

    assert goes_through(rule, takes) == LAXER[rule][0]


@pytest.mark.parametrize("rule", LAXER)
def test_where_python_socketio_is_laxer(rule):
    def takes(messages):
        try:
            return bool(python_reads(messages))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            return False

    assert goes_through(rule, takes) == LAXER[rule][1]


def test_the_table_has_every_rule():
    assert {rule for _, rule in test_socketio.REFUSED} == LAXER.keys()


# Engine.IO: engine.io-parser 5, python-engineio 4.
LAXER_ENGINE: dict[str, tuple[Any, Any]] = {
    "empty-packet": (NONE, NONE),
    "unknown-type": (NONE, ("7", "\u0664")),
    "unexpected-data": (ALL, ALL),
    "bad-base64": (ALL, ("b-_==", "bAQ==AQ==", "bAQ==\n")),
}


@pytest.mark.parametrize("rule", LAXER_ENGINE)
def test_where_engine_io_is_laxer(node, rule):
    refused = [text for text, broken in test_engineio.REFUSED if broken == rule]

    def python_takes(text):
        try:
            PythonEnginePacket(encoded_packet=text)
        except ValueError:
            return False
        return True

    for takes, expected in (
        (lambda text: node.ask({"decodeText": text})["type"] != "error", LAXER_ENGINE[rule][0]),
        (python_takes, LAXER_ENGINE[rule][1]),
    ):
        taken = tuple(text for text in refused if takes(text))
        assert (ALL if len(taken) == len(refused) else taken) == expected
    assert {rule for _, rule in test_engineio.REFUSED} == LAXER_ENGINE.keys()


def test_separators_in_text_reach_nobody_whole(node):
    # We refuse to send it; the others send what the receiver takes for two packets.
    packet = {"type": "message", "data": "a\x1e4b"}
    body = node.ask({"encodePayload": [packet]})
    assert [packet.data for packet in engineio.decode_payload(body)] == ["a", "b"]
    assert PythonPayload([PythonEnginePacket(4, "a\x1e4b")]).encode() == body


# --- both ways -----------------------------------------------------------------------------------


@given(test_socketio.packets)
def test_socket_io_parser_reads_what_we_write(node, packet):
    text, attachments = encode(packet)
    answer = node.ask({"decode": packed([text, *attachments])})
    assert answer["error"] is None
    assert unpacked(answer["packets"]) == [as_javascript(packet)]


def in_doubles(value: Any) -> Any:
    """Return a value with its large numbers as JavaScript has them."""
    if isinstance(value, list):
        return [in_doubles(item) for item in value]
    if isinstance(value, dict):
        return {key: in_doubles(item) for key, item in value.items()}
    return float(value) if type(value) is int and abs(value) >= 2**53 else value


@given(test_socketio.written, st.integers(0, 40), st.text(max_size=2))
@example('2["a",9007199254740993,1e22]', 40, "")
def test_whatever_text_we_take_socket_io_parser_takes_for_the_same(node, text, at, put):
    text = text[:at] + put + text[at + 1 :]
    try:
        packet, missing = decode_text(text)
    except ProtocolViolation:
        return
    answer = node.ask({"decode": [text, *[packed(b"x")] * missing]})
    assert answer["error"] is None
    if not missing:  # else its bytes have been put in
        assert in_doubles(answer["packets"]) == in_doubles([as_javascript(packet)])


@given(test_socketio.packets)
def test_we_read_what_socket_io_parser_writes(node, packet):
    asked = as_javascript(packet)
    assert only(*unpacked(node.ask({"encode": packed(asked)})))[:4] == packet[:4]


def as_javascript(packet: Packet) -> dict[str, Any]:
    found = {"type": int(packet.type), "nsp": packet.namespace}
    if packet.id is not None:
        found["id"] = packet.id
    if packet.data is not None:
        found["data"] = packet.data
    return found


@given(test_socketio.packets)
def test_python_socketio_reads_what_we_write(packet):
    text, attachments = encode(packet)
    (read,) = python_reads([text, *attachments])
    type = BINARY[packet.type] if attachments else packet.type
    # It takes a namespace's query for none of its name.
    namespace = packet.namespace.partition("?")[0]
    assert read.packet_type == type
    assert (read.namespace or "/", read.id) == (namespace, packet.id)
    assert read.data == packet.data


@given(test_socketio.packets)
def test_we_read_what_python_socketio_writes(packet):
    # It chooses by the data whether an event is binary, as we do.
    written = PythonPacket(int(packet.type), packet.data, packet.namespace, packet.id).encode()
    text, *attachments = [written] if isinstance(written, str) else written
    assert only(text, *attachments)[:4] == packet[:4]


engine_packets = test_engineio.packets.filter(
    lambda packet: isinstance(packet.data, bytes) or SEPARATOR not in packet.data
)


@given(st.lists(engine_packets, min_size=1, max_size=5))
def test_engine_io_parser_and_we_read_each_other(node, packets):
    asked = [
        {"type": packet.type.name.lower()} | ({"data": packet.data} if packet.data else {})
        if isinstance(packet.data, str)
        else {"type": "message", "data": packet.data}
        for packet in packets
    ]
    body = engineio.encode_payload(packets)
    assert unpacked(node.ask({"decodePayload": body})) == asked
    assert node.ask({"encodePayload": packed(asked)}) == body
    for packet, other in zip(packets, asked, strict=True):
        assert unpacked(node.ask({"encodeText": packed(other)})) == engineio.encode(packet)


@given(st.lists(engine_packets, min_size=1, max_size=5))
def test_python_engineio_and_we_read_each_other(packets):
    theirs = [PythonEnginePacket(int(packet.type), packet.data) for packet in packets]
    body = engineio.encode_payload(packets)
    assert PythonPayload(theirs).encode() == body
    for packet, read in zip(packets, PythonPayload(encoded_payload=body).packets, strict=True):
        assert read.packet_type == packet.type
        if not is_json(packet.data):  # which it reads at once
            assert read.data == packet.data


def is_json(data: str | bytes) -> bool:
    try:
        return isinstance(data, str) and PythonEnginePacket.json.loads(data) is not math.nan
    except ValueError:
        return False

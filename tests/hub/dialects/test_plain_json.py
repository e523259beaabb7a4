"""Plain JSON by its literal text, and two dialects in one room."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.hub.rig import FakeSocket, aio, frames_of, serving, until
from wslab.errors import BadPacket
from wslab.hub import Hub
from wslab.hub.dialects.dialect import Dialect, Greeting, Said
from wslab.hub.dialects.plain_json import PLAIN_JSON, PlainJson
from wslab.hub.protocol.packets import Packet

TOKEN = "abcdefghijklmnop"


@pytest.mark.parametrize(
    ("path", "greeting", "shown"),
    [
        ("/", Greeting("", None), "/"),
        ("/chat?name=bob", Greeting("", None), "/chat?name=bob"),
        (f"/?session={TOKEN}", Greeting(TOKEN, None), "/"),
        (f"/x?a=1&session={TOKEN}&offset=7&b", Greeting(TOKEN, 7), "/x?a=1&b"),
        (f"/?session={TOKEN}&offset=-7", Greeting(TOKEN, None), "/"),
        ("/?session=short&offset=7", Greeting("", None), "/"),
        (f"/?session={TOKEN}%0a", Greeting("", None), "/"),
        ("/?offset=7", Greeting("", None), "/?offset=7"),
    ],
)
def test_what_a_client_comes_with(path, greeting, shown):
    assert PLAIN_JSON.greeting(path) == greeting
    assert PLAIN_JSON.shown_path(path) == shown


def test_what_is_said():
    dialect: Dialect = PLAIN_JSON
    said = Said("chat", b'{"$binary":0}', [b"x"], 42)
    assert dialect.event(said, 7) == (
        '{"event":"chat","data":{"$binary":0},"id":7,"offset":42,"binary":1}', [b"x"],
    )  # fmt: skip
    assert dialect.event(Said("e", b"1")) == ('{"event":"e","data":1}', [])
    assert dialect.answer(7, [b"x"], None) == (
        '{"answer":7,"data":[{"$binary":0}],"binary":1}', [b"x"],
    )  # fmt: skip
    assert dialect.answer(7, 1, lambda data: f"{data + 1}") == ('{"answer":7,"data":2}', [])
    assert [json.loads(dialect.error("c", "m", **about)[0]) for about in (
        {"answer": 7}, {"event": "e"}, {},
    )] == [
        {"answer": 7, "error": {"code": "c", "message": "m"}},
        {"event": "error", "data": {"code": "c", "message": "m", "event": "e"}},
        {"event": "error", "data": {"code": "c", "message": "m"}},
    ]  # fmt: skip
    assert dialect.welcome({"id": "a"}) == ('{"event":"welcome","data":{"id":"a"}}', [])
    assert json.loads(dialect.received(3)[0]) == {"received": 3}
    assert json.loads(dialect.dropped(3)[0]) == {"event": "dropped", "data": {"count": 3}}
    assert json.loads(dialect.dropped(3, 9)[0])["offset"] == 9


def assembled(*messages, max_size=40, takes_raw=False):
    broken = []
    assembler = PLAIN_JSON.assembler(
        lambda: max_size, lambda: takes_raw, lambda packet, why: broken.append((packet.event, why))
    )
    found = [item for message in messages if (item := assembler.add(message)) is not None]
    return found, broken


def test_a_packet_comes_whole():
    found, broken = assembled('{"event":"e","binary":2}', b"x", b"yz", '{"event":"f"}')
    first, second = found
    assert (first.event, first.attachments, first.size_bytes) == ("e", [b"x", b"yz"], 27)
    assert (second.event, second.size_bytes) == ("f", 13)
    assert not broken


def test_one_that_breaks_off_is_told_and_what_follows_is_taken():
    found, broken = assembled('{"event":"e","binary":2}', b"x", '{"event":"f"}')
    assert [item.event for item in found] == ["f"]
    assert broken == [("e", "expected 2 binary frames after 'e', got a text frame after 1")]


@pytest.mark.parametrize("takes_raw", [True, False])
def test_what_is_no_packet_is_raw_or_a_flaw(takes_raw):
    found, _ = assembled("hello", b"bytes", '{"event":7}', takes_raw=takes_raw)
    assert found[1] == b"bytes"
    assert found[0] == "hello" if takes_raw else isinstance(found[0], BadPacket)
    assert isinstance(found[2], BadPacket)  # it was meant as one


@pytest.mark.parametrize(
    "messages",
    [
        ['{"event":"e","id":7,"data":"%s"}' % ("x" * 30)],
        ['{"event":"e","id":7,"data":"%s"}' % ("é" * 10)],  # 40 characters, in UTF-8 more
        ['{"event":"e","id":7,"binary":1}', b"x" * 30],
        ['{"event":"e","id":7,"binary":2}', b"x" * 30, b"x" * 30],
    ],
)
def test_what_is_too_large_is_told_as_such_and_not_kept(messages):
    (packet,), _ = assembled(*messages)
    assert isinstance(packet, Packet)
    assert packet.flaw.startswith("too large: expected at most 40 bytes in one message, got ")
    assert (packet.id, packet.data, packet.text, packet.attachments) == (7, None, "", [])


@pytest.mark.parametrize("message", ["x" * 41, b"x" * 41])
def test_a_raw_message_that_is_too_large_is_a_flaw(message):
    (flaw,), _ = assembled(message, takes_raw=True)
    assert str(flaw) == "too large: expected at most 40 bytes in one message, got 41"


class Shouting(PlainJson):
    """Another dialect: event names are written large, and a packet that is none ends it."""

    name = "shouting"
    ends_with = {"bad-packet": 1007}

    def __init__(self):
        self.events = 0

    def event(self, said, id=None):
        self.events += 1
        return super().event(said._replace(event=said.event.upper()), id)


@aio
async def test_clients_of_two_dialects_share_a_room():
    hub, shouting = Hub(history=5), Shouting()
    hub.on("join", lambda client, room: client.join(room))
    sockets = [FakeSocket() for _ in range(4)]
    dialects = [PLAIN_JSON, PLAIN_JSON, shouting, shouting]
    tasks = [
        asyncio.create_task(serving(hub, socket, dialect))
        for socket, dialect in zip(sockets, dialects, strict=True)
    ]
    for socket in sockets:
        socket.feed({"event": "join", "data": "red"})
    await until(lambda: len(hub.rooms.get("red", ())) == 4)
    hub.emit("chat", "hi", to="red")
    hub.broadcast("raw", to="red")
    for socket, name in zip(sockets, ["chat", "chat", "CHAT", "CHAT"], strict=True):
        chat, raw = frames_of(socket.transport.written)[-2:]
        assert json.loads(chat[1]) == {"event": name, "data": "hi", "offset": 1}
        assert raw == (1, b"raw")
    assert shouting.events == 1  # serialised once, for any number of clients
    for socket in sockets:
        socket.feed("no packet")
    await until(lambda: all(socket.protocol.close_sent for socket in sockets[2:]))
    assert [socket.protocol.close_sent.code for socket in sockets[2:]] == [1007, 1007]
    assert len(hub.clients) == 2  # plain JSON tells of it, and goes on
    for socket in sockets:
        socket.lose()
    await asyncio.wait(tasks)


@aio
async def test_what_was_missed_is_said_in_the_dialect_of_who_comes_back():
    hub, path = Hub(history=5), f"/?session={TOKEN}"
    first = FakeSocket(path)
    task = asyncio.create_task(serving(hub, first, PLAIN_JSON))
    await until(lambda: hub.clients)
    first.lose()
    await task
    hub.emit("é", {"bytes": b"x"})
    second = FakeSocket(path + "&offset=0")
    task = asyncio.create_task(serving(hub, second, Shouting()))
    await until(lambda: len(second.transport.written) == 3)
    (_, text), binary = frames_of(second.transport.written)[1:]
    assert json.loads(text) == {
        "event": "É", "data": {"bytes": {"$binary": 0}}, "offset": 1, "binary": 1,
    }  # fmt: skip
    assert binary == (2, b"x")
    assert [past.data for past in hub.history()] == [{"bytes": b"x"}]
    second.lose()
    await task

"""The messages of one side, as a list that knows the frames around them."""

from __future__ import annotations

import pytest

from tests.wire.taping import masked, websocket
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape


def conversation_of_two():
    tape = Tape()
    alice, bob = websocket(tape, "a1"), websocket(tape, "b2")
    bob.label = "bob"
    alice.client(masked(1, b"hello"))
    alice.server(encode_frame(1, b"welcome"))
    bob.client(masked(1, b"he", fin=False))
    bob.client(masked(0, b"y"))
    alice.client(masked(2, b"\0\1"))
    return tape


def test_it_is_a_list_of_texts_and_bytes():
    tape = conversation_of_two()
    assert tape.sent_by("client") == ["hello", "hey", b"\0\1"]
    assert tape.sent_by("server") == ["welcome"]
    assert tape.sent_by("server").sender == "server"


@pytest.mark.parametrize(("connection", "sent"), [
    ("alice", ["hello", b"\0\1"]), ("b2", ["hey"]), ("bob", ["hey"]), ("carol", []),
])  # fmt: skip
def test_of_one_connection_by_label_or_id(connection, sent):
    assert conversation_of_two().sent_by("client", connection=connection) == sent


def test_it_knows_the_frames_around():
    lines = conversation_of_two().sent_by("server").conversation.splitlines()
    assert [line.split(" s  ")[1] for line in lines if "bob" not in line] == [
        "alice -> GET /chat HTTP/1.1",
        "alice <- HTTP/1.1 101 Switching Protocols",
        "alice -> text 'hello'",
        "alice <- text 'welcome'",
        "alice -> binary 00 01",
    ]


def test_there_are_two_sides():
    with pytest.raises(ValueError, match='expected "client" or "server", got \'me\''):
        Tape().sent_by("me")

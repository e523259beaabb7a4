"""What was said to Redis, out of bytes: answers by order, pushes, waiting commands, and bounds."""

from __future__ import annotations

import hashlib

import pytest

from tests.widgets.machines.talk import MESSAGE, SUBSCRIBED, Talk, command
from wslab.widgets.machines import redis_talk
from wslab.widgets.machines.redis_talk import RedisTalk, in_words
from wslab.wire.resp import RespFailure
from wslab.wire.tape.tape import Tape


def shown(exchanges):
    return [(one.node, " ".join(one.words), one.answer) for one in exchanges if not one.is_quiet]


def test_a_command_gets_its_answer_also_in_a_later_look():
    talk = Talk()
    reader, line = RedisTalk(talk.tape), talk.open()
    line.client(command("PUBLISH", "chat", "hello")[:9])
    assert reader.look() == []
    line.client(command("PUBLISH", "chat", "hello")[9:] + command("GET", "x"))
    first, second = reader.look()
    assert first.answer is None
    line.server(b":2\r\n$-1\r\n")
    assert reader.look() == []
    assert shown([first, second]) == [("node one", "PUBLISH chat hello", "2"),
                                      ("node one", "GET x", "nil")]  # fmt: skip


def test_pushes_are_told_from_answers_in_both_versions():
    talk = Talk()
    line, old = talk.open("node two"), talk.open("node one")
    line.client(command("SUBSCRIBE", "chat"))
    line.server(SUBSCRIBED + MESSAGE)
    old.client(command("SUBSCRIBE", "chat"))
    old.server(SUBSCRIBED.replace(b">", b"*") + MESSAGE.replace(b">", b"*"))
    assert shown(RedisTalk(talk.tape).look()) == [
        ("node two", "SUBSCRIBE chat", "subscribed"),
        ("node two", "message chat hello", None),
        ("node one", "SUBSCRIBE chat", "subscribed"),
        ("node one", "message chat hello", None),
    ]


def test_a_command_that_waits_is_there_when_it_has_brought_something():
    talk = Talk()
    reader, line = RedisTalk(talk.tape), talk.open()
    line.client(command("XREAD", "BLOCK", "1000", "STREAMS", "chat", "0"))
    assert reader.look() == []
    line.server(b"_\r\n")
    assert shown(reader.look()) == []
    line.client(command("XREAD", "STREAMS", "chat", "0"))
    line.server(b"%1\r\n$4\r\nchat\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nt\r\n$2\r\nhi\r\n")
    [one] = reader.look()
    assert one.waits
    assert one.answer == "chat 1-0 t hi"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n", "2 fields"),
        (b"%1\r\n$1\r\na\r\n$1\r\n1\r\n", "1 field"),
        (b"*0\r\n", "0 fields"),
        (b"-WRONGTYPE no\r\n", "error WRONGTYPE no"),
    ],
)
def test_of_a_whole_table_it_is_said_how_much_it_holds(answer, words):
    talk = Talk()
    line = talk.open()
    line.client(command("HGETALL", "members"))
    line.server(answer)
    assert shown(RedisTalk(talk.tape).look()) == [("node one", "HGETALL members", words)]


def test_a_script_is_called_what_it_says_also_by_its_digest():
    text = "-- Say it: and number it.\nreturn 1"
    digest = hashlib.sha1(text.encode()).hexdigest()
    talk = Talk()
    line, other = talk.open(), talk.open("node two")
    line.client(command("EVALSHA", digest, "1", "wslab:{chat}:everybody", "hello"))
    line.server(b"-NOSCRIPT No matching script.\r\n")
    line.client(command("EVAL", text, "1", "wslab:{chat}:everybody", "hello"))
    line.server(b":1\r\n")
    other.client(command("EVALSHA", digest, "1", "x", "hello"))
    assert shown(RedisTalk(talk.tape).look()) == [
        ("node one", "EVAL “Say it” hello", "1"),
        ("node two", "EVALSHA “Say it” hello", None),
    ]


def test_what_a_hubs_nodes_do_to_hear_that_they_hear_is_quiet():
    talk = Talk()
    line = talk.open()
    line.client(command("PUBLISH", "wslab:{chat}:node:ab12:canary", "1"))
    line.server(b":1\r\n" + MESSAGE.replace(b"$4\r\nchat", b"$29\r\nwslab:{chat}:node:ab12:canary"))
    line.client(command("EVAL", "-- Begin, or go on: a node is there.", "0"))
    assert shown(RedisTalk(talk.tape).look()) == []


def test_what_only_keeps_a_connection_is_quiet():
    talk = Talk()
    line = talk.open()
    line.client(command("HELLO", "3") + command("PING"))
    line.server(b"+OK\r\n+PONG\r\n")
    assert [one.is_quiet for one in RedisTalk(talk.tape).look()] == [True, True]


def test_bytes_that_are_no_resp_end_the_reading_of_that_connection_alone():
    talk = Talk()
    line, other = talk.open(), talk.open("node two")
    line.client(b"GET / HTTP/1.1\r\n\r\n")
    line.client(command("GET", "x"))
    other.client(command("GET", "y"))
    reader = RedisTalk(talk.tape)
    assert shown(reader.look()) == [("node two", "GET y", None)]
    assert reader.unread == 1


def test_what_the_tape_dropped_unread_is_said():
    talk = Talk(Tape(max_bytes=70_000))
    line = talk.open()
    line.client(command("GET", "x"))
    for _ in range(40):
        line.client(command("SET", "x", "y" * 4000))
    reader = RedisTalk(talk.tape)
    assert reader.look() == []
    line = talk.open("node two")
    line.client(command("GET", "z"))
    assert shown(reader.look()) == [("node two", "GET z", None)]


def test_a_node_that_asks_and_gets_no_answer_is_kept_to_a_bound(monkeypatch):
    monkeypatch.setattr(redis_talk, "MAX_PENDING", 5)
    talk = Talk()
    reader, line = RedisTalk(talk.tape), talk.open()
    for _ in range(20):
        line.client(command("GET", "x"))
        reader.look()
    [side] = reader._sides.values()
    assert len(side.pending) == 5


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"hello", "hello"),
        (b"\xff\xfe\x00", "3 bytes ff fe 00"),
        ("a\nb", "a\N{MIDDLE DOT}b"),
        (None, "nil"),
        (7, "7"),
        (RespFailure("ERR no"), "error ERR no"),
        ([b"a", [1]], "[a, [1]]"),
        ([1] * 14, f"[{'1, ' * 12}and 2 more]"),
        (b"x" * 100, "x" * 30 + "\N{HORIZONTAL ELLIPSIS}" + "x" * 29),
        (b"a" * 1000 + b"z" * 1000, "a" * 30 + "\N{HORIZONTAL ELLIPSIS}" + "z" * 29),
    ],
)
def test_values_are_short_texts(value, words):
    assert in_words(value) == words

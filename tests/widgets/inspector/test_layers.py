"""What rows carry of packets: words, parts, arguments, and all of it bounded."""

from __future__ import annotations

import json

import pytest

from tests.widgets.inspector.tapes import rows_of
from tests.wire.layers.talk import OPEN, PLACE, SID, answer, get, post, say, stock, tell, websocket
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.words import words
from wslab.wire.tape.tape import Tape


def told(*messages: str | bytes) -> list[dict]:
    """Return the layers of a client's frames."""
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    tell(track, OPEN % SID)
    say(track, "40", *messages)
    return [row["layers"] for row in rows_of(tape) if row["what"] == "frame"][2:]


def test_an_event_with_its_parts_and_arguments():
    [layers] = told('42/,7["chat","hi",{"to":[1,null]}]')
    [packet] = layers["packets"]
    assert layers["says"] == "event chat, id 7"
    assert packet == {
        "says": "event chat, id 7", "size": 34, "engine": "message", "type": "EVENT", "nsp": "/",
        "id": 7, "event": "chat", "args": ['"hi"', '{"to":[1,null]}'],
        "parts": [["engine", "4"], ["type", "2"], ["namespace", "/,"], ["id", "7"],
                  ["data", '["chat","hi",{"to":[1,null]}]']],
    }  # fmt: skip


def test_attachments_stand_in_their_places_and_lead_to_their_event():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    say(track, "40", f'452-["files",{PLACE % 1},[{PLACE % 0}]]', b"one", b"two")
    *_, event, first, second = rows_of(tape)
    assert event["layers"]["packets"][0]["args"] == ["<attachment 2>", "[<attachment 1>]"]
    assert event["layers"]["packets"][0]["missing"] == 2
    assert "event" not in event["layers"]
    for nth, row in enumerate((first, second), 1):
        assert row["layers"]["event"] == event["id"]
        packet = row["layers"]["packets"][0]
        assert (packet["nth"], packet["of"], packet["size"]) == (nth, 2, 3)
    assert first["layers"]["says"] == "attachment 1 of 2, event files"


def test_acks_and_what_else_brings_data():
    [ack, answer_] = told('430["ok",2]', "430[]")
    assert ack["packets"][0]["args"] == ['"ok"', "2"]
    assert answer_["packets"][0]["args"] == []
    [connect] = told('40/x,{"name":"a"}')
    assert connect["packets"][0]["args"] == ['{"name":"a"}']
    assert connect["packets"][0]["nsp"] == "/x"


def test_a_row_stays_small_whatever_comes():
    many = json.dumps(["a" * 200, *[[["x" * 2_000]] for _ in range(20)]])
    deep = '["a",' + "[" * 900 + "]" * 900 + "]"
    for text in ("42" + many, "42" + deep, "42/" + "n" * 5_000 + ',["a"]', "4" + "y" * 70_000):
        [layers] = told(text)
        assert len(json.dumps(layers)) < 9_000
    [layers] = told("42" + many)
    assert len(layers["packets"][0]["args"]) == 12
    assert layers["packets"][0]["unshown"] == 8
    tape = Tape()
    track = tape.open("a1")
    post(track, "\x1e".join(['42["a"]'] * 3_000))
    [_, body, *_] = rows_of(tape)
    assert len(body["layers"]["packets"]) == 20
    assert body["layers"]["more"] == 2_980
    assert body["layers"]["says"].startswith("3,000 packets: event a, event a, event a, …")


def test_what_is_too_long_to_be_read_is_told():
    tape = Tape()
    post(tape.open("a1"), "4" + "x" * 300_000)
    body = [row for row in rows_of(tape) if "more" in row.get("layers", ())]
    assert [row["layers"]["says"] for row in body] == ["packets too long to be read here"]


def test_rules_that_are_broken_are_faults_of_their_rows():
    tape = Tape()
    first, second = tape.open("a1"), tape.open("a2")
    get(first)
    get(second)
    answer(first, '2\x1e42["connect"]\x1e5')
    rows = rows_of(tape)
    assert [[fault[:2] for fault in row["faults"]] for row in rows if "faults" in row] == [
        [["poll-overlap", "Engine.IO 4"]],
        [["reserved-event", "Socket.IO 5"], ["wrong-side", "Engine.IO 4"]],
    ]
    for row in rows:
        for rule, _, text in row.get("faults", ()):
            assert rule in words(row)
            assert text.startswith("Expected ")
            assert "; came " in text


def test_a_rule_of_a_frame_is_named_once_in_words():
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="")
    say(track, "40", '42["connect"]')
    row = rows_of(tape)[-1]
    assert words(row) == 'text "42["connect"]", 19 B, breaks reserved-event'


@pytest.mark.parametrize("message", ["hello", '{"event":"chat"}', b"\x00", "0", '42["a"]'])
def test_other_connections_have_none(message):
    tape = Tape()
    track = tape.open("a1")
    websocket(track, sid="", path="/chat?transport=")
    say(track, message)
    tell(track, message)
    assert not any("layers" in row or "faults" in row for row in rows_of(tape))


def test_words_and_the_picture_say_it():
    feed = Feed([stock()])
    feed.catch_up()
    while feed.poll():
        pass
    rows = [row.json for row in feed.rows]
    lanes = feed.timeline.lanes.by_number
    text = static_html.text("chat", lanes, rows, feed.numbers())
    for line in (
        "asks for a session", "200 OK, open", "asks to take over the session",
        'text "421["chat","hi",{"to":"lobby"}]", 37 B, event chat, id 1',
        "attachment 1 of 1, event picture",
    ):  # fmt: skip
        assert line in text
    assert SID not in text
    assert "event chat, id 1" in static_html.svg("chat", lanes, rows, feed.numbers())

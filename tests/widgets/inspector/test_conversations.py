"""One session is one lane, over however many connections it goes."""

from __future__ import annotations

import pytest

from tests.widgets.inspector.tapes import rows_of
from tests.wire.layers.talk import OPEN, SID, answer, get, post, say, stock, tell, websocket
from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.lanes import FORGET_AT
from wslab.wire.tape.tape import Tape


def test_polls_upgrade_and_websocket_share_a_lane():
    rows = rows_of(stock())
    assert len({row["lane"] for row in rows}) == 1
    assert {row["layers"]["session"] for row in rows if "layers" in row} == {1}
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)


@pytest.mark.parametrize("form", ["har", "pcapng"])
def test_a_file_says_as_much(form, tmp_path):
    def said(tape):
        return [row["layers"]["says"] for row in rows_of(tape) if "layers" in row]

    tape = stock()
    path = tmp_path / f"x.{form}"
    getattr(tape, f"to_{form}")(path)
    again = Tape.load(path)
    assert said(again) == said(tape)
    assert len({row["lane"] for row in rows_of(again)}) == 1


def test_each_session_behind_one_proxy_has_its_own():
    tape = Tape()
    track = tape.open("a1", client_address="127.0.0.1:1", server_address="127.0.0.1:2")
    for sid in (SID, SID[::-1]):
        get(track, sid="")
        answer(track, OPEN % sid)
    for sid in (SID, SID[::-1]):
        get(track, sid)
        answer(track, "2")
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    rows = [row.json for row in feed.rows]
    by_session: dict[int, set[int]] = {}
    for row in rows:
        if "layers" in row:
            by_session.setdefault(row["layers"]["session"], set()).add(row["lane"])
    (first,), (second,) = by_session.values()
    assert first != second
    lanes = feed.timeline.lanes.by_number
    assert lanes[first]["server"] == lanes[second]["server"]
    assert (lanes[first]["name"], lanes[second]["name"]) == ("id a1", "id a1 (2)")


def test_what_is_no_session_keeps_its_lane():
    tape = Tape()
    polls, other = tape.open("a1"), tape.open("a2")
    get(polls, sid="")
    answer(polls, OPEN % SID)
    get(other)
    answer(other, "2")
    other.client(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
    answer(other, "hello")
    lanes = [row["lane"] for row in rows_of(tape)]
    assert lanes[:4] == [lanes[0]] * 4
    assert lanes[4] == lanes[5] != lanes[0]


def test_the_same_id_on_two_tapes_is_two_sessions():
    tapes = []
    for _ in range(2):
        tape = Tape()
        track = tape.open("a1")
        get(track)
        answer(track, "2")
        tapes.append(tape)
    rows = rows_of(*tapes)
    assert len({row["lane"] for row in rows}) == 2


def test_a_connection_that_ends_does_not_end_the_lane():
    tape = Tape()
    polls, socket = tape.open("a1"), tape.open("a2")
    get(polls, sid="")
    answer(polls, OPEN % SID)
    get(polls)
    polls.end()
    websocket(socket)
    say(socket, "2probe", "5")
    tell(socket, "2")
    socket.end()
    ends = [row for row in rows_of(tape) if row["what"] == "ended"]
    assert [row.get("goes_on", False) for row in ends] == [True, False]
    assert len({row["lane"] for row in rows_of(tape)}) == 1


def test_sessions_are_forgotten_with_what_the_tape_forgets():
    tape = Tape(max_bytes=2**20)
    feed = Feed([tape], max_rows=100)
    feed.catch_up()
    timeline = feed.timeline
    for number in range(2 * FORGET_AT):
        track = tape.open(f"c{number}", client_address=f"1:{number}", server_address="2:2")
        post(track, "40", f"{SID}{number}")
        answer(track, "ok")
        track.end()
        if number % 500 == 0:
            feed.poll()
    while feed.poll():
        pass
    conversations = timeline._conversations
    assert len(conversations._known) <= FORGET_AT
    assert len(timeline.lanes.by_number) < 2 * FORGET_AT
    assert not conversations._readers[0]._connections


def test_a_connection_of_another_tape_with_the_same_id_stays():
    tapes = [Tape(max_bytes=2**20), Tape()]
    feed = Feed(tapes)
    feed.catch_up()
    for tape in tapes:
        target = f"/?EIO=4&transport=polling&sid={SID}"
        tape.open("a1").client(f"POST {target} HTTP/1.1\r\nContent-Length: 2\r\n\r\n4".encode())
    feed.poll()
    conversations = feed.timeline._conversations
    lanes = feed.timeline.lanes
    del lanes.connections[0, "a1"]  # the first tape has forgotten it
    conversations.forget()
    assert [list(reader._connections) for reader in conversations._readers.values()] == [
        [], ["a1"],
    ]  # fmt: skip


def test_a_lane_that_was_forgotten_is_no_trouble_to_a_session_that_goes_on():
    tape = Tape(max_bytes=2**20)
    feed = Feed([tape], max_rows=10)
    feed.catch_up()
    first, socket = tape.open("a1"), tape.open("a2")
    get(first, sid="")
    answer(first, OPEN % SID)
    first.end()
    feed.poll()
    feed.timeline.lanes._forget_at = 0
    websocket(socket)
    for _ in range(20):
        tell(socket, "2")
        say(socket, "3")
    feed.poll()
    feed.timeline.lanes._forget_at = 0
    say(socket, "41")
    socket.end()
    feed.poll()
    assert feed.rows[-1].json["what"] == "ended"
    assert len({row.json["lane"] for row in feed.rows}) == 1

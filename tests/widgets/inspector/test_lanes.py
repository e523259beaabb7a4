"""Lanes: who is there, under which name, and that nothing of who has gone is kept."""

from __future__ import annotations

import pytest

from tests.widgets.inspector.tapes import (
    HELLO,
    SERVER,
    opened,
    rows_of,
)
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.lanes import FORGET_AT, Lanes
from wslab.wire.tape.tape import Tape


def test_one_connection_on_two_tapes_is_drawn_once_under_the_clients_name():
    served, dialled = Tape(name="echo"), Tape(name="alice")
    on_client = opened(dialled, "c1", side="client")
    on_server = opened(served, label=None)
    for track in (on_client, on_server):
        track.client(HELLO)
    feed = Feed([served, dialled], [SERVER])
    feed.catch_up()
    rows = feed.poll()
    assert [row.json["what"] for row in rows] == ["request", "response", "frame"]
    lane = feed.timeline.lanes.by_number[rows[-1].json["lane"]]
    assert lane["name"] == "alice"
    assert feed.timeline.lanes.by_number[lane["server"]]["name"] == "echo"


def test_a_client_alone_is_drawn_from_its_own_record():
    tape = Tape(name="alice")
    opened(tape, side="client").client(HELLO)
    assert [row["what"] for row in rows_of(tape)] == ["request", "response", "frame"]


def test_names_in_use_get_a_number_and_are_free_again_after_the_end():
    tape = Tape()
    first = opened(tape, "c1")
    opened(tape, "c2", client_address="127.0.0.1:2")
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    names = [
        lane["name"] for lane in feed.timeline.lanes.by_number.values() if lane["side"] == "client"
    ]
    assert names == ["alice", "alice (2)"]
    first.end()
    feed.poll()
    opened(tape, "c3", client_address="127.0.0.1:3")
    feed.poll()
    assert list(feed.timeline.lanes.by_number.values())[-1]["name"] == "alice"


@pytest.mark.parametrize("side", ["server", "client"])
def test_connections_that_come_and_go_leave_no_lanes_behind(side):
    # Each left a dict, two names and an address for as long as somebody looked.
    tape = Tape(max_bytes=65_536)
    feed = Feed([tape], max_rows=100)
    feed.catch_up()
    most = 0
    for number in range(15_000):
        ends = {"client_address": f"127.0.0.1:{number}"}
        if side == "client":
            ends["server_address"] = f"10.0.0.{number % 500}:{number}"
        track = tape.open(f"{number:06x}", side=side, label=f"n{number}", **ends)
        track.client(b"GET / HTTP/1.1\r\n\r\n")
        track.end()
        if number % 20 == 0:
            for row in feed.poll():
                if "lane" in row.json:
                    lane = feed.timeline.lanes.by_number[row.json["lane"]]
                    assert feed.timeline.lanes.by_number[lane["server"]]["side"] == "server"
            lanes = feed.timeline.lanes
            kept = (lanes.by_number, lanes.connections, lanes._names, lanes._new,
                    lanes._server_lanes, lanes._taken, feed.timeline._connections)  # fmt: skip
            most = max(most, *map(len, kept))
    assert most <= 2 * FORGET_AT
    assert set(feed.lanes_of_rows()) <= set(feed.timeline.lanes.by_number)
    static_html.text(
        "t", feed.timeline.lanes.by_number, [row.json for row in feed.rows], feed.numbers()
    )


def test_lanes_of_rows_that_wait_to_be_shown_are_kept(monkeypatch):
    monkeypatch.setattr("wslab.widgets.inspector.lanes.FORGET_AT", 0)
    tape = Tape(max_bytes=65_536)
    opened(tape, "first").end()
    feed = Feed([tape], max_rows=50)
    feed.catch_up()
    waiting = list(feed.timeline.rows(0, tape.events))
    for number in range(2_000):
        opened(tape, f"{number:06x}", client_address=f"127.0.0.1:{number}").end()
        if number % 20 == 0:
            feed.poll(waiting)
    assert "first" not in {track.connection_id for track in tape.connections}
    assert {row.json["lane"] for row in waiting} <= set(feed.timeline.lanes.by_number)
    feed.timeline.lanes._forget_at = 0
    feed.poll()
    assert not {row.json["lane"] for row in waiting} <= set(feed.timeline.lanes.by_number)


def test_a_name_that_comes_late_replaces_the_id():
    tape = Tape()
    track = opened(tape, label=None)
    lanes = Lanes()
    lanes.meet(0, tape)
    assert list(lanes.by_number.values())[-1]["name"] == "id 7f3a21"
    track.label = "bob"
    lanes.take_new()
    lanes.meet(0, tape)
    assert [lane["name"] for lane in lanes.take_new().values()] == ["bob"]

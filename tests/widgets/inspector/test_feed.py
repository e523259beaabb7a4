"""Feed: a burst is drawn, a flood counted, and old rows give way."""

from __future__ import annotations

import time

from tests.widgets.inspector.tapes import (
    HELLO,
    frames,
    opened,
    rows_of,
)
from wslab.widgets.inspector import feed as feeds
from wslab.widgets.inspector.feed import Feed
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape


def test_a_burst_is_drawn_in_full_and_a_flood_is_counted_in_full(monkeypatch):
    now = [time.monotonic()]  # the tape goes by the real clock
    monkeypatch.setattr(feeds.time, "monotonic", lambda: now[0])
    tape = Tape()
    track = opened(tape)
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    for _ in range(600):
        track.client(HELLO)
    drawn = 0
    for _ in range(6):
        now[0] += 0.1
        drawn += len(frames([row.json for row in feed.poll()]))
    assert drawn == 600
    for _ in range(50):
        for _ in range(1_000):
            track.client(HELLO)
        now[0] += 0.1
        feed.poll()
    numbers = feed.numbers()
    assert numbers["client"]["frames"] == 50_600
    assert numbers["client"]["size"] == 50_600 * len(HELLO)
    assert numbers["header"] == 50_600 * 6
    assert numbers["about"] is True
    assert feed.drawn + numbers["passed"] + feed._readers[0].waiting == 50_600
    assert 600 <= feed.drawn - 600 <= 1_200  # 120 a second, and what was saved up
    assert sum(row.json["what"] == "passed" for row in feed.rows) >= 40
    assert len(feed.rows) <= 2_000


def test_each_sides_headers_are_estimated_from_its_own_frames():
    tape = Tape()
    track = opened(tape)
    for _ in range(3_000):
        track.client(HELLO)
    for _ in range(3_000):
        track.server(encode_frame(Opcode.TEXT, b"Hello"))
    track.client(HELLO)
    feed = Feed([tape])
    feed.catch_up()
    while feed.poll():
        pass
    numbers = feed.numbers()
    assert numbers["client"]["frames"] + numbers["server"]["frames"] == 6_001
    assert numbers["header"] == 3_001 * 6 + 3_000 * 2


def test_old_rows_give_way():
    tape = Tape()
    track = opened(tape)
    for _ in range(500):
        track.client(HELLO)
    rows = rows_of(tape, max_rows=100)
    assert len(rows) == 100
    assert rows[-1]["n"] == 500

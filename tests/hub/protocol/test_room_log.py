"""The latest events of a room."""

from __future__ import annotations

from tests.hub.protocol.rig import past
from wslab.hub.protocol.room_log import PROGRAM, RoomLog


def test_past_gives_fresh_data():
    kept = past(3, {"list": [1], "bytes": b"\0"})
    kept.data["list"].append(2)
    assert kept.data == {"list": [1], "bytes": b"\0"}
    assert repr(kept) == "<Past 3: 'e' {'list': [1], 'bytes': b'\\x00'}>"


def test_it_keeps_the_latest():
    log = RoomLog("red", PROGRAM, 2, 10_000)
    for offset in range(1, 5):
        assert log.append(past(offset)) == 0
    assert [each.offset for each in log] == [3, 4]
    assert [each.offset for each in log.after(3)] == [4]
    assert [each.offset for each in log.after(0, 3)] == [3]
    assert (len(log), log.dropped_to) == (2, 2)
    assert log.size_bytes == sum(each.size_bytes for each in log)
    assert log.clear() == 2
    assert (len(log), log.size_bytes, log.dropped_to) == (0, 0, 4)
    assert log.clear() == 0


def test_it_is_bounded_in_bytes():
    log = RoomLog("red", PROGRAM, 100, 2_000)
    assert [log.append(past(offset, "x" * 500)) for offset in range(1, 5)] == [0, 0, 1, 1]
    assert log.append(past(5, "x" * 5_000)) == 3
    assert (len(log), log.size_bytes, log.dropped_to) == (0, 0, 5)


def test_it_leaves_the_registry_when_nothing_is_kept_and_nobody_may_ask():
    registry = {}
    log = registry["red"] = RoomLog("red", PROGRAM, 2, 10_000, registry)
    log.append(past(1))
    log.inside = 1
    log.clear()
    assert registry == {"red": log}
    log.inside, log.left = 0, 1
    log.release()
    assert registry == {"red": log}
    log.left = 0
    log.release()
    assert registry == {}

"""Where a session is and was, and what it heard there."""

from __future__ import annotations

from tests.hub.protocol.rig import keep, missed, opened
from wslab.hub.protocol.history import History
from wslab.hub.protocol.room_log import Begin
from wslab.hub.protocol.stays import STAY_BYTES, Stays, StaysState


def test_from_where_to_where_it_was_in_a_room():
    sessions, history = opened(9, 60.0)
    keep(history, "red")  # before it came
    session = sessions.open("t", 0.0)
    assert missed(session, 0) == []
    keep(history, "red")
    session.join("red")
    keep(history, "red")
    session.join("red")  # again: nothing new
    keep(history, "red")
    session.leave("red")
    session.leave("red")
    keep(history, "red")
    session.join("red")
    session.leave("red")  # nothing was said between
    keep(history, "red")
    session.join("red")
    keep(history, "red", "blue", None)  # once
    assert missed(session, 0) == [3, 4, 7]
    assert missed(session, 3) == [4, 7]
    assert missed(session, 7) == []


def test_rooms_left_long_ago_are_forgotten_in_order():
    sessions, history = opened(1, 60.0)
    session = sessions.open("t", 0.0)
    for nth in range(6):
        session.join(f"room {nth}")
        keep(history, f"room {nth}")
        session.leave(f"room {nth}")
    assert missed(session, 0) is None
    assert missed(session, 1) is None
    assert missed(session, 2) == [3, 4, 5, 6]


def test_what_is_remembered_and_what_it_takes():
    history = History(5)
    log, stays = history.log("red"), Stays()
    stays.join(log, 3)
    stays.join(log, 4)  # again: nothing new
    assert set(stays.rooms) == {"red"}
    assert list(stays.intervals()) == [(log, 3, None)]
    assert (stays.inside_since("red"), stays.inside_since("blue")) == (3, None)
    assert stays.leave("red", 5)
    assert not stays.leave("red", 6)
    stays.join(log, 7)
    assert stays.leave("red", 7)  # nothing was said between
    assert list(stays.intervals()) == [(log, 3, 5)]
    assert (log.inside, log.left) == (0, 1)
    assert stays.size_bytes == STAY_BYTES + len("red")
    stays.join(log, 8)
    stays.forget(9)
    assert (log.inside, log.left, stays.size_bytes) == (0, 0, 0)
    assert history.log("red") is not log  # nobody needed it any more


def test_as_data_and_put_back_in_another_history():
    sessions, history = opened(9, 60.0)
    session = sessions.open("t", 0.0)
    for room in ("red", "blue", "red"):
        session.join(room)
        keep(history, room)
        session.leave(room)
    session.join("red")
    state = session._stays.snapshot()
    assert state == ({"red": 3}, [("red", 0, 1), ("blue", 1, 2), ("red", 2, 3)], 0)
    other, stays = History(9), Stays()
    stays.restore(state, other.log)
    assert stays.snapshot() == state
    assert (other.log("red").inside, other.log("red").left) == (1, 2)
    assert stays.has_joined_elsewhere("red")
    assert not stays.has_joined_elsewhere("blue")
    assert not session.has_joined_elsewhere("red")
    stays.forget(9)
    assert not other._rooms


def test_a_stay_that_began_elsewhere_does_not_count_from_when_the_room_is_followed_here():
    here, there = History(9), Stays()
    here.begin("red", Begin(0, 7))  # a process that is new, and has asked how far all is
    there.join(here.log("red"), 0)
    assert there.snapshot().here == {"red": 7}
    assert there.inside_since("red") == 7
    moved = Stays()
    moved.restore(StaysState({"red": 2}, [("red", 0, 1)], 0), here.log)
    assert moved.snapshot() == ({"red": 2}, [("red", 0, 1)], 0)
    assert moved.inside_since("red") == 2
    assert [each[1:] for each in moved.intervals()] == [(2, None), (0, 1)]

"""What a hub keeps of what was emitted, and who gives way when that is too much."""

from __future__ import annotations

import sys

from tests.hub.protocol.rig import keep, missed, opened, past
from wslab.hub import Limits
from wslab.hub.protocol.history import History
from wslab.hub.protocol.room_log import Past


def test_a_log_keeps_the_latest():
    history = History(2)
    for _ in range(3):
        keep(history, "red")
    keep(history, "red", "blue", None)
    assert [past.offset for past in history.of("red")] == [3, 4]
    assert [past.offset for past in history.of("blue")] == [4]
    assert [past.offset for past in history.of(None)] == [4]
    assert history.of("nobody") == []
    assert history.offset == 4


def test_logs_of_rooms_are_forgotten_the_longest_silent_first():
    sessions, history = opened(5, 60.0, Limits(history_rooms=2))
    session, quiet = sessions.open("t", 0.0), sessions.open("quiet", 0.0)
    keep(history, "red")
    keep(history, "blue")
    keep(history, "red")
    keep(history, "green")
    assert (len(history.of("red")), history.of("blue")) == (1 + 1, [])
    assert history.limited == {"history_rooms": 1}
    session.join("red")
    quiet.join("silent")
    for nth in range(9):
        keep(history, None, f"room {nth}")
    assert len(history._spoken) == 2  # and everybody's
    # What nobody is in went before it; and what was silent is known to have been.
    assert len(history.of("red")) == 2
    assert missed(session, 8) == missed(quiet, 8) == [9, 10, 11, 12, 13]
    assert set(history._rooms) == {"red", "silent", "room 8"}


def test_how_far_a_room_was_forgotten_is_known_as_long_as_somebody_may_ask():
    sessions, history = opened(5, 60.0, Limits(history_rooms=2))
    session = sessions.open("t", 0.0)
    for nth in range(4):
        session.join(f"room {nth}")
        keep(history, f"room {nth}", owner=("", str(nth)))
    assert len(history._spoken) == 2
    assert missed(session, 0) is None
    assert missed(session, 2) == [3, 4]
    for nth in range(4):
        session.leave(f"room {nth}")
    assert missed(session, 0) is None
    assert len(history._rooms) == 4
    sessions.end(session)
    assert len(history._rooms) == 2


# Who gives way.


def _say(history, room, size, owner, times=1):
    for _ in range(times):
        past = Past(history.offset + 1, 0.5, "e", "x" * size, size, frozenset(), str)
        history.keep(past, [room], owner=owner)


def test_who_names_rooms_pushes_out_only_its_own():
    limits = Limits(history_bytes=200_000, history_bytes_per_room=50_000, history_rooms=60)
    sessions, history = opened(100, 60.0, limits)
    lobby = sessions.open("ana", 0.0)
    lobby.join("lobby")
    _say(history, "lobby", 200, ("1.1.1.1", "ana"), 20)
    _say(history, "empty", 200, ("1.1.1.1", "ana"), 20)
    for nth in range(1000):
        _say(history, f"room {nth}", 100, ("6.6.6.6", f"junk {nth}"))
    for nth in range(200):
        _say(history, f"big {nth}", 30_000, ("6.6.6.6", "junk"))
    _say(history, "huge", 60_000, ("6.6.6.6", "junk"))
    assert len(history.of("lobby")) == len(history.of("empty")) == 20
    assert history.size_bytes <= limits.history_bytes
    assert history.of("huge") == []
    for name in ("history_bytes", "history_rooms", "history_bytes_per_room"):
        assert history.limited[name] > 0


def test_of_one_address_the_client_that_holds_most_gives_way():
    # Behind a proxy all have one address.
    limits = Limits(history_bytes=200_000, history_bytes_per_room=50_000, history_rooms=60)
    sessions, history = opened(100, 60.0, limits)
    ana, junk = sessions.open("ana", 0.0), sessions.open("junk", 0.0)
    ana.join("lobby")
    _say(history, "lobby", 200, ("", "ana"), 20)
    for nth in range(50):
        junk.join(f"room {nth}")
        _say(history, f"room {nth}", 20_000, ("", "junk"))
    for nth in range(1000):  # of as many clients, that nobody is in
        _say(history, f"empty {nth}", 100, ("", f"junk {nth}"))
    assert len(history.of("lobby")) == 20
    assert history.size_bytes <= limits.history_bytes
    assert len(history._spoken) <= limits.history_rooms
    # The junk's own room that the fewest are in and that was silent longest goes first.
    assert history.of("room 0") == []
    assert missed(junk, 0) is None


def test_those_that_events_leave_out_count_among_their_bytes():
    # 5,000 events that left out 10,000 sessions each took 2.5 GB, and counted 2 MB.
    limits = Limits(history_bytes=200_000, history_bytes_per_room=100_000)
    history = History(100, limits)
    skip = frozenset(f"token-{number:016}" for number in range(1_000))
    for offset in range(1, 20):
        history.keep(Past(offset, 0.0, "e", "x", 1, skip, str), ["room", None])
        kept = [past for room in ("room", None) for past in history.of(room)]
        assert sum(sys.getsizeof(past.skip) for past in kept) <= history.size_bytes <= 200_000
    assert history.limited["history_bytes_per_room"] > 0


def test_what_was_said_elsewhere_is_kept_in_order_and_bounded_as_all_else():
    sessions, history = opened(3, 60.0, Limits(history_bytes_per_room=3000))
    session = sessions.open("t", 0.0)
    history.offset = 9
    keep(history, own=[session])
    session.fetch([past(each) for each in (4, 6, 9)], 2, 9, is_whole=True)
    assert [each.offset for each in session.own] == [4, 6, 9, 10]
    assert history.size_bytes == session.own.size_bytes
    for _ in range(2):
        keep(history, own=[session])
    assert missed(session, 4) == [6, 9, 10, 11, 12]  # more than it keeps of what is said here
    history.forget(session.own)
    history.keep_own(session.own, ())
    assert not session.own
    large = sessions.open("u", 0.0)
    large.fetch([past(each, "x" * 1000) for each in (13, 14, 15)], 12, 15, is_whole=True)
    assert len(large.own) == 2
    assert large.own.size_bytes <= 3000
    assert history.limited == {"history_bytes_per_room": 1}
    assert missed(large, 12) is None  # and its client is told so
    sessions.end(large)
    sessions.end(session)
    assert history.size_bytes == 0

"""What a hub does with a packet, and what it sends to a client that comes back."""

from __future__ import annotations

import pytest

from tests.hub.protocol.rig import keep, missed, opened
from wslab.hub.protocol.packets import Packet
from wslab.hub.protocol.server_session import (
    ACKNOWLEDGE_EVERY,
    AlreadyReceived,
    Deliver,
    OutOfOrder,
    RepeatAnswer,
    Resumption,
    ServerSession,
)


def begun(**options):
    sessions, history = opened(**options)
    session = sessions.open("t", 0.0)
    session.resume(None)
    return sessions, history, session


# What comes.


def test_each_number_is_delivered_once_and_in_order():
    _, _, session = begun()
    assert session.receive(Packet("e", n=1)) == Deliver(False)
    assert session.receive(Packet("e", n=3)) == OutOfOrder(2, 3)
    assert session.receive(Packet("e", n=2)) == Deliver(False)
    assert session.receive(Packet("e", n=1)) == AlreadyReceived()
    assert session.receive(Packet("e")) == Deliver(False)  # without a number: no session's
    assert session.received == 2
    assert OutOfOrder(2, 3).reason == 'expected "n" to be 2, the next of this session, got 3'


def test_an_acknowledgement_is_due_at_the_latest_after_so_many():
    _, _, session = begun()
    due = [
        n
        for n in range(1, 2 * ACKNOWLEDGE_EVERY + 1)
        if session.receive(Packet("e", n=n)).acknowledge_now
    ]
    assert due == [ACKNOWLEDGE_EVERY, 2 * ACKNOWLEDGE_EVERY]


def test_a_call_that_comes_again_gets_its_answer_again():
    sessions, _, session = begun()
    call = Packet("e", n=1, id=7)
    assert not session.awaits_answer(call)  # it has not been taken up
    session.receive(call)
    assert session.awaits_answer(call)
    assert session.receive(call) == RepeatAnswer(None)
    sessions.keep_answer(session, "answer", 6)
    assert not session.awaits_answer(call)
    assert session.receive(call) == RepeatAnswer("answer")
    session.receive(Packet("e", n=2, id=8))
    sessions.end(session)
    assert not session.awaits_answer(Packet("e", n=2, id=8))


def test_what_was_received_and_what_was_handled():
    sessions, _, session = begun()
    first, second = Packet("e", n=1), Packet("e", n=2, id=7)
    session.receive(first)
    assert (session.received, session.handled) == (1, 0)
    session.has_handled(Packet("e"))
    session.has_handled(first)
    session.receive(second)
    assert session.snapshot().received == 1
    sessions.keep_answer(session, "answer", 6)  # an answer is the last that a handler does
    assert session.handled == 2
    session.has_handled(first)
    assert session.snapshot().received == 2


def test_a_client_knows_better_than_a_process_that_took_over_from_a_dead_one_what_has_come():
    _, history, session = begun()
    session.receive(Packet("e", n=1))
    session.has_handled(Packet("e", n=1))
    state = session.snapshot()
    moved = ServerSession.restored("t", history, state, {}, 0.0, may_be_behind=True)
    assert moved.receive(Packet("e", n=4, id=1)) == Deliver(True, 2)
    assert moved.receive(Packet("e", n=4)) == AlreadyReceived()
    assert moved.receive(Packet("e", n=6)) == Deliver(True, 1)  # between them, calls were open
    moved = ServerSession.restored("t", history, state, {}, 0.0)
    assert moved.receive(Packet("e", n=4)) == OutOfOrder(2, 4)


# Coming back.


def test_a_first_connection_is_told_where_it_begins():
    sessions, history = opened()
    keep(history, None)
    assert sessions.open("t", 0.0).resume(None) == Resumption(False, 1, 0)
    assert sessions.open("u", 0.0).resume(5) == Resumption(False, 1, 0, "session unknown")


@pytest.mark.parametrize("offset", [None, 0, 1, 2])
def test_who_comes_back_is_sent_what_it_missed(offset):
    _, history, session = begun()
    session.receive(Packet("e", n=1))
    keep(history, None)
    keep(history, None)
    told = session.resume(offset)
    assert (told.is_resumed, told.offset, told.received) == (True, offset or 0, 1)
    assert (told.gap, told.dropped) == (None, 0)
    assert [past.offset for past in told.missed] == [1, 2][offset or 0 :]


@pytest.mark.parametrize("offset", [0, 4])
def test_what_is_no_longer_kept_or_of_another_life_of_the_hub_is_a_gap(offset):
    _, history, session = begun(limit=2)
    for _ in range(3):
        keep(history, None)
    assert session.resume(offset) == Resumption(True, 3, 0, "too old")


@pytest.mark.parametrize("seen", [2000, 2003, 2998])
def test_what_is_in_doubt_is_told_until_the_client_has_read_it(seen):
    _, history, session = begun(step=1000)
    keep(history, None)
    keep(history, None)
    session.doubt()
    for _ in range(2):  # the first welcome may not have arrived
        told = session.resume(seen)
        assert (told.gap, told.missed) == ("too old", [])
        assert seen < told.offset < 3000
    keep(history, None)
    told = session.resume(told.offset)
    assert told.gap is None
    assert [past.offset for past in told.missed] == [3000]


def test_a_doubt_for_which_there_is_no_offset_more_stays():
    _, history, session = begun(step=1000)
    keep(history, None)
    session.doubt()
    assert [session.resume(1999).gap for _ in range(2)] == ["too old", "too old"]


def test_what_its_backlog_has_lost_is_told_once():
    _, history, session = begun()
    for _ in range(4):
        keep(history, None)
    session.lose([2, 3])
    told = session.resume(2)
    assert (told.dropped, told.dropped_offset) == (1, 5)  # the other one comes again
    assert session.resume(2).dropped == 1  # it has not seen it told
    session.lose([3])
    assert session.tell_dropped() == 7
    assert session.resume(6).dropped == 1
    assert session.resume(8).dropped == 0


def test_who_has_not_read_the_welcome_of_a_new_session_is_told_again_that_it_is_new():
    # It came from another life of the hub, and its numbers and offsets are of that one.
    sessions, history = opened()
    session = sessions.open("t", 0.0)
    assert session.resume(3) == Resumption(False, 0, 0, "session unknown")
    keep(history, None)
    assert session.resume(3) == Resumption(False, 1, 0, "session unknown")
    for _ in range(3):
        keep(history, None)
    told = session.resume(3)
    assert (told.is_resumed, told.offset, told.gap) == (False, 3, "session unknown")
    assert [past.offset for past in told.missed] == [4]
    assert session.resume(4).is_resumed  # it has read that


def test_who_has_said_something_has_read_the_welcome():
    sessions, _ = opened()
    session = sessions.open("t", 0.0)
    session.resume(3)
    session.receive(Packet("e", n=1))
    assert session.resume(3).is_resumed


def test_what_was_missed_and_what_is_too_old():
    sessions, history = opened(2, 60.0)
    session = sessions.open("t", 0.0)
    session.join("red")
    for _ in range(3):
        keep(history, "red")  # 1 is no longer kept
    assert missed(session, 0) is None
    assert missed(session, 1) == [2, 3]
    assert missed(session, 2) == [3]
    assert missed(session, 3) == []
    for _ in range(3):
        keep(history, "blue")  # 4 is not, but it was not there
    assert missed(session, 1) == [2, 3]
    keep(history, None)
    assert missed(session, 2) == [3, 7]


def test_its_own_events_and_those_that_it_was_left_out_of():
    sessions, history = opened(2, 60.0)
    one, other = sessions.open("one", 0.0), sessions.open("other", 0.0)
    keep(history, own=[one])
    keep(history, None, skip=["one"])
    keep(history, None, own=[one], skip=["one"])
    keep(history, own=[one, other])
    assert missed(one, 0) is None  # its own log has let go of 1
    assert missed(one, 1) == [4]
    assert missed(other, 0) == [2, 3, 4]


def test_it_leaves_a_room_where_that_was_closed():
    sessions, history = opened(9, 60.0)
    session = sessions.open("t", 0.0)
    session.join("red")
    for _ in range(3):
        keep(history, "red")
    assert session.inside_since("red") == 0
    assert session.leave("red", 2)
    assert session.inside_since("red") is None
    assert missed(session, 0) == [1, 2]
    assert not session.leave("red", 1)


def test_one_that_is_gone_is_in_no_room():
    sessions, _, session = begun()
    session.join("red")
    sessions.end(session)
    session.join("blue")
    assert set(session.rooms) == set()
    assert not session.leave("red")

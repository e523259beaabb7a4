"""The history by itself and in a hub: what who comes back gets is exactly what it missed.

Both machines compare with a list of everything and of who was there at that moment.
"""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

import wslab.hub.protocol.history as module
from tests.hub.rig import aio, story_settings
from wslab.hub import Hub, Limits
from wslab.hub.protocol.history import PROGRAM, History, Past
from wslab.hub.protocol.packets import decode, encode_event, take_binary


def _past(offset, data=None, skip=()):
    message = encode_event("e", data, offset=offset)
    return Past(offset, 0.5, "e", message, len(message[0]), frozenset(skip), _read)


def _read(message):
    packet = decode(message[0])
    packet.attachments = message[1]
    return take_binary(packet)


def _kept(history, *rooms, skip=(), own=(), owner=PROGRAM):
    """Keep one more event of these rooms."""
    history.keep(_past(history.offset + 1, skip=skip), list(rooms), list(own), owner)


def _missed(history, session, offset):
    found = history.missed(session, offset)
    return None if found is None else [past.offset for past in found]


# Single cases.


def test_a_log_keeps_the_latest():
    history = History(2, 60.0)
    for _ in range(3):
        _kept(history, "red")
    _kept(history, "red", "blue", None)
    assert [past.offset for past in history.of("red")] == [3, 4]
    assert [past.offset for past in history.of("blue")] == [4]
    assert [past.offset for past in history.of(None)] == [4]
    assert history.of("nobody") == []
    assert history.offset == 4


def test_what_was_missed_and_what_is_too_old():
    history = History(2, 60.0)
    session = history.open("t", 0.0)
    history.join(session, "red")
    for _ in range(3):
        _kept(history, "red")  # 1 is no longer kept
    assert _missed(history, session, 0) is None
    assert _missed(history, session, 1) == [2, 3]
    assert _missed(history, session, 2) == [3]
    assert _missed(history, session, 3) == []
    for _ in range(3):
        _kept(history, "blue")  # 4 is not, but it was not there
    assert _missed(history, session, 1) == [2, 3]
    _kept(history, None)
    assert _missed(history, session, 2) == [3, 7]


def test_from_where_to_where_it_was_in_a_room():
    history = History(9, 60.0)
    _kept(history, "red")  # before it came
    session = history.open("t", 0.0)
    assert _missed(history, session, 0) == []
    _kept(history, "red")
    history.join(session, "red")
    _kept(history, "red")
    history.join(session, "red")  # again: nothing new
    _kept(history, "red")
    session.leave("red", 4)
    session.leave("red", 4)
    _kept(history, "red")
    history.join(session, "red")
    session.leave("red", 5)  # nothing was said between
    _kept(history, "red")
    history.join(session, "red")
    _kept(history, "red", "blue", None)  # once
    assert _missed(history, session, 0) == [3, 4, 7]
    assert _missed(history, session, 3) == [4, 7]
    assert _missed(history, session, 7) == []
    assert {(log.name, *stay) for log, *stay in session.intervals()} == {
        (None, 1, None),
        ("red", 6, None),
        ("red", 2, 4),
    }


def test_its_own_events_and_those_that_it_was_left_out_of():
    history = History(2, 60.0)
    one, other = history.open("one", 0.0), history.open("other", 0.0)
    _kept(history, own=[one])
    _kept(history, None, skip=["one"])
    _kept(history, None, own=[one], skip=["one"])
    _kept(history, own=[one, other])
    assert _missed(history, one, 0) is None  # its own log has let go of 1
    assert _missed(history, one, 1) == [4]
    assert _missed(history, other, 0) == [2, 3, 4]


def test_rooms_left_long_ago_are_forgotten_in_order():
    history = History(1, 60.0)
    session = history.open("t", 0.0)
    for nth in range(6):
        history.join(session, f"room {nth}")
        _kept(history, f"room {nth}")
        session.leave(f"room {nth}", history.offset)
    assert len(session._left) == 4
    assert _missed(history, session, 0) is None
    assert _missed(history, session, 1) is None
    assert _missed(history, session, 2) == [3, 4, 5, 6]


def test_logs_of_rooms_are_forgotten_the_longest_silent_first():
    history = History(5, 60.0, Limits(history_rooms=2))
    session, quiet = history.open("t", 0.0), history.open("quiet", 0.0)
    _kept(history, "red")
    _kept(history, "blue")
    _kept(history, "red")
    _kept(history, "green")
    assert (len(history.of("red")), history.of("blue")) == (1 + 1, [])
    assert history.limited == {"history_rooms": 1}
    history.join(session, "red")
    history.join(quiet, "silent")
    for nth in range(9):
        _kept(history, None, f"room {nth}")
    assert len(history._logs) - 1 == 2  # and everybody's
    # What nobody is in went before it; and what was silent is known to have been.
    assert len(history.of("red")) == 2
    assert _missed(history, session, 8) == _missed(history, quiet, 8) == [9, 10, 11, 12, 13]
    assert set(history._rooms) == {"red", "silent", "room 8"}


def test_how_far_a_room_was_forgotten_is_known_as_long_as_somebody_may_ask():
    history = History(5, 60.0, Limits(history_rooms=2))
    session = history.open("t", 0.0)
    for nth in range(4):
        history.join(session, f"room {nth}")
        _kept(history, f"room {nth}", owner=("", str(nth)))
    assert len(history._logs) == 3
    assert _missed(history, session, 0) is None
    assert _missed(history, session, 2) == [3, 4]
    for nth in range(4):
        session.leave(f"room {nth}", history.offset)
    assert _missed(history, session, 0) is None
    assert len(history._rooms) == 4
    history.end(session)
    del session
    assert len(history._rooms) == 2


def test_sessions_are_forgotten_after_a_while_and_beyond_a_number():
    now = 100.0
    history = History(5, 10.0, Limits(sessions=2))
    here, *gone = (history.open(token, now) for token in ("here", "a", "b", "c"))
    for session in gone:
        history.away(session, now)
        now += 1
    assert list(history.sessions) == ["here", "b", "c"]  # b since 101, c since 102
    assert history.limited == {"sessions": 1}
    now = 110.9
    assert history.continued("b", now) is gone[1]
    history.away(gone[1], now)
    now = 111.9
    assert history.continued("c", now) is gone[2]
    now = 120.9
    assert history.continued("b", now) is None
    assert history.continued("nobody", now) is None
    assert list(history.sessions.values()) == [here, gone[2]]
    history.end(gone[2])
    history.end(gone[2])
    assert not history._away
    assert history.away_bytes == 0
    assert list(history.sessions) == ["here"]


# Who gives way.


def _say(history, room, size, owner, times=1):
    for _ in range(times):
        past = Past(history.offset + 1, 0.5, "e", "x" * size, size, frozenset(), str)
        history.keep(past, [room], [], owner)


def test_who_names_rooms_pushes_out_only_its_own():
    limits = Limits(history_bytes=200_000, history_bytes_per_room=50_000, history_rooms=60)
    history = History(100, 60.0, limits)
    lobby = history.open("ana", 0.0)
    history.join(lobby, "lobby")
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
    history = History(100, 60.0, limits)
    ana, junk = history.open("ana", 0.0), history.open("junk", 0.0)
    history.join(ana, "lobby")
    _say(history, "lobby", 200, ("", "ana"), 20)
    for nth in range(50):
        history.join(junk, f"room {nth}")
        _say(history, f"room {nth}", 20_000, ("", "junk"))
    for nth in range(1000):  # of as many clients, that nobody is in
        _say(history, f"empty {nth}", 100, ("", f"junk {nth}"))
    assert len(history.of("lobby")) == 20
    assert history.size_bytes <= limits.history_bytes
    assert len(history._logs) - 1 <= limits.history_rooms
    # The junk's own room that the fewest are in and that was silent longest goes first.
    assert history.of("room 0") == []
    assert _missed(history, junk, 0) is None


def test_a_flood_of_sessions_pushes_out_only_those_that_stayed_as_short():
    now = 0.0
    history = History(5, 1000.0, Limits(sessions=100))
    real, near = history.open("real", now, "1.1.1.1"), history.open("near", now, "6.6.6.6")
    now = 60.0
    history.away(real, now)
    history.away(near, now)
    for nth in range(500):
        history.away(history.open(f"junk {nth}", now, "6.6.6.6"), now)
        now += 0.1
    assert len(history.sessions) <= 100
    assert history.continued("real", now) is real
    assert history.continued("near", now) is near
    assert history.continued("junk 0", now) is None
    assert history.continued("junk 499", now) is not None
    assert history.limited["sessions"] >= 402


def test_sessions_are_bounded_by_what_they_take():
    history = History(5, 1000.0, Limits(sessions_bytes=1_000_000))
    real = history.open("real", 0.0, "1.1.1.1")
    history.join(real, "lobby")
    history.away(real, 0.0)
    for nth in range(300):
        junk = history.open(f"junk {nth}", 0.0, "6.6.6.6")
        junk.lose(range(1000))
        for room in range(50):
            history.join(junk, f"{nth} {room} {'x' * 200}")
        history.away(junk, 0.0)
        assert history.away_bytes <= 1_000_000
    assert history.sessions["real"] is real
    assert history.away_bytes == sum(each.away_bytes for each in history._away.values())
    assert history.limited["sessions_bytes"] > 100


def test_answers_are_bounded_in_all_and_of_each():
    history = History(5, 60.0, Limits(answers_bytes=200_000, answers_bytes_per_session=50_000))
    ana = history.open("ana", 0.0, "1.1.1.1")
    history.keep_answer(ana, 1, "x" * 20_000, 20_000)
    for nth in range(100):
        junk = history.open(f"junk {nth}", 0.0, "6.6.6.6")
        for n in range(10):
            history.keep_answer(junk, n, "x" * 10_000, 10_000)
        assert junk.answers_bytes <= 50_000
        assert history.answers_bytes <= 200_000
    history.keep_answer(junk, 99, "x" * 60_000, 60_000)
    assert not junk.answers
    assert ana.answer(1) == "x" * 20_000
    assert history.answers_bytes == sum(each.answers_bytes for each in history.sessions.values())
    for session in tuple(history.sessions.values()):
        history.end(session)
        history.keep_answer(session, 100, "nobody can ask for it", 21)
    assert history.answers_bytes == 0
    assert history.limited["answers_bytes"] > 0


def test_what_was_dropped_and_not_told_is_bounded_and_still_counted(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNTOLD", 10)
    session = History(5, 60.0).open("t", 0.0)
    for first in range(1, 100, 3):
        session.lose(range(first, first + 3))
    assert len(session._untold) == 10
    assert session.lost(98) == 98
    assert session.lost(98) == 0
    session.lose(range(20))
    assert session.lost(5) == 0  # these come again, if they are kept, or there is a gap
    session.lose([7])
    assert session.lost(7) == 1


def test_past_gives_fresh_data():
    past = _past(3, {"list": [1], "bytes": b"\0"})
    past.data["list"].append(2)
    assert past.data == {"list": [1], "bytes": b"\0"}
    assert repr(past) == "<Past 3: 'e' {'list': [1], 'bytes': b'\\x00'}>"


@aio
async def test_a_hubs_history():
    hub = Hub(history=3)
    for nth in range(5):
        hub.emit("e", nth, to="red" if nth else None)
    hub.emit("f", b"x", to=["red", "blue"])
    assert [(past.offset, past.event, past.data) for past in hub.history("red")] == [
        (4, "e", 3), (5, "e", 4), (6, "f", b"x"),
    ]  # fmt: skip
    assert [past.offset for past in hub.history("red", 2)] == [5, 6]
    assert hub.history("red", 99) == hub.history("red") == hub.history("red", limit=3)
    assert hub.history("red", 0) == hub.history("red", -1) == hub.history("nobody") == ()
    assert [past.data for past in hub.history()] == [0]
    assert hub.history("blue") == hub.history("red", 1)
    with pytest.raises(RuntimeError, match=r"keeps no history: make it with Hub\(history=100\)"):
        Hub().history()


# The history by itself, in any story.

TOKENS = ("a", "b", "c", "d")
TOKEN = st.sampled_from(TOKENS)
ROOM = st.sampled_from(["red", "blue", "green"])
ROOMS = st.lists(st.none() | ROOM, max_size=3, unique=True)
SIZE = st.sampled_from([0, 0, 0, 300, 1200])
LIMIT, SESSION_S = 3, 10.0
LIMITS = Limits(
    history_rooms=2, history_bytes=8000, history_bytes_per_room=2200, sessions=2,
    sessions_bytes=7000, answers_bytes=5000, answers_bytes_per_session=2500,
)  # fmt: skip
ADDRESS = {"a": "1.1.1.1", "b": "1.1.1.1", "c": "2.2.2.2", "d": "3.3.3.3"}


class Story(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now_s = 1000.0
        self.history = History(LIMIT, SESSION_S, LIMITS)
        self.sessions = {}
        self.heard = {}  # by token: offsets of all that it should have heard
        self.own = {}
        self.stays = {}  # by token: [room, from, to]
        self.left_at_s = {}  # by token, of who is away, in order
        self.stayed_s = {}  # by token
        self.came_s = {}
        self.said = {None: []}  # by room: all offsets

    @rule(token=TOKEN)
    def come(self, token):
        self.expire()
        session = self.history.continued(token, self.now_s, ADDRESS[token])
        assert session is self.sessions.get(token)
        if self.left_at_s.pop(token, None) is not None or session is None:
            self.came_s[token] = self.now_s
        if session is None:
            self.sessions[token] = self.history.open(token, self.now_s, ADDRESS[token])
            self.stayed_s[token] = 0.0
            self.heard[token], self.own[token] = [], []
            self.stays[token] = [[None, self.history.offset, None]]

    @rule(token=TOKEN)
    def go(self, token):
        if token in self.sessions and token not in self.left_at_s:
            self.left_at_s[token] = self.now_s
            self.stayed_s[token] += self.now_s - self.came_s[token]
            before = list(self.left_at_s)
            self.history.away(self.sessions[token], self.now_s)
            self.expire()
            for other in self.left_at_s.keys() - self.history.sessions.keys():
                self.is_the_one_to_go(other, before)
                del self.left_at_s[other], self.sessions[other]

    def is_the_one_to_go(self, token, before):
        """Who goes has the address that most have who are away, and stayed the shortest there."""
        kept = [each for each in before if each in self.history.sessions]
        there = [each for each in before if ADDRESS[each] == ADDRESS[token]]
        assert self.history.limited["sessions"] + self.history.limited["sessions_bytes"]
        for each in there:
            assert each not in kept or self.stayed_s[each] >= self.stayed_s[token]
        if len(there) == 1:  # then nobody else had an address of more
            assert len({ADDRESS[each] for each in before}) == len(before)

    @rule(token=TOKEN)
    def say_goodbye(self, token):
        session = self.sessions.pop(token, None)
        if session is not None:
            self.history.end(session)
            self.left_at_s.pop(token, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.0, 11.0]))
    def wait(self, seconds):
        self.now_s += seconds

    def expire(self):
        for token, since_s in tuple(self.left_at_s.items()):
            if self.now_s - since_s >= SESSION_S:
                del self.left_at_s[token], self.sessions[token]

    @rule(token=TOKEN, room=ROOM)
    def join(self, token, room):
        if token in self.sessions:
            self.history.join(self.sessions[token], room)
            if not self.is_in(token, room):
                self.stays[token].append([room, self.history.offset, None])

    @rule(token=TOKEN, room=ROOM)
    def leave(self, token, room):
        if token in self.sessions:
            self.sessions[token].leave(room, self.history.offset)
            self.end_stay(token, room)

    @rule(room=ROOM)
    def close_room(self, room):
        for token, session in self.sessions.items():
            if token not in self.left_at_s:  # whose connections leave, in a hub
                session.leave(room, self.history.offset)
            self.end_stay(token, room)
        self.history.close_room(room)

    def is_in(self, token, room):
        return any(stay[0] == room and stay[2] is None for stay in self.stays[token])

    def end_stay(self, token, room):
        for stay in self.stays[token]:
            if stay[0] == room and stay[2] is None:
                stay[2] = self.history.offset

    @rule(
        rooms=ROOMS, to=st.sets(TOKEN, max_size=2), skip=st.sets(TOKEN, max_size=2),
        by=st.none() | TOKEN, size=SIZE,
    )  # fmt: skip
    def emit(self, rooms, to, skip, by, size):
        own = [self.sessions[token] for token in sorted(to) if token in self.sessions]
        with self.nobody_loses_who_holds_little(rooms, own):
            owner = PROGRAM if by is None else (ADDRESS[by], by)
            past = _past(self.history.offset + 1, "x" * size, skip)
            self.history.keep(past, rooms, own, owner)
        offset = self.history.offset
        for room in rooms:
            self.said.setdefault(room, []).append(offset)
        for token, session in self.sessions.items():
            if session in own:
                self.own[token].append(offset)
            there = session in own or any(self.is_in(token, room) for room in rooms)
            if there and token not in skip:
                self.heard[token].append(offset)

    def holdings(self):
        """Return of each address the logs that count as its, and the offsets in each."""
        found = {}
        logs = [*self.history._logs.values(), *(it.own for it in self.history.sessions.values())]
        for log in logs:
            offsets = {past.offset for past in log.events or ()}
            found.setdefault(log.owner[0], {})[log] = offsets
        return found

    @contextlib.contextmanager
    def nobody_loses_who_holds_little(self, rooms, own):
        before = self.holdings()
        yield
        spoken = {it.own for it in own} | {self.history._logs.get(room) for room in rooms}
        share = LIMITS.history_bytes * 7 // 8 // (len(before) + 1)
        for address, logs in before.items():
            held = sum(module._bytes_of(log) for log in logs)
            gone = [log for log, offsets in logs.items() if log not in spoken
                    and not offsets <= {past.offset for past in log.events or ()}]  # fmt: skip
            if address and gone:
                named = sum(log.name is not None for log in logs)
                lost = sum(len(logs[log]) for log in gone) * (2200 + module.ROOM_BYTES)
                assert held + lost > share or named > 2 // (len(before) + 1)

    @rule(token=TOKEN, n=st.integers(1, 99), size=SIZE)
    def answer(self, token, n, size):
        session = self.sessions.get(token)
        if session is None or n in session.answers:
            return
        self.history.keep_answer(session, n, "x" * size, size)
        if 250 + 2 + size < 1000 and len(self.sessions) < 4:
            assert session.answer(n) is not None

    @invariant()
    def whoever_asks_gets_exactly_what_it_missed(self):
        for token in self.sessions:
            for back in (1, 3, 6, 12):
                self.ask(token, max(0, self.history.offset - back))

    def ask(self, token, since):
        found = _missed(self.history, self.sessions[token], since)
        if found is None:
            assert self.may_be_too_old(token, since)
        else:
            assert found == [offset for offset in self.heard[token] if offset > since]

    def may_be_too_old(self, token, since):
        """Whether anything that it might have heard since then is no longer kept."""
        own = {past.offset for past in self.sessions[token].own.events or ()}
        if any(offset > since for offset in self.own[token] if offset not in own):
            return True
        ended = [stay for stay in self.stays[token] if stay[2] is not None and stay[2] > stay[1]]
        if any(stay[2] > since for stay in sorted(ended, key=lambda stay: stay[2])[: -4 * LIMIT]):
            return True
        for room, joined, left in self.stays[token]:
            begin = max(since, joined)
            if left is None or left > begin:
                kept = [past.offset for past in self.history.of(room)]
                lost = set(self.said.get(room, [])) - set(kept)
                if any(each > begin for each in lost):
                    return True
        return False

    @invariant()
    def everything_is_bounded(self):
        logs = self.history._logs
        assert None in logs
        assert len(logs) - 1 <= LIMITS.history_rooms
        assert self.history.size_bytes <= LIMITS.history_bytes
        own = [session.own for session in self.sessions.values()]
        assert self.history.size_bytes == sum(map(module._bytes_of, [*logs.values(), *own]))
        for room, log in logs.items():
            kept = [past.offset for past in self.history.of(room)]
            assert len(kept) <= LIMIT
            assert log.size_bytes == sum(past.size_bytes for past in log.events or ())
            assert log.size_bytes <= LIMITS.history_bytes_per_room
            assert kept == self.said[room][-len(kept) :] or not kept
            assert log.dropped_to < (kept or [log.dropped_to + 1])[0]
        away = self.history._away
        assert len(away) <= LIMITS.sessions
        assert self.history.away_bytes == sum(it.away_bytes for it in away.values())
        assert self.history.away_bytes <= LIMITS.sessions_bytes
        answers = [it.answers_bytes for it in self.sessions.values()]
        assert self.history.answers_bytes == sum(answers) <= LIMITS.answers_bytes
        assert all(each <= LIMITS.answers_bytes_per_session for each in answers)
        for room, log in self.history._rooms.items():
            assert log.inside == sum(room in it.rooms for it in self.sessions.values())
            assert log.left == sum(
                left is log for it in self.sessions.values() for left, _, _ in it._left
            )
        assert self.history.sessions == self.sessions
        for token, session in self.sessions.items():
            assert len(session._left) <= 4 * LIMIT
            assert len(session.own.events or ()) <= LIMIT
            assert set(session.rooms) == {
                room for room, _, to in self.stays[token] if room and to is None
            }


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_story_of_a_history():
    run_state_machine_as_test(Story, settings=story_settings(150, 60))


def test_those_that_events_leave_out_count_among_their_bytes():
    # 5,000 events that left out 10,000 sessions each took 2.5 GB, and counted 2 MB.
    history = History(100, 60.0, Limits(history_bytes=200_000, history_bytes_per_room=100_000))
    skip = frozenset(f"token-{number:016}" for number in range(1_000))
    for offset in range(1, 20):
        history.keep(Past(offset, 0.0, "e", "x", 1, skip, str), ["room", None], [])
        kept = [past for room in ("room", None) for past in history.of(room)]
        assert sum(sys.getsizeof(past.skip) for past in kept) <= history.size_bytes <= 200_000
    assert history.limited["history_bytes_per_room"] > 0

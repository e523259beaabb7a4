"""All sessions of a hub: what is kept for those that are away, and who gives way.

The machine compares with a list of everything and of who was there at that moment.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.hub.protocol.rig import keep, missed, opened
from tests.hub.rig import story_settings
from wslab.hub import Limits
from wslab.hub.protocol.kept_answers import ANSWER_BYTES
from wslab.hub.protocol.packets import Packet
from wslab.hub.protocol.room_log import PROGRAM, ROOM_BYTES


def answer(sessions, session, size_bytes):
    """Take up one more packet of a session, and keep its answer."""
    session.receive(Packet("e", n=session.received + 1, id=1))
    sessions.keep_answer(session, "x" * size_bytes, size_bytes)


def test_sessions_are_forgotten_after_a_while_and_beyond_a_number():
    now = 100.0
    sessions, history = opened(5, 10.0, Limits(sessions=2))
    here, *gone = (sessions.open(token, now) for token in ("here", "a", "b", "c"))
    for session in gone:
        sessions.leave(session, now)
        now += 1
    assert [each.token for each in sessions] == ["here", "b", "c"]  # b since 101, c since 102
    assert history.limited == {"sessions": 1}
    now = 110.9
    assert sessions.continued("b", now) is gone[1]
    sessions.leave(gone[1], now)
    now = 111.9
    assert sessions.continued("c", now) is gone[2]
    now = 120.9
    assert sessions.continued("b", now) is None
    assert sessions.continued("nobody", now) is None
    assert list(sessions) == [here, gone[2]]
    sessions.end(gone[2])
    sessions.end(gone[2])
    assert sessions.away == ()
    assert sessions.away_bytes == 0
    assert [each.token for each in sessions] == ["here"]


def test_a_flood_of_sessions_pushes_out_only_those_that_stayed_as_short():
    now = 0.0
    sessions, history = opened(5, 1000.0, Limits(sessions=100))
    real, near = sessions.open("real", now, "1.1.1.1"), sessions.open("near", now, "6.6.6.6")
    now = 60.0
    sessions.leave(real, now)
    sessions.leave(near, now)
    for nth in range(500):
        sessions.leave(sessions.open(f"junk {nth}", now, "6.6.6.6"), now)
        now += 0.1
    assert len(sessions) <= 100
    assert sessions.continued("real", now) is real
    assert sessions.continued("near", now) is near
    assert sessions.continued("junk 0", now) is None
    assert sessions.continued("junk 499", now) is not None
    assert history.limited["sessions"] >= 402


def test_sessions_are_bounded_by_what_they_take():
    sessions, history = opened(5, 1000.0, Limits(sessions_bytes=1_000_000))
    real = sessions.open("real", 0.0, "1.1.1.1")
    real.join("lobby")
    sessions.leave(real, 0.0)
    for nth in range(300):
        junk = sessions.open(f"junk {nth}", 0.0, "6.6.6.6")
        junk.lose(range(1000))
        for room in range(50):
            junk.join(f"{nth} {room} {'x' * 200}")
        sessions.leave(junk, 0.0)
        assert sessions.away_bytes <= 1_000_000
    assert sessions.get("real") is real
    assert sessions.away_bytes == sum(each.away_bytes for each in sessions.away)
    assert history.limited["sessions_bytes"] > 100


def test_answers_are_bounded_in_all_and_of_each():
    limits = Limits(answers_bytes=200_000, answers_bytes_per_session=50_000)
    sessions, history = opened(limits=limits)
    ana = sessions.open("ana", 0.0, "1.1.1.1")
    answer(sessions, ana, 20_000)
    for nth in range(100):
        junk = sessions.open(f"junk {nth}", 0.0, "6.6.6.6")
        for _ in range(10):
            answer(sessions, junk, 10_000)
        assert junk.answers.size_bytes <= 50_000
        assert sessions.answers_bytes <= 200_000
    answer(sessions, junk, 60_000)
    assert not junk.answers
    assert ana.answers.get(1) == "x" * 20_000
    assert sessions.answers_bytes == sum(each.answers.size_bytes for each in sessions)
    for session in tuple(sessions):
        sessions.end(session)
        assert not session.answers
    assert sessions.answers_bytes == 0
    assert history.limited["answers_bytes"] > 0


# In any order.

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


class AnyOrder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now_s = 1000.0
        self.all, self.history = opened(LIMIT, SESSION_S, LIMITS)
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
        session = self.all.continued(token, self.now_s, ADDRESS[token])
        assert session is self.sessions.get(token)
        if self.left_at_s.pop(token, None) is not None or session is None:
            self.came_s[token] = self.now_s
        if session is None:
            self.sessions[token] = self.all.open(token, self.now_s, ADDRESS[token])
            self.stayed_s[token] = 0.0
            self.heard[token], self.own[token] = [], []
            self.stays[token] = [[None, self.history.offset, None]]

    @rule(token=TOKEN)
    def go(self, token):
        if token in self.sessions and token not in self.left_at_s:
            self.left_at_s[token] = self.now_s
            self.stayed_s[token] += self.now_s - self.came_s[token]
            before = list(self.left_at_s)
            self.all.leave(self.sessions[token], self.now_s)
            self.expire()
            for other in self.left_at_s.keys() - {each.token for each in self.all}:
                self.is_the_one_to_go(other, before)
                del self.left_at_s[other], self.sessions[other]

    def is_the_one_to_go(self, token, before):
        """Who goes has the address that most have who are away, and stayed the shortest there."""
        kept = [each for each in before if self.all.get(each) is not None]
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
            self.all.end(session)
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
            self.sessions[token].join(room)
            if not self.is_in(token, room):
                self.stays[token].append([room, self.history.offset, None])

    @rule(token=TOKEN, room=ROOM)
    def leave(self, token, room):
        if token in self.sessions:
            self.sessions[token].leave(room)
            self.end_stay(token, room)

    @rule(room=ROOM)
    def close_room(self, room):
        for token, session in self.sessions.items():
            if token not in self.left_at_s:  # whose connections leave, in a hub
                session.leave(room)
            self.end_stay(token, room)
        self.all.close_room(room)

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
            keep(self.history, *rooms, skip=skip, own=own, owner=owner, data="x" * size)
        offset = self.history.offset
        for room in rooms:
            self.said.setdefault(room, []).append(offset)
        for token, session in self.sessions.items():
            if session in own:
                self.own[token].append(offset)
            there = session in own or any(self.is_in(token, room) for room in rooms)
            if there and token not in skip:
                self.heard[token].append(offset)

    def logs(self):
        """Return all logs that count."""
        rooms = self.history._spoken.values()
        return [self.history.everybody, *rooms, *(it.own for it in self.all)]

    def log(self, room):
        return self.history.everybody if room is None else self.history._spoken.get(room)

    def holdings(self):
        """Return of each address the logs that count as its, and the offsets in each."""
        found = {}
        logs = self.logs()
        for log in logs:
            offsets = {past.offset for past in log}
            found.setdefault(log.owner[0], {})[log] = offsets
        return found

    @contextlib.contextmanager
    def nobody_loses_who_holds_little(self, rooms, own):
        before = self.holdings()
        yield
        spoken = {it.own for it in own} | {self.log(room) for room in rooms}
        share = LIMITS.history_bytes * 7 // 8 // (len(before) + 1)
        for address, logs in before.items():
            held = sum(log.total_bytes for log in logs)
            gone = [log for log, offsets in logs.items() if log not in spoken
                    and not offsets <= {past.offset for past in log}]  # fmt: skip
            if address and gone:
                named = sum(log.name is not None for log in logs)
                lost = sum(len(logs[log]) for log in gone) * (2200 + ROOM_BYTES)
                assert held + lost > share or named > 2 // (len(before) + 1)

    @rule(token=TOKEN, size=SIZE)
    def answer(self, token, size):
        session = self.sessions.get(token)
        if session is None:
            return
        answer(self.all, session, size)
        if ANSWER_BYTES + size < 1000 and len(self.sessions) < 4:
            assert session.answers.get(session.received) is not None

    @invariant()
    def whoever_asks_gets_exactly_what_it_missed(self):
        for token in self.sessions:
            for back in (1, 3, 6, 12):
                self.ask(token, max(0, self.history.offset - back))

    def ask(self, token, since):
        found = missed(self.sessions[token], since)
        if found is None:
            assert self.may_be_too_old(token, since)
        else:
            assert found == [offset for offset in self.heard[token] if offset > since]

    def may_be_too_old(self, token, since):
        """Whether anything that it might have heard since then is no longer kept."""
        own = {past.offset for past in self.sessions[token].own}
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
        logs = {None: self.history.everybody, **self.history._spoken}
        assert len(logs) - 1 <= LIMITS.history_rooms
        assert self.history.size_bytes <= LIMITS.history_bytes
        assert self.history.size_bytes == sum(log.total_bytes for log in self.logs())
        for room, log in logs.items():
            kept = [past.offset for past in self.history.of(room)]
            assert len(kept) <= LIMIT
            assert log.size_bytes == sum(past.size_bytes for past in log)
            assert log.size_bytes <= LIMITS.history_bytes_per_room
            assert kept == self.said[room][-len(kept) :] or not kept
            assert log.dropped_to < (kept or [log.dropped_to + 1])[0]
        away = self.all.away
        assert [it.token for it in away] == list(self.left_at_s)
        assert len(away) <= LIMITS.sessions
        assert self.all.away_bytes == sum(it.away_bytes for it in away)
        assert self.all.away_bytes <= LIMITS.sessions_bytes
        answers = [it.answers.size_bytes for it in self.sessions.values()]
        assert self.all.answers_bytes == sum(answers) <= LIMITS.answers_bytes
        assert all(each <= LIMITS.answers_bytes_per_session for each in answers)
        for room, log in self.history._rooms.items():
            assert log.inside == sum(room in it.rooms for it in self.sessions.values())
            assert log.left == sum(
                other is log and to is not None
                for it in self.sessions.values()
                for other, _, to in it._stays.intervals()
            )
        assert {it.token: it for it in self.all} == self.sessions
        for token, session in self.sessions.items():
            left = [to for _, _, to in session._stays.intervals() if to is not None]
            assert len(left) <= 4 * LIMIT
            assert len(session.own) <= LIMIT
            assert set(session.rooms) == {
                room for room, _, to in self.stays[token] if room and to is None
            }


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_order_of_things():
    run_state_machine_as_test(AnyOrder, settings=story_settings(150, 60))

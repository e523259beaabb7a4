"""The history by itself and in a hub: what who comes back gets is exactly what it missed.

Both machines compare with a list of everything and of who was there at that moment.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

import wslab.hub.history as module
from tests.hub.rig import aio, story_settings
from wslab.hub import Hub
from wslab.hub.codec import encode_event
from wslab.hub.history import History, Past
from wslab.hub.shared import Shared


def _past(offset, data=None, skip=()):
    message = Shared(*encode_event("e", data, offset=offset))
    return Past(offset, 0.5, "e", message, frozenset(skip))


def _kept(history, *rooms, skip=(), own=()):
    """Keep one more event of these rooms."""
    history.keep(_past(history.offset + 1, skip=skip), list(rooms), list(own))


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
    session = history.open("t")
    session.join("red", 0)
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
    session = history.open("t")
    assert _missed(history, session, 0) == []
    _kept(history, "red")
    session.join("red", 2)
    _kept(history, "red")
    session.join("red", 3)  # again: nothing new
    _kept(history, "red")
    session.leave("red", 4)
    session.leave("red", 4)
    _kept(history, "red")
    session.join("red", 5)
    session.leave("red", 5)  # nothing was said between
    _kept(history, "red")
    session.join("red", 6)
    _kept(history, "red", "blue", None)  # once
    assert _missed(history, session, 0) == [3, 4, 7]
    assert _missed(history, session, 3) == [4, 7]
    assert _missed(history, session, 7) == []
    assert set(session.intervals()) == {(None, 1, None), ("red", 6, None), ("red", 2, 4)}


def test_its_own_events_and_those_that_it_was_left_out_of():
    history = History(2, 60.0)
    one, other = history.open("one"), history.open("other")
    _kept(history, own=[one])
    _kept(history, None, skip=["one"])
    _kept(history, None, own=[one], skip=["one"])
    _kept(history, own=[one, other])
    assert _missed(history, one, 0) is None  # its own log has let go of 1
    assert _missed(history, one, 1) == [4]
    assert _missed(history, other, 0) == [2, 3, 4]


def test_rooms_left_long_ago_are_forgotten_in_order():
    history = History(1, 60.0)
    session = history.open("t")
    for nth in range(6):
        session.join(f"room {nth}", history.offset)
        _kept(history, f"room {nth}")
        session.leave(f"room {nth}", history.offset)
    assert len(session._left) == 4
    assert _missed(history, session, 0) is None
    assert _missed(history, session, 1) is None
    assert _missed(history, session, 2) == [3, 4, 5, 6]


def test_logs_of_rooms_are_forgotten_the_longest_silent_first(monkeypatch):
    monkeypatch.setattr(module, "MAX_LOGS", 3)
    history = History(5, 60.0)
    session, quiet = history.open("t"), history.open("quiet")
    session.join("red", 0)
    quiet.join("blue", 0)
    _kept(history, "red")
    _kept(history, "blue")
    _kept(history, "red")
    _kept(history, "green")
    assert (len(history.of("red")), history.of("blue")) == (2, [])
    assert _missed(history, quiet, 0) is None
    assert _missed(history, quiet, 2) == []
    assert _missed(history, session, 0) == [1, 3]
    for nth in range(9):
        _kept(history, None, f"room {nth}")
    assert len(history._logs) == 3
    assert _missed(history, session, 8) is None  # nobody knows any more that "red" was silent
    session.leave("red", history.offset)
    history._log("red")
    assert _missed(history, session, 8) is None
    assert _missed(history, session, 11) == [12, 13]


def test_sessions_are_forgotten_after_a_while_and_beyond_a_number(monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    history, now = History(5, 10.0), 100.0
    here, *gone = (history.open(token) for token in ("here", "a", "b", "c"))
    for session in gone:
        history.away(session)
        now += 1
    assert list(history.sessions) == ["here", "b", "c"]  # b since 101, c since 102
    now = 110.9
    assert history.continued("b") is gone[1]
    history.away(gone[1])
    now = 111.9
    assert history.continued("c") is gone[2]
    now = 120.9
    assert history.continued("b") is None
    assert history.continued("nobody") is None
    assert list(history.sessions.values()) == [here, gone[2]]
    history.end(gone[2])
    history.end(gone[2])
    assert not history._away
    assert list(history.sessions) == ["here"]


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
BACK = st.integers(0, 12)
LIMIT, LOGS, AWAY, SESSION_S = 3, 3, 2, 10.0


class Story(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.patch.setattr(module, "MAX_LOGS", LOGS)
        self.patch.setattr(module, "MAX_SESSIONS", AWAY)
        self.now_s = 1000.0
        self.history = History(LIMIT, SESSION_S)
        self.sessions = {}
        self.heard = {}  # by token: offsets of all that it should have heard
        self.own = {}
        self.stays = {}  # by token: [room, from, to]
        self.left_at_s = {}  # by token, of who is away, in order
        self.said = {None: []}  # by room: all offsets
        self.forgotten_to = 0

    def teardown(self):
        self.patch.undo()

    @rule(token=TOKEN)
    def come(self, token):
        self.expire()
        session = self.history.continued(token)
        assert session is self.sessions.get(token)
        self.left_at_s.pop(token, None)
        if session is None:
            self.sessions[token] = self.history.open(token)
            self.heard[token], self.own[token] = [], []
            self.stays[token] = [[None, self.history.offset, None]]

    @rule(token=TOKEN)
    def go(self, token):
        if token in self.sessions and token not in self.left_at_s:
            self.history.away(self.sessions[token])
            self.left_at_s[token] = self.now_s
            self.expire()

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
            if len(self.left_at_s) > AWAY or self.now_s - since_s >= SESSION_S:
                del self.left_at_s[token], self.sessions[token]

    @rule(token=TOKEN, room=ROOM)
    def join(self, token, room):
        if token in self.sessions:
            self.sessions[token].join(room, self.history.offset)
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

    @rule(rooms=ROOMS, to=st.sets(TOKEN, max_size=2), skip=st.sets(TOKEN, max_size=2))
    def emit(self, rooms, to, skip):
        own = [self.sessions[token] for token in sorted(to) if token in self.sessions]
        _kept(self.history, *rooms, skip=skip, own=own)
        offset = self.history.offset
        for room in rooms:
            self.said.setdefault(room, []).append(offset)
        for token, session in self.sessions.items():
            if session in own:
                self.own[token].append(offset)
            there = session in own or any(self.is_in(token, room) for room in rooms)
            if there and token not in skip:
                self.heard[token].append(offset)
        for room, offsets in self.said.items():
            if offsets and room is not None and not self.history.of(room):
                self.forgotten_to = max(self.forgotten_to, offsets[-1])

    @rule(token=TOKEN, back=BACK)
    def ask(self, token, back):
        if token not in self.sessions:
            return
        since = max(0, self.history.offset - back)
        found = _missed(self.history, self.sessions[token], since)
        if found is None:
            assert self.may_be_too_old(token, since)
        else:
            assert found == [offset for offset in self.heard[token] if offset > since]

    def may_be_too_old(self, token, since):
        """Whether anything that it might have heard since then is no longer kept."""
        if any(offset > since for offset in self.own[token][:-LIMIT]):
            return True
        ended = [stay for stay in self.stays[token] if stay[2] is not None and stay[2] > stay[1]]
        if any(stay[2] > since for stay in sorted(ended, key=lambda stay: stay[2])[: -4 * LIMIT]):
            return True
        for room, joined, left in self.stays[token]:
            begin = max(since, joined)
            if left is None or left > begin:
                kept = [past.offset for past in self.history.of(room)]
                lost = set(self.said.get(room, [])) - set(kept)
                if any(each > begin for each in lost) or self.forgotten_to > begin:
                    return True
        return False

    @invariant()
    def everything_is_bounded(self):
        logs = self.history._logs
        assert None in logs
        assert len(logs) <= LOGS
        for room, log in logs.items():
            kept = [past.offset for past in self.history.of(room)]
            assert len(kept) <= LIMIT
            assert kept == self.said[room][-len(kept) :] or not kept
            assert log.dropped_to < (kept or [1])[0]
        assert len(self.history.of(None)) == min(LIMIT, len(self.said[None]))
        assert len(self.history._away) <= AWAY
        assert self.history.sessions == self.sessions
        for token, session in self.sessions.items():
            assert len(session._left) <= 4 * LIMIT
            assert len(session.own.events) <= LIMIT
            assert set(session.rooms) == {
                room for room, _, to in self.stays[token] if room and to is None
            }


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_story_of_a_history():
    run_state_machine_as_test(Story, settings=story_settings(150, 60))

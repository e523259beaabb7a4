"""What a session is, as data: from one process of a hub to another, and what must be read there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.mutants import is_noticed, put_in
from tests.hub.protocol.moving import Moving
from tests.hub.protocol.test_back_to_back import MOST, STEPS
from wslab.hub.protocol.history import History
from wslab.hub.protocol.packets import Packet
from wslab.hub.protocol.server_session import ServerSession
from wslab.hub.protocol.session_state import SessionState, portable
from wslab.hub.protocol.sessions import Sessions
from wslab.hub.protocol.stays import Stays, StaysState
from wslab.hub.protocol.untold import Untold

OFFSETS = st.integers(0, 2**50)
LOST = st.tuples(st.integers(0, 9), OFFSETS, st.lists(OFFSETS, max_size=4))
STATES = st.builds(
    SessionState,
    received=st.integers(0, 2**50),
    began_offset=OFFSETS,
    offset_before=st.none() | OFFSETS,
    stayed_s=st.integers(0, 10**6).map(lambda ms: ms / 1000),
    user_id=st.text(max_size=5),
    client_id=st.text(max_size=5),
    name=st.none() | st.text(st.characters(), max_size=5),
    stays=st.builds(
        StaysState,
        st.dictionaries(st.text(max_size=3), OFFSETS, max_size=3),
        st.lists(st.tuples(st.text(max_size=3), OFFSETS, OFFSETS), max_size=3),
        OFFSETS,
    ),
    untold=st.tuples(LOST, st.lists(st.tuples(OFFSETS, LOST), max_size=3)),
)


@given(STATES)
def test_as_text_and_back(state):
    text = state.to_json()
    assert SessionState.from_json(text, state.received) == state
    assert SessionState.from_json(text.encode(), state.received) == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v":2}', b"\xff", '{"v":1,"stays":[1]}'])
def test_what_is_no_session_is_refused_and_says_what_was_expected(text):
    with pytest.raises(ValueError, match="expected a session as wslab 1 writes it, got"):
        SessionState.from_json(text, 0)


def test_what_of_a_clients_data_can_go_and_what_is_left_behind():
    endless = []
    endless.append(endless)
    data = {
        "score": 3, 5: "no text", "socket": object(), "bytes": b"x", "endless": endless,
        "nested": {"list": [1, None, "\N{SNOWMAN}"]}, "nan": float("nan"), "half": "\ud800",
    }  # fmt: skip
    text, left_behind = portable(data, 1000)
    assert json.loads(text) == {
        "score": 3, "nested": {"list": [1, None, "\N{SNOWMAN}"]}, "half": "\ud800",
    }  # fmt: skip
    assert left_behind == ["5", "socket", "bytes", "endless", "nan"]
    assert portable({}, 1000) == ("{}", [])


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=8), st.integers(2, 100))
def test_it_takes_no_more_bytes_than_it_may(data, most_bytes):
    text, left_behind = portable(data, most_bytes)
    assert len(text.encode()) <= most_bytes
    assert len(json.loads(text)) + len(left_behind) == len(data)


def test_what_has_to_be_read_where_it_was():
    stays = StaysState({"red": 8}, [("blue", 3, 5), ("red", 4, 6)], 2)
    state = SessionState(0, 1, stays=stays)
    assert state.spans(1, 9) is None  # of before that, not all is remembered
    assert state.spans(2, 9) == [(None, 2, 9), ("red", 8, 9), ("blue", 3, 5), ("red", 4, 6)]
    assert state.spans(5, 9) == [(None, 5, 9), ("red", 8, 9), ("red", 5, 6)]
    assert state.spans(9, 9) == []


def test_a_session_that_goes_across_takes_its_answers_and_its_losses_along():
    here, there = (Sessions(History(9), 60.0) for _ in "ab")
    there.history.offset = 4
    session = here.open("t", 0.0)
    session.resume(None)
    session.join("red")
    session.name = "Ada"
    session.user_id = session.client_id = "a1b2c3"
    session.receive(_packet(1))
    here.keep_answer(session, "the answer", 10)
    session.receive(_packet(2))  # whose handler has not ended
    session.lose([1])
    here.leave(session, 7.0)
    state = session.snapshot('{"score":3}', lost=[2])
    moved = ServerSession.restored("t", there.history, state, {"score": 3}, 1.0, "1.2.3.4")
    there.take_in(moved, 1.0, session.answers.items())
    assert there.continued("t", 2.0, "1.2.3.4") is moved
    assert (moved.received, moved.handled, moved.stayed_s) == (1, 1, 7.0)
    assert (moved.name, moved.user_id, moved.client_id) == ("Ada", "a1b2c3", "a1b2c3")
    assert set(moved.rooms) == {"red"}
    assert there.answers_bytes == here.answers_bytes
    assert moved.receive(_packet(1)).answer == "the answer"
    told = moved.resume(4)
    assert (told.is_resumed, told.gap, told.dropped) == (True, None, 2)
    there.end(moved)
    assert (there.answers_bytes, there.away_bytes) == (0, 0)
    assert not there.history._rooms


def _packet(n):
    return Packet("e", id=n, n=n)


def converse(seed, steps=STEPS):
    try:
        Moving(seed).run(steps)
    except AssertionError as exc:
        exc.add_note(f"Moving({seed}).run({steps})")
        raise


@pytest.mark.parametrize("first", range(0, 1_000, 250))
def test_nothing_is_lost_or_comes_twice_where_a_client_goes_to_another_process(first):
    before = Moving.moves
    for seed in range(first, first + 250):
        converse(seed)
    assert Moving.moves > before + 50


def test_nor_where_it_does_so_again_and_again():
    for seed in range(15):
        converse(seed, 600)


MUTANTS = {
    "forgets what it has received": (
        ServerSession.restored, "session.handled = state.received", "session.handled = 0",
    ),
    "counts what was not handled": (
        ServerSession.snapshot, "self.handled,", "self.received,",
    ),
    "forgets when it began": (
        SessionState.spans, "(None, self.began_offset, to)", "(None, to, to)",
    ),
    "reads no room that it is in": (
        SessionState.spans, "*((room, at, to) for room, at in here.items())", "",
    ),
    "reads on in a room that it has left": (SessionState.spans, "min(until, to)", "to"),
    "takes a part for the whole": (
        ServerSession.fetch, "since if is_whole else to", "since",
    ),
    "reads twice what it has fetched": (
        History.keep_own, "for past in (*pasts, *log)", "for past in log",
    ),
    "forgets its rooms": (ServerSession.restored, "session._stays.restore", "str"),
    "remembers no room that it has left": (
        Stays.snapshot, "left.append(", "str(",
    ),
    "forgets what it has lost": (Untold.restore, "self._lost = ", "_ = "),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mutant_is_noticed(mistake, monkeypatch):
    function, right, wrong = MUTANTS[mistake]
    put_in(monkeypatch, function, right, wrong)
    assert is_noticed(
        lambda seed: Moving(seed).run(STEPS), MOST, (AssertionError, ValueError, TypeError)
    ), f"{MOST} conversations did not notice a session that {mistake}"

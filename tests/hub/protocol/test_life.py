"""The table of a client's life."""

from __future__ import annotations

import pytest

from wslab.hub.protocol.life import MEANINGS, TRANSITIONS, LifeEvent, LifeState, next_state


def test_every_state_and_event_has_a_row_and_a_meaning():
    assert set(TRANSITIONS) == set(LifeState)
    assert set(MEANINGS) == {*LifeState, *LifeEvent}
    assert {event for row in TRANSITIONS.values() for event in row} == set(LifeEvent)


def test_every_state_is_reached_and_every_life_can_end():
    for state in LifeState:
        seen, todo = set(), [state]
        while todo:
            row = TRANSITIONS[todo.pop()]
            todo += set(row.values()) - seen
            seen |= set(row.values())
        assert state is LifeState.GONE or LifeState.GONE in seen
        assert state is not LifeState.CONNECTING or seen == set(LifeState) - {state}


def test_a_life():
    state = LifeState.CONNECTING
    for event, expected in (
        (LifeEvent.ADMIT, LifeState.ADMITTED),
        (LifeEvent.LOSE, LifeState.AWAY),
        (LifeEvent.RETURN, LifeState.ADMITTED),
        (LifeEvent.SEND_AWAY, LifeState.CLOSING),
        (LifeEvent.END, LifeState.GONE),
    ):
        state = next_state(state, event)
        assert state is expected


def test_what_cannot_happen_is_refused():
    told = "expected 'return' or 'end' of a client that is away, got 'admit'"
    with pytest.raises(ValueError, match=told):
        next_state(LifeState.AWAY, LifeEvent.ADMIT)
    with pytest.raises(ValueError, match="expected nothing of a client that is gone, got 'end'"):
        next_state(LifeState.GONE, LifeEvent.END)

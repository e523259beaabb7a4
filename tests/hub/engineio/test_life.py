"""The table of a session's life: whole, and what may follow what."""

from __future__ import annotations

import pytest

from wslab.hub.engineio.life import (
    FROM_CLIENT,
    MEANINGS,
    TRANSITIONS,
    EngineEvent,
    EngineState,
    next_state,
)
from wslab.wire.engineio import PacketType


def test_each_state_and_event_is_in_the_table_and_explained():
    assert set(TRANSITIONS) == set(FROM_CLIENT) == set(EngineState)
    assert set(MEANINGS) == {*EngineState, *EngineEvent}
    used = {event for row in TRANSITIONS.values() for event in row}
    assert used == set(EngineEvent)


def test_every_state_leads_to_the_end_and_none_back_from_it():
    for state in EngineState:
        if state is not EngineState.CLOSED:
            assert next_state(state, EngineEvent.END) is EngineState.CLOSED
    assert TRANSITIONS[EngineState.CLOSED] == {}
    assert FROM_CLIENT[EngineState.CLOSED] == frozenset()


def test_what_cannot_happen_is_said():
    with pytest.raises(ValueError, match="expected 'close' or 'end' of a session that is webs"):
        next_state(EngineState.WEBSOCKET, EngineEvent.PROBE)


def test_what_only_a_server_sends_no_client_may():
    for state in EngineState:
        assert not FROM_CLIENT[state] & {PacketType.OPEN, PacketType.NOOP, PacketType.PING}

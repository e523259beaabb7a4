"""Where a client stands, by the state of its latest connection and what may follow it."""

from __future__ import annotations

import itertools

import pytest
from websockets.protocol import State

from wslab.client.life import Phase, phase_of


@pytest.mark.parametrize(
    ("latest", "may_follow", "is_told_to_close", "phase"),
    [
        (None, False, False, Phase.CONNECTING),
        (None, True, False, Phase.CONNECTING),
        (State.OPEN, False, False, Phase.OPEN),
        (State.OPEN, True, True, Phase.OPEN),  # close() has not had its turn yet
        (State.CLOSING, True, True, Phase.CLOSING),
        (State.CLOSED, False, False, Phase.CLOSED),
        (State.CLOSED, True, False, Phase.AWAY),
        (State.CLOSED, True, True, Phase.CLOSING),
        (State.CLOSED, False, True, Phase.CLOSED),
    ],
)
def test_the_phase(latest, may_follow, is_told_to_close, phase):
    assert phase_of(latest, may_follow=may_follow, is_told_to_close=is_told_to_close) is phase


def test_there_is_a_phase_for_everything():
    for latest, follow, told in itertools.product((None, *State), (False, True), (False, True)):
        phase = phase_of(latest, may_follow=follow, is_told_to_close=told)
        if not follow and latest is not None:
            assert phase.state is latest  # without reconnect it is websockets' own word


def test_the_states_of_rfc_6455():
    assert {phase.name: phase.state.name for phase in Phase} == {
        "CONNECTING": "CONNECTING",
        "OPEN": "OPEN",
        "AWAY": "CONNECTING",
        "CLOSING": "CLOSING",
        "CLOSED": "CLOSED",
    }

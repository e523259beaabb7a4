"""The life of a hub's client, as a table: its states, and what leads from one to the next.

A client connects, is admitted, and is sent away or loses its connection; where the hub keeps its
session it is then away, and may return. Its rule: this table is the only place that says what may
follow what; the hub, the reprs, views and the lessons' figures read it. It does nothing itself.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeVar

__all__ = ["MEANINGS", "TRANSITIONS", "LifeEvent", "LifeState", "follow", "next_state"]


class LifeState(enum.Enum):
    """Where a client is in its life; the value is the word for it."""

    CONNECTING = "connecting"
    ADMITTED = "admitted"
    CLOSING = "closing"
    AWAY = "away"
    GONE = "gone"


class LifeEvent(enum.Enum):
    """What happens to a client; the value is the word for it."""

    ADMIT = "admit"
    SEND_AWAY = "send away"
    LOSE = "lose"
    END = "end"
    RETURN = "return"


MEANINGS: Final[Mapping[LifeState | LifeEvent, str]] = {
    LifeState.CONNECTING: "its connect handler runs; nobody else sees it",
    LifeState.ADMITTED: "it is listed, may be in rooms, and is sent events",
    LifeState.CLOSING: "it is in no room any more; a close frame is on its way",
    LifeState.AWAY: "its connection is over; its session is kept, and misses nothing",
    LifeState.GONE: "it is over for good",
    LifeEvent.ADMIT: "its connect handler has returned, or it joins or is sent to before that",
    LifeEvent.SEND_AWAY: "it is refused, disconnected, too slow, or continued elsewhere",
    LifeEvent.LOSE: "its connection is over, and its session is kept",
    LifeEvent.END: "its connection is over, or was, and its session is not kept (any more)",
    LifeEvent.RETURN: "another connection continues its session",
}

TRANSITIONS: Final[Mapping[LifeState, Mapping[LifeEvent, LifeState]]] = {
    LifeState.CONNECTING: {
        LifeEvent.ADMIT: LifeState.ADMITTED,
        LifeEvent.SEND_AWAY: LifeState.CLOSING,
        LifeEvent.END: LifeState.GONE,
    },
    LifeState.ADMITTED: {
        LifeEvent.SEND_AWAY: LifeState.CLOSING,
        LifeEvent.LOSE: LifeState.AWAY,
        LifeEvent.END: LifeState.GONE,
    },
    LifeState.CLOSING: {
        LifeEvent.LOSE: LifeState.AWAY,
        LifeEvent.END: LifeState.GONE,
    },
    LifeState.AWAY: {
        LifeEvent.RETURN: LifeState.ADMITTED,
        LifeEvent.END: LifeState.GONE,
    },
    LifeState.GONE: {},
}


S = TypeVar("S", bound=enum.Enum)
E = TypeVar("E", bound=enum.Enum)


def next_state(state: LifeState, event: LifeEvent) -> LifeState:
    """Return the state that an event leads to.

    Raises:
        ValueError: nothing of the kind can happen in that state.
    """
    return follow(TRANSITIONS, state, event, "a client")


def follow(transitions: Mapping[S, Mapping[E, S]], state: S, event: E, whose: str) -> S:
    """Return the state that an event leads to, by a table of a life; ``whose`` it is, in words.

    Raises:
        ValueError: nothing of the kind can happen in that state.
    """
    try:
        return transitions[state][event]
    except KeyError:
        known = " or ".join(repr(each.value) for each in transitions[state]) or "nothing"
        raise ValueError(
            f"expected {known} of {whose} that is {state.value}, got {event.value!r}"
        ) from None

"""The life of an Engine.IO session, as a table: its states, what leads on, who may send what.

Its rule: this table is the only place that says what may follow what, and which packets a client
may send when; it does nothing itself. The protocol: https://socket.io/docs/v4/engine-io-protocol/
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from ...wire.engineio import PacketType
from ..protocol.life import follow

__all__ = ["FROM_CLIENT", "MEANINGS", "TRANSITIONS", "EngineEvent", "EngineState", "next_state"]


class EngineState(enum.Enum):
    """Where a session is in its life; the value is the word for it."""

    POLLING = "polling"
    UPGRADING = "upgrading"
    WEBSOCKET = "websocket"
    CLOSING = "closing"
    CLOSED = "closed"


class EngineEvent(enum.Enum):
    """What happens to a session; the value is the word for it."""

    PROBE = "probe"
    UPGRADE = "upgrade"
    STAY = "stay"
    CLOSE = "close"
    END = "end"


MEANINGS: Final[Mapping[EngineState | EngineEvent, str]] = {
    EngineState.POLLING: "messages come by POST, and go out as the answer to a GET",
    EngineState.UPGRADING: "the same, and a WebSocket is being tried: each GET is answered at once",
    EngineState.WEBSOCKET: "messages come and go on a WebSocket",
    EngineState.CLOSING: "this side closes it: a close packet, or a close frame, is on its way",
    EngineState.CLOSED: "it is over, and its id is unknown",
    EngineEvent.PROBE: "a WebSocket came with its id",
    EngineEvent.UPGRADE: "the client has said 5: nothing more comes by HTTP",
    EngineEvent.STAY: "that WebSocket ended, or said something else, before the 5",
    EngineEvent.CLOSE: "this side wants to close it",
    EngineEvent.END: "the client closed it, or left, or broke a rule; or closing is done",
}

TRANSITIONS: Final[Mapping[EngineState, Mapping[EngineEvent, EngineState]]] = {
    EngineState.POLLING: {
        EngineEvent.PROBE: EngineState.UPGRADING,
        EngineEvent.CLOSE: EngineState.CLOSING,
        EngineEvent.END: EngineState.CLOSED,
    },
    EngineState.UPGRADING: {
        EngineEvent.UPGRADE: EngineState.WEBSOCKET,
        EngineEvent.STAY: EngineState.POLLING,
        EngineEvent.CLOSE: EngineState.CLOSING,
        EngineEvent.END: EngineState.CLOSED,
    },
    EngineState.WEBSOCKET: {
        EngineEvent.CLOSE: EngineState.CLOSING,
        EngineEvent.END: EngineState.CLOSED,
    },
    EngineState.CLOSING: {
        EngineEvent.UPGRADE: EngineState.CLOSING,  # it polls no more: what waits goes out there
        EngineEvent.END: EngineState.CLOSED,
    },
    EngineState.CLOSED: {},
}

_TALK: Final = frozenset({PacketType.CLOSE, PacketType.PONG, PacketType.MESSAGE})

# What a client may send where the session's messages come; more on a WebSocket that is being tried:
# a ping with "probe", and 5.
FROM_CLIENT: Final[Mapping[EngineState, frozenset[PacketType]]] = {
    EngineState.POLLING: _TALK,
    EngineState.UPGRADING: _TALK,
    EngineState.WEBSOCKET: _TALK,
    EngineState.CLOSING: _TALK,
    EngineState.CLOSED: frozenset(),
}


def next_state(state: EngineState, event: EngineEvent) -> EngineState:
    """Return the state that an event leads to.

    Raises:
        ValueError: nothing of the kind can happen in that state.
    """
    return follow(TRANSITIONS, state, event, "a session")

"""Where a client stands: the phases of its life, and which of them holds when.

A table, which the client's state, its repr and the views read. Pure. Its rule: the state of the
latest connection is websockets' own word; what it means to the client depends on whether another
connection may follow.
"""

from __future__ import annotations

import enum

from websockets.protocol import State

__all__ = ["Phase", "phase_of"]


class Phase(enum.Enum):
    """A phase of a client's life."""

    CONNECTING = "no connection has opened yet"
    OPEN = "messages go both ways"
    AWAY = "the connection has ended, and another one is tried for"
    CLOSING = "the closing handshake is under way, or the last attempt is being called off"
    CLOSED = "it has ended for good"

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."""
        return State.CONNECTING if self is Phase.AWAY else State[self.name]


# By the state of the latest connection (None: none has opened): where it is the last one, where
# another one may follow, and where close() has been called meanwhile.
_PHASES = {
    None: (Phase.CONNECTING, Phase.CONNECTING, Phase.CONNECTING),
    State.CONNECTING: (Phase.CONNECTING, Phase.CONNECTING, Phase.CONNECTING),
    State.OPEN: (Phase.OPEN, Phase.OPEN, Phase.OPEN),
    State.CLOSING: (Phase.CLOSING, Phase.CLOSING, Phase.CLOSING),
    State.CLOSED: (Phase.CLOSED, Phase.AWAY, Phase.CLOSING),
}


def phase_of(latest: State | None, *, may_follow: bool, is_told_to_close: bool) -> Phase:
    """Return where a client stands.

    Args:
        latest: the state of its latest connection; None where none has opened yet.
        may_follow: another connection may follow that one.
        is_told_to_close: close() has been called.
    """
    is_last, another, called_off = _PHASES[latest]
    return is_last if not may_follow else called_off if is_told_to_close else another

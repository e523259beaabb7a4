"""How a client ended: in words, and as the exception that whoever still calls it gets.

Its rule: the exception is websockets' own, and carries why as a note. It gathers the evidence;
what that means is for `close_diagnosis` to say.
"""

from __future__ import annotations

import time
from typing import NoReturn

from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from ..calls.waiting import is_set_within
from ..loops.watchdog import Blockage
from .close_diagnosis import closed
from .life import Phase
from .lifecycle import Lifecycle

__all__ = ["Ending"]

CLOSE_WAIT_S = 15.0  # longer than websockets' own close_timeout


class Ending:
    """Asks a client's life how it ended.

    Args:
        life: whose.
    """

    def __init__(self, life: Lifecycle) -> None:
        self._life = life

    @property
    def why_closed(self) -> str:
        """In words: who closed the connection, what the code means, and what went before it."""
        life, connection = self._life, self._life.connection
        end, phase, more = life.end, life.phase, ""
        if end is None and phase is Phase.CLOSED and connection is not None:
            end = connection.websocket.close_exc  # it closed an instant ago
        if life.reconnector is not None:
            if end is None and phase is not Phase.OPEN and life.broken is not None:
                end, more = life.broken, f" It is {life.status}."
            else:
                more = life.reconnector.why_ended + self._unconfirmed()
        if end is None or connection is None:
            return f"{life.name!r} is {phase.state.name}, not closed"
        ended_s = connection.ended_s or time.monotonic()
        told = closed(
            end,
            replaced=life.replaced,
            last_pong_s=connection.traffic.last_pong_s,
            ended_s=ended_s,
            blockages=self._blockages(ended_s),
            handler_error=self._handler_error(),
            unsent=connection.send_queue.unsent,
            untaken=connection.untaken,
            discarded=life.incoming.discarded,
        )
        return told + more

    def _unconfirmed(self) -> str:
        dispatcher, end = self._life.incoming.dispatcher, self._life.end
        kept = dispatcher.session.kept
        if not kept or end is None or (end.rcvd is not None and not end.rcvd_then_sent):
            return ""  # it answered our close frame, and has read all that was before it
        return f" {kept:,} of its events may not have arrived: the hub did not say that they came."

    def _blockages(self, ended_s: float) -> list[Blockage]:
        """Return when a loop on the way was held during its life."""
        life = self._life
        server_runner = getattr(life.server, "runner", None)
        runners = {id(one): one for one in (life.runner, server_runner) if one is not None}
        return [
            blockage
            for runner in runners.values()
            for blockage in tuple(runner.watchdog.blockages)
            if blockage.began_s < ended_s and blockage.began_s + blockage.duration_s >= life.began_s
        ]

    def _handler_error(self) -> str | None:
        life, latest = self._life, self._life.opener.latest
        address = latest.traffic.address if latest is not None else None
        for error in reversed(tuple(getattr(life.server, "errors", ()))):
            # An earlier client may have had the same port.
            if address is not None and error.address == address and error.at >= life.began_at:
                return str(error)
        return None

    def explained(self, exc: ConnectionClosed) -> ConnectionClosed:
        """Return an exception like this one that says why."""
        fresh = type(exc)(exc.rcvd, exc.sent, exc.rcvd_then_sent)
        fresh.add_note(self.why_closed)
        return fresh

    def raise_closed(self) -> NoReturn:
        """Raise what websockets raised when the connection ended; wait for that end, briefly."""
        life = self._life
        if not is_set_within(life.gone, CLOSE_WAIT_S):
            raise TimeoutError(
                f"{life.name!r} is {life.phase.state.name} and does not end{self.held()}"
            )
        assert life.end is not None
        raise self.explained(life.end) from life.end.__cause__

    def refuse_what_is_over(self) -> None:
        """Let on_open of a connection that has ended wait for no other: that has its own call."""
        on_open = self._life.on_open
        if on_open is not None and on_open.is_over:
            raise self.explained(self._life.broken or ConnectionClosedError(None, None))

    def held(self) -> str:
        """Say what holds the client's loop, if something does; else nothing."""
        runner = self._life.runner
        return "" if runner.answers() else f"; {runner.held_by()}"

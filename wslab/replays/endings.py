"""How a connection of websockets has ended, told to a player.

Its rule: who sent the first close frame is who closed. A server that is stopped is no difference; a
fault, which made this side fail the connection, is one.
"""

from __future__ import annotations

import time

from websockets.exceptions import ConnectionClosed

from .player import Player

__all__ = ["CATCH_S", "note_closed"]

CATCH_S = 1.0  # to wait for a pong, before the end
_STOPPED = (1001, 1012)  # what a server or a client of ours says when it is stopped


def note_closed(player: Player, exc: ConnectionClosed, *, was_busy: bool) -> None:
    """Tell a player how its connection has ended.

    Args:
        player: whose it was.
        exc: what websockets says of it.
        was_busy: it ended while this side sent.
    """
    rcvd, sent = exc.rcvd, exc.sent
    by_us = sent is not None and not exc.rcvd_then_sent
    if sent is not None and by_us and not player.is_ours and sent.code not in _STOPPED:
        said = f"one that ended the connection with {sent.code} {sent.reason}"
        player.fail("error", "messages that can be received", said[:1000])
        return
    code, reason = (1006, "") if rcvd is None else (rcvd.code, rcvd.reason)
    player.closed(code, reason, time.monotonic(), by_us=by_us, was_busy=was_busy)

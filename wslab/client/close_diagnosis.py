"""Why a connection has closed, in words.

Pure text about both close frames and about what went before them. Its rule: who closed it, what the
code means, and the likely cause, but never more than the evidence holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from ..wire.close_words import KEEPALIVE, broke_off, closed_by, unanswered_by
from .open_diagnosis import innermost

if TYPE_CHECKING:
    from ..loops.watchdog import Blockage

__all__ = ["closed"]


def closed(
    exc: ConnectionClosed,
    *,
    replaced: bool,
    last_pong_s: float | None,
    ended_s: float,
    blockages: Sequence[Blockage],
    handler_error: str | None,
    unsent: int,
    untaken: int = 0,
    discarded: int = 0,
) -> str:
    """Say why a client's connection ended.

    Args:
        exc: what websockets raised: both close frames, and which came first.
        replaced: its cell ran again, and a new client took its place.
        last_pong_s: when the last ping was answered (monotonic seconds), if one was.
        ended_s: when the connection ended (monotonic seconds).
        blockages: when something held one of the event loops on the way during its life.
        handler_error: what the server's handler raised, where that server is in this process.
        unsent: messages whose turn came after the end.
        untaken: messages that had come and waited for recv(), where so many did that this client
            had stopped reading.
        discarded: messages that came while it was closing and that were not kept.
    """
    sentences = [_who(exc, replaced=replaced)]
    timed_out = any(frame is not None and frame.reason == KEEPALIVE for frame in _frames(exc))
    if handler_error is not None:
        sentences.append(f"The server's handler raised {handler_error}; see server.errors.")
    if unsent:
        last = "The message sent last" if unsent == 1 else f"The {unsent} messages sent last"
        sentences.append(f"{last} did not go out before the end.")
    if discarded:
        came = "1 message" if discarded == 1 else f"{discarded} messages"
        sentences.append(f"{came} that came while it was closing found no room and were dropped.")
    if untaken and timed_out:
        sentences.append(
            f"{untaken} messages had come that no recv() took, so this client had stopped reading "
            "to slow the server down; a ping or pong behind them could not be read either. That is "
            "the likely cause: take the messages faster, or set max_waiting=... higher."
        )
    if last_pong_s is not None:
        sentences.append(
            f"The last ping was answered {ended_s - last_pong_s:.1f} s before the end."
        )
    elif timed_out:
        sentences.append("No ping was ever answered.")
    longest = max(blockages, key=lambda blockage: blockage.duration_s, default=None)
    if longest is not None and (timed_out or exc.rcvd is None or longest.duration_s >= 1.0):
        before_s = max(0.0, ended_s - longest.began_s - longest.duration_s)
        when = "until the end" if before_s < 0.5 else f"until {before_s:.1f} s before the end"
        cause = " That is the likely cause." if timed_out else ""
        sentences.append(
            f"The event loop was blocked for {longest.duration_s:.1f} s, {when}, by "
            f"{longest.culprit}: meanwhile nothing on it could read, answer or ping.{cause}"
        )
    return " ".join(sentences)


def _frames(exc: ConnectionClosed) -> tuple[Any, Any]:
    return exc.sent, exc.rcvd


def _who(exc: ConnectionClosed, *, replaced: bool) -> str:
    sent, rcvd = _frames(exc)
    if replaced:
        return "Its cell ran again, so wslab closed it: the new client took its place."
    if sent is None and rcvd is None:
        return broke_off(innermost(exc) if exc.__cause__ is not None else "")
    if rcvd is not None and (sent is None or exc.rcvd_then_sent):
        return closed_by("the server", "this client", int(rcvd.code), rcvd.reason)
    told = [closed_by("this client", "the server", int(sent.code), sent.reason)]
    if sent.code == 1009:
        told.append("connect(max_size=...) takes larger ones (bytes).")
    if rcvd is None and sent.reason != KEEPALIVE:
        told.append(unanswered_by("the server"))
    return " ".join(told)

"""Keepalive: which pings and pongs a library sent by itself, and how such rows are folded.

Nothing in a ping says so, but its moment does: so long after the opening, or after the last one, as
its sender is known to wait. Its rule: what is not certain is drawn as any other frame. Engine.IO's
own heartbeats are folded with them; they are messages, and `wire/layers` knows them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median
from typing import Any

from ...wire.events import FrameEvent
from ...wire.frames.opcodes import Opcode
from ...wire.sender import Sender

__all__ = ["KEEPALIVE_S", "Keepalive", "folded"]

KEEPALIVE_S = 20.0  # how often websockets asks unless told otherwise
_MIN_LEARNT_S = 5.0  # pings of an unknown rhythm: at least so far apart
_KEYS = 4  # bytes in a keepalive ping of websockets
_MAX_UNANSWERED = 8

Json = dict[str, Any]


class Keepalive:
    """Tells a library's pings and pongs on one connection from those of a program.

    Args:
        intervals_s: how often libraries of ours ping by themselves. Another sender's rhythm is
            learnt from its third ping on.
    """

    def __init__(self, intervals_s: Iterable[float]) -> None:
        self.upgraded_s = 0.0
        self._intervals_s = tuple(intervals_s)
        self._kept_s: dict[Sender, float] = {}  # the last ping by a library
        self._pinged_s: dict[Sender, float] = {}  # the last ping
        self._gaps_s: dict[Sender, float] = {}
        self._unanswered: deque[bytes] = deque(maxlen=_MAX_UNANSWERED)

    def is_one(self, event: FrameEvent) -> bool:
        """Tell whether a library sent this ping, or whether this pong answers such a one."""
        payload, sender = event.frame.payload, event.sender
        if event.opcode == Opcode.PONG:
            if payload not in self._unanswered:
                return False
            self._unanswered.remove(payload)
            return True
        since_s = event.at_s - self._kept_s.get(sender, self.upgraded_s)
        is_known = len(payload) == _KEYS and any(
            since_s > 0.5 * each and _is_about(since_s, each * round(since_s / each), each)
            for each in self._intervals_s
        )
        gap_s = event.at_s - self._pinged_s.get(sender, self.upgraded_s)
        before_s = self._gaps_s.get(sender, 0.0)
        is_learnt = before_s >= _MIN_LEARNT_S and _is_about(gap_s, before_s, before_s)
        self._pinged_s[sender], self._gaps_s[sender] = event.at_s, gap_s
        if is_known:
            self._kept_s[sender] = event.at_s
        if is_known or is_learnt:
            self._unanswered.append(payload)
        return is_known or is_learnt


def _is_about(seconds: float, wanted_s: float, interval_s: float) -> bool:
    return abs(seconds - wanted_s) <= 0.05 * interval_s + 0.02


def folded(rows: Iterable[Json]) -> list[Json]:
    """Return rows with each run of keepalive pings and pongs as one row, which says how many."""
    lines: list[Json] = []
    run: list[Json] = []
    for row in rows:
        if row.get("keepalive"):
            run.append(row)
            continue
        if run:
            lines.append(_fold(run))
            run = []
        lines.append(row)
    return [*lines, _fold(run)] if run else lines


def _kind(row: Json) -> str:
    return str(row.get("beat", row["kind"]))  # one of Engine.IO is a text


def _fold(run: list[Json]) -> Json:
    before: dict[Any, float] = {}
    gaps_s = []
    for row in run:
        if _kind(row) == "ping":
            who = row["lane"], row["by"], row["kind"]
            if who in before:
                gaps_s.append(row["at"] - before[who])
            before[who] = row["at"]
    line: Json = {"what": "keepalive", "id": run[0]["id"], "at": run[-1]["at"], "frames": len(run)}
    line |= {"from": run[0]["at"], "pings": sum(_kind(row) == "ping" for row in run)}
    return line | {"every": median(gaps_s) if gaps_s else 0.0}

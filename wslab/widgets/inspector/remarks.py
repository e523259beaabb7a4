"""Remarks: where what a replay's tape has differs from the record, for the rows of a timeline.

Its rule: a remark stands behind the event that it is about, and is made once. What is found when
that has been drawn already stands behind all that has. Left out: finding differences, and drawing.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...replays.differences import SIGNS, Difference, cut
from ...replays.replay import Replay
from ...replays.run import Run
from ...replays.script import messages_of
from ...wire.events import EndedEvent, Event, MessageEvent, ResponseEvent
from ...wire.sender import Sender

__all__ = ["Remark", "Remarks"]

_OPENING, _ENDING = -1, -2  # places beside the numbers of messages
# A source, a connection's id, and the how-many-th message of the other side, or one of those.
Place = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said about a connection at one place."""

    connection_id: str
    label: str
    difference: Difference


class Remarks:
    """The differences of replays, each to be told once.

    Args:
        replays: by the numbers of their sources.
    """

    def __init__(self, replays: Mapping[int, Replay]) -> None:
        self._replays = replays
        self._known: dict[int, tuple[Difference, ...]] = {}
        self._untold: dict[int, dict[Place, list[Difference]]] = {}
        self._told: dict[int, set[Difference]] = {}
        self._came: Counter[tuple[int, str]] = Counter()  # messages of the other side
        self._numbers: dict[str, list[int]] = {}  # a script's, of the other side's messages

    def refresh(self) -> None:
        """Take note of what the replays have found since the last time."""
        for source, replay in self._replays.items():
            found = tuple(replay.differences)
            if found == self._known.get(source):
                continue
            self._known[source] = found
            told = self._told[source] = self._told.get(source, set()).intersection(found)
            untold = self._untold[source] = {}
            runs = {run.number: run for run in replay.runs}
            for each in found:
                run = runs.get(each.run)
                if each not in told and run is not None and run.connection_id:
                    place = self._place(replay, run, each, found)
                    untold.setdefault((source, run.connection_id, place), []).append(each)

    def about(self, source: int, event: Event) -> list[Remark]:
        """Return what is to be said behind an event."""
        replay = self._replays.get(source)
        if replay is None:
            return []
        key = source, event.connection_id
        if isinstance(event, MessageEvent) and event.sender != replay.side:
            self._came[key] += 1
            place = self._came[key]
        elif isinstance(event, ResponseEvent):
            place = _OPENING
        elif isinstance(event, EndedEvent):
            place = _ENDING
            self._came.pop(key, None)
        else:
            return []
        untold = self._untold.setdefault(source, {})
        fitting: list[Difference] = []
        others: list[Difference] = []
        for each in untold.pop((*key, place), ()):
            # Of a flood not every message is drawn, so that the count may be another one.
            is_it = not isinstance(event, MessageEvent) or each.seen in (None, cut(event.data))
            (fitting if is_it else others).append(each)
        if others:
            untold[*key, place] = others
        return self._tell(source, event.connection_id, fitting)

    def late(self, source: int) -> list[Remark]:
        """Return what is to be said where all events have been drawn."""
        remarks = []
        untold = self._untold.get(source) or {}
        for place in list(untold):
            remarks += self._tell(source, place[1], untold.pop(place))
        return remarks

    def _tell(self, source: int, connection_id: str, found: Sequence[Difference]) -> list[Remark]:
        if found:
            self._told[source].update(found)
        return [
            Remark(connection_id, f"{SIGNS[each.kind]} {each.kind}: {each.in_short}", each)
            for each in found
        ]

    def _place(
        self, replay: Replay, run: Run, difference: Difference, found: Sequence[Difference]
    ) -> int:
        if difference.kind == "handshake":
            return _OPENING
        if difference.kind in ("close", "error"):
            return _ENDING
        if difference.seen_number is not None:
            return difference.seen_number
        # Missing: behind what came before it.
        numbers = self._numbers.get(run.script.id)
        if numbers is None:
            other: Sender = "client" if replay.side == "server" else "server"
            numbers = [step.number for step in messages_of(run.script.steps, other)]
            self._numbers[run.script.id] = numbers
        place = bisect.bisect_left(numbers, difference.number)
        for each in found:
            if each.run == run.number and each.number < difference.number:
                place += (each.kind == "extra") - (each.kind == "missing")
        return place or _OPENING

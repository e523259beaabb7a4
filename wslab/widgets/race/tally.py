"""Tally: what each way of a race took, counted on the server's tape.

Its rule: bytes are those of HTTP and WebSocket, both directions, heads unredacted, each counted for
the way whose path its request asked for, whichever connection carried it. What TCP, TLS and IP add
is not here. A connection that is older than the round counts once it asks anew.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...wire.events import (
    BodyEvent,
    EndedEvent,
    Event,
    FrameEvent,
    RequestEvent,
    ResponseEvent,
)
from ...wire.tape.tape import Tape

__all__ = ["WAYS", "Figures", "Tally", "update_text"]

WAYS = {
    "polling": "poll",
    "long polling": "wait",
    "SSE": "events",
    "fetch stream": "stream",
    "WebSocket": "socket",
}
"""Each way, and the last part of its path."""

MAX_KEPT = 1_000  # times of requests that a way keeps, to be drawn; all are counted
_UPDATE = re.compile(rb"u(\d{1,9}):")
_TAIL = 11  # bytes that the beginning of an update's text may take, less one


def update_text(number: int, size_bytes: int) -> str:
    """Return the text of an update: its number, filled up with dots.

    Args:
        number: the update's, in its Feed.
        size_bytes: how long; at least what the number takes.
    """
    return f"u{number}:".ljust(size_bytes, ".")


@dataclass
class Figures:
    """What one way has taken so far.

    Attributes:
        requests: how many, a handshake included.
        head_bytes: of requests and answers, with their empty lines.
        bytes: all of them, heads included, in both directions.
        idle_bytes: those of ``bytes`` that came when all updates had been made.
        came_s: when each update was handed to TCP, by number, in seconds of the tape.
        late_s: how long after it was made that was, by number.
        asked_s: when requests came, up to ``MAX_KEPT``.
        refused: the status of an answer that was no success; 0 where there was none.
    """

    requests: int = 0
    head_bytes: int = 0
    bytes: int = 0
    idle_bytes: int = 0
    came_s: dict[int, float] = field(default_factory=dict)
    late_s: dict[int, float] = field(default_factory=dict)
    asked_s: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def usual_late_s(self) -> float:
        """The median of the delays, in seconds; 0 where nothing came."""
        return statistics.median(self.late_s.values()) if self.late_s else 0.0


class Tally:
    """Count the ways of one round, from now on.

    Args:
        tape: the server's.
        ways: the last part of each way's path, by its name.

    Attributes:
        ways: the figures of each way, by its name.
        made_s: when each update was made, by number, in seconds of the tape.
        idle_from_s: when the silence began; None before it.
        others: requests for something else, such as the page.
        missing: whether the tape had dropped something before it was counted.
    """

    def __init__(self, tape: Tape, ways: Mapping[str, str] = WAYS) -> None:
        self.ways = {name: Figures() for name in ways}
        self.made_s: dict[int, float] = {}
        self.idle_from_s: float | None = None
        self.others = 0
        self.missing = False
        self._names = {path: name for name, path in ways.items()}
        self._on: dict[str, str] = {}  # which way a connection serves at the moment
        self._tails: dict[str, bytes] = {}
        self._began_at = tape.began_at
        self._reader = tape.reader(reveal=True)
        for _ in self._reader.each():
            pass  # what was before this round

    def now_s(self) -> float:
        """Return the tape's time, in seconds."""
        return time.time() - self._began_at

    def made(self, number: int, at_s: float | None = None) -> None:
        """Note when an update was made, in seconds of the tape; now by default."""
        self.made_s[number] = self.now_s() if at_s is None else at_s

    def count(self) -> None:
        """Count what has come onto the tape since the last time."""
        self.take(self._reader.each())

    def take(self, events: Iterable[Event]) -> None:
        """Count events, in the order in which they happened."""
        for event in events:
            if isinstance(event, RequestEvent):
                path = event.request.target.partition("?")[0].rpartition("/")[2]
                self._tails.pop(event.connection_id, None)
                if path in self._names:
                    self._on[event.connection_id] = self._names[path]
                else:
                    self.others += 1
                    self._on.pop(event.connection_id, None)
            if event.kind == "dropped":
                self.missing = True
            if (way := self._on.get(event.connection_id)) is not None:
                self._add(self.ways[way], event)
            if isinstance(event, EndedEvent):
                self._on.pop(event.connection_id, None)
                self._tails.pop(event.connection_id, None)

    def _add(self, way: Figures, event: Event) -> None:
        size_bytes, content = 0, b""
        if isinstance(event, RequestEvent):
            way.requests += 1
            if len(way.asked_s) < MAX_KEPT:
                way.asked_s.append(event.at_s)
            size_bytes = len(event.request.raw)
            way.head_bytes += size_bytes
        elif isinstance(event, ResponseEvent):
            head, content = event.response.raw, event.response.body
            size_bytes = len(head) + len(content)
            way.head_bytes += len(head)
            if event.response.status >= 400:
                way.refused = event.response.status
        elif isinstance(event, BodyEvent):
            size_bytes, content = len(event.data), event.data
        elif isinstance(event, FrameEvent):
            size_bytes, content = event.size_bytes, event.payload
        way.bytes += size_bytes
        if self.idle_from_s is not None and event.at_s > self.idle_from_s:
            way.idle_bytes += size_bytes
        if content and event.sender == "server":
            self._look_for_updates(way, event, content)

    def _look_for_updates(self, way: Figures, event: Event, content: bytes) -> None:
        data = self._tails.get(event.connection_id, b"") + content
        self._tails[event.connection_id] = data[-_TAIL:]
        for found in _UPDATE.finditer(data):
            number = int(found[1])
            if number in self.made_s and number not in way.came_s:
                way.came_s[number] = event.at_s
                way.late_s[number] = max(0.0, event.at_s - self.made_s[number])

"""Comparison: one side's messages as they come, held against the record's.

Its rule: what matches in order is settled at once. After a first message that does not, a window of
the record and of what came is aligned, and settled when two in a row match again; meanwhile each
message counts as one of the record's, so that the replay goes on. Left out: time, and connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..wire.sender import Sender
from .alignment import Alignment, Op
from .differences import Difference, DifferenceLog, Kind, cut, hidden
from .matching import Matcher, Message
from .script import Step

__all__ = ["Comparison", "Seen"]

MAX_PENDING = 32  # messages that wait to be read in the light of those that follow
MAX_PENDING_BYTES = 2**20
_AHEAD = 16  # messages of the record that may be missing in between
_REMEMBERED = 32  # messages that may have come at another place
_REMEMBERED_BYTES = 2**16  # of each that came


class Seen(NamedTuple):
    """A message that came: the how-many-th, when (seconds since opening), what, and its length."""

    number: int
    at_s: float
    data: Message
    size: int


class Comparison:
    """Holds what comes against the messages that the record has of that side.

    Args:
        expected: those messages, in order.
        sender: whose they are.
        matcher: compares two.
        log: takes the differences.
        connection, run: what they shall say of the connection.

    Attributes:
        reached: how many of the record's messages count as having come.
        seen: how many came.
    """

    def __init__(
        self,
        expected: Sequence[Step],
        sender: Sender,
        matcher: Matcher,
        log: DifferenceLog,
        connection: str,
        run: int = 1,
    ) -> None:
        self.reached = 0
        self.seen = 0
        self._expected = expected
        self._sender: Sender = sender
        self._matcher = matcher
        self._log = log
        self._connection = connection
        self._run = run
        self._base = 0  # of the record's messages: before it all is settled
        self._window: Sequence[Step] = ()
        self._alignment: Alignment | None = None
        self._pending: list[Seen] = []
        self._pending_bytes = 0
        # What may turn out to have come at another place, each with its number in the log.
        self._missing: deque[tuple[int, Step]] = deque(maxlen=_REMEMBERED)
        self._extra: deque[tuple[int, Seen]] = deque(maxlen=_REMEMBERED)
        # What may turn out to be too many, since what it was taken for comes yet.
        self._changed: deque[tuple[int, Step, Seen]] = deque(maxlen=_REMEMBERED)

    @property
    def left(self) -> int:
        """How many of the record's messages have not come."""
        return len(self._expected) - self.reached

    def see(self, data: Message, at_s: float) -> None:
        """Take a message that came."""
        self.seen += 1
        seen = Seen(self.seen, at_s, data, len(data))
        if self._alignment is None:
            if self._base < len(self._expected):
                step = self._expected[self._base]
                if self._matcher.bind(step.data, data):
                    self._base += 1
                    self.reached = max(self.reached, self._base)
                    return
            else:
                self._found_extra(seen)
                return
            self._window = self._expected[self._base : self._base + MAX_PENDING + _AHEAD]
            self._alignment = Alignment(len(self._window))
        self._pending.append(seen)
        self._pending_bytes += len(data)
        self._alignment.add([self._matcher.matches(step.data, data) for step in self._window])
        ops = self._alignment.ops()
        last = ops[-1]
        if last.kind == "same" and last.expected is not None:
            # Whatever went before, what is played next needs to know what this one binds.
            self._matcher.bind(self._window[last.expected].data, data)
        elif last.kind == "changed" and last.expected is not None:
            self._matcher.guess(self._window[last.expected].data, data)
        self.reached = max(self.reached, self._base + _reach(ops))
        is_together_again = len(ops) > 1 and ops[-2].kind == last.kind == "same"
        if (
            is_together_again
            or len(self._pending) == MAX_PENDING
            or self._pending_bytes > MAX_PENDING_BYTES
        ):
            self._settle(ops)

    def give_up(self, note: str) -> None:
        """Wait no longer for the next message: it is missing."""
        goal = self.reached + 1
        if self._alignment is not None:
            self._settle(self._alignment.ops())
        for step in self._expected[self._base : goal]:
            self._found_missing(step, note)
        self._base = max(self._base, goal)
        self.reached = max(self.reached, self._base)

    def finish(self, note: str) -> None:
        """Take note that nothing more comes: what is left of the record is missing."""
        if self._alignment is not None:
            is_all = self._base + len(self._window) == len(self._expected)
            self._settle(self._alignment.ops(is_over=is_all), note)
        for step in self._expected[self._base :]:
            self._found_missing(step, note)
        self._base = self.reached = len(self._expected)

    def _settle(self, ops: Sequence[Op], note: str = "") -> None:
        """Say what the window's differences are, and begin anew behind it."""
        window, pending, base = self._window, self._pending, self._base
        self._window, self._pending, self._alignment = (), [], None
        self._pending_bytes = 0
        self._matcher.forget_guesses()
        self._base += _reach(ops)
        self.reached = max(self.reached, self._base)
        for op in ops:
            if op.kind == "missing":
                assert op.expected is not None
                self._found_missing(window[op.expected], note)
            elif op.seen is not None:
                seen = pending[op.seen]
                if op.kind == "extra":
                    # Counted as it would stand on the record: behind what has come before it.
                    before = sum(1 for each in ops[: ops.index(op)] if each.expected is not None)
                    self._found_extra(seen, base + before)
                elif op.kind == "changed":
                    assert op.expected is not None
                    step = window[op.expected]
                    serial = self._add(
                        "changed",
                        step,
                        seen,
                        self._matcher.explain(hidden(step.data), hidden(seen.data)),
                    )
                    self._changed.append((serial, step, seen._replace(data=cut(seen.data))))

    def _found_missing(self, step: Step, note: str) -> None:
        for index, (serial, seen) in enumerate(self._extra):
            if self._matcher.bind(step.data, seen.data):
                del self._extra[index]
                self._log.take_back(serial)
                self._add("order", step, seen, f"it came as their message {seen.number}, too early")
                return
        self._missing.append((self._add("missing", step, None, note), step))

    def _found_extra(self, seen: Seen, place: int | None = None) -> None:
        for index, (serial, step) in enumerate(self._missing):
            if self._matcher.bind(step.data, seen.data):
                del self._missing[index]
                self._log.take_back(serial)
                self._add("order", step, seen, f"it came as their message {seen.number}, too late")
                return
        for index, (serial, taken_for, other) in enumerate(self._changed):
            if self._matcher.bind(taken_for.data, seen.data):
                del self._changed[index]
                self._log.take_back(serial)
                self._add("extra", taken_for, other, "")
                return
        place = len(self._expected) if place is None else place
        before = self._expected[place - 1] if place else None
        serial = self._add("extra", before, seen, "")
        if len(seen.data) <= _REMEMBERED_BYTES:
            self._extra.append((serial, seen))

    def _add(self, kind: Kind, step: Step | None, seen: Seen | None, note: str) -> int:
        return self._log.add(
            Difference(
                kind,
                self._connection,
                self._sender,
                expected=None if step is None or kind == "extra" else hidden(step.data),
                seen=None if seen is None else cut(seen.data),
                number=0 if step is None else step.number,
                at_s=0.0 if step is None else step.at_s,
                seen_number=None if seen is None else seen.number,
                seen_s=None if seen is None else seen.at_s,
                seen_size=0 if seen is None else seen.size,
                note=note,
                run=self._run,
            )
        )


def _reach(ops: Sequence[Op]) -> int:
    return sum(1 for op in ops if op.expected is not None)

"""Player: what to do next, where one side of a record is played against the other, live.

Its rule: what the record has of our side is done when all before it has been done or has come.
Since the other side could do the same without it when it was recorded, neither waits for the other
in vain. Pure: it is told the time and what comes, and says what to do; who does it is a shell.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.sender import Sender
from .comparison import Comparison
from .differences import Difference, DifferenceLog, Kind
from .matching import Matcher, Message
from .run import Run
from .script import Step, messages_of

__all__ = ["Abort", "Action", "Catch", "Close", "Ping", "Player", "Send", "Wait", "gap_factor"]

MAX_SILENCES = 3  # waits in a row in which nothing comes, before the play is over


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    data: Message


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping with this payload, and do not wait for its pong."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Catch:
    """Send a ping of our own and hand over all that comes before its pong: nothing may be missed.

    Between a record's last message and its end.
    """


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code and reason; 1005 is none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """End TCP without a close frame."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for what comes, so many seconds at the most; None: until the connection ends."""

    at_most_s: float | None


Action = Send | Ping | Catch | Close | Abort | Wait


def gap_factor(timing: object) -> float:
    """Return by what the record's pauses are multiplied: 0.0 for none at all.

    Args:
        timing: "asap"; "recorded", which is 1.0; or how many times as fast: 2.0 halves them.

    Raises:
        ValueError: it is none of these.
    """
    if timing == "asap":
        return 0.0
    if timing == "recorded":
        return 1.0
    if isinstance(timing, int | float) and not isinstance(timing, bool) and 0 < timing < 1e9:
        return 1.0 / timing
    raise ValueError(
        'expected timing= to be "asap", "recorded" or how many times as fast, such as 2.0, got '
        f"{timing!r}"
    )


class Player:
    """Plays one side of a script, once.

    Args:
        run: what is played.
        side: whose part is played.
        matcher: compares what the other side sends.
        log: takes the differences.
        factor: of the record's pauses; see :func:`gap_factor`.
        timeout_s: how long the other side may be silent beyond them, in seconds.
        now_s: the time at which the connection opened, on any clock.

    Attributes:
        comparison: of what the other side sends.
        is_played: nothing of the record is left to do or to wait for.
        is_ours: it is this side that ends the connection.
        is_over: the connection has ended, too.
    """

    def __init__(
        self,
        run: Run,
        side: Sender,
        matcher: Matcher,
        log: DifferenceLog,
        *,
        factor: float,
        timeout_s: float,
        now_s: float,
    ) -> None:
        self._run = run
        self._script = script = run.script
        self._side = side
        self._other: Sender = "client" if side == "server" else "server"
        self._matcher = matcher
        self._log = log
        self._factor = factor
        self._timeout_s = timeout_s
        self._opened_s = self._since_s = now_s  # since: the step before was done
        self._steps = script.steps
        self._at = 0
        self._passed = 0  # of the other side's messages, by the steps before
        self._silences = 0
        self._is_caught = False
        self.is_ours = self.is_played = self.is_over = False
        self.comparison = Comparison(
            messages_of(script.steps, self._other),
            self._other,
            matcher,
            log,
            script.name,
            run.number,
        )

    def next(self, now_s: float) -> Action:
        """Return what to do now; ask again when it is done."""
        while self._at < len(self._steps):
            step = self._steps[self._at]
            if step.kind in ("close", "end"):
                return self._ending(step, now_s)
            if step.sender == self._side:
                wait_s = self._since_s + self._gap_s(step) - now_s
                if wait_s > 0:
                    return Wait(wait_s)
                self._done(now_s)
                if step.kind == "message":
                    return Send(self._matcher.replaced(step.data))
                assert isinstance(step.data, bytes)
                return Ping(step.data)
            if step.kind == "message":
                if self._passed < self.comparison.reached:
                    self._passed += 1
                elif self._left_s(step, now_s) > 0:
                    return Wait(self._left_s(step, now_s))
                else:
                    self._fall_silent()
                    continue
            self._done(now_s)
        self.comparison.finish("the record was over")
        if self._side == "server":
            self.is_played = True
            return Wait(None)  # the record does not say how it ended
        return self._ours(Close(1000, ""))

    def message(self, data: Message, now_s: float) -> None:
        """Take a message that came."""
        if self.is_ours:
            return  # it has crossed our close frame: nobody knows whether the record's did
        self._silences = 0
        self.comparison.see(data, now_s - self._opened_s)

    def closed(
        self, code: int, reason: str, now_s: float, *, by_us: bool, was_busy: bool = False
    ) -> None:
        """Take note that the connection has ended; 1006: without a close frame.

        Args:
            code, reason: the close frame's.
            now_s: the time.
            by_us: it is this side that closed first.
            was_busy: it ended while we sent, without a pause: it may have come no earlier than on
                the record.
        """
        if self.is_over:
            return
        self.is_played = self.is_over = True
        self.comparison.finish("the connection ended before")
        end = self._script.end
        if by_us or (self.is_ours and code == 1006):
            return
        unsent = self._unsent()
        note = f"{unsent} of the {self._side}'s messages had not been played" if unsent else ""
        said = _said(code, reason) + (", too early" if unsent else "")
        if end is None:
            if unsent:
                self._differ("close", "an open connection", said, note)
        elif end.kind == "end":
            if code != 1006:
                self._differ("close", "an end without a close frame (1006)", said, note)
        elif end.sender == self._side:
            self._differ("close", f"{_said(end.code, end.reason)} by the {self._side}", said, note)
        elif (end.code, end.reason) != (code, reason) or (unsent and not was_busy):
            self._differ("close", _said(end.code, end.reason), said, note)

    def fail(self, kind: Kind, expected: str, seen: str) -> None:
        """Take note that the play cannot go on, and of what is missing then."""
        self._differ(kind, expected, seen, "")
        if not self.is_over:
            self.is_played = self.is_over = True
            self.comparison.finish("the replay had ended")

    # Inside.

    def _done(self, now_s: float) -> None:
        self._at += 1
        self._since_s = now_s

    def _gap_s(self, step: Step) -> float:
        if not self._factor:
            return 0.0
        before_s = self._steps[self._at - 1].at_s if self._at else self._script.began_s
        return max(0.0, step.at_s - before_s) * self._factor

    def _left_s(self, step: Step, now_s: float) -> float:
        return self._since_s + self._gap_s(step) + self._timeout_s - now_s

    def _fall_silent(self) -> None:
        self._silences += 1
        if self._silences < MAX_SILENCES:
            self.comparison.give_up(f"it did not come within {self._timeout_s:g} s")
            return
        self.comparison.finish(f"nothing came in {MAX_SILENCES} waits of {self._timeout_s:g} s")
        end = self._script.end
        self._at = len(self._steps) if end is None else self._steps.index(end)

    def _ending(self, step: Step, now_s: float) -> Action:
        if step.sender == self._other:
            left_s = self._left_s(step, now_s)
            if left_s > 0:
                return Wait(left_s)
            if not self._is_caught:
                self._differ("close", _said(step.code, step.reason), "silence", "")
            return self._ours(Close(step.code, step.reason))
        wait_s = self._since_s + self._gap_s(step) - now_s
        if wait_s > 0:
            return Wait(wait_s)
        if step.kind == "end":
            return self._ours(Abort())
        return self._ours(Close(step.code, step.reason))

    def _ours(self, action: Action) -> Action:
        """Return what ends the connection from our side; what is on its way to us comes first."""
        if not self._is_caught:
            self._is_caught = True
            return Catch()
        self.is_ours = True
        return action

    def _unsent(self) -> int:
        return len(messages_of(self._steps[self._at :], self._side))

    def _differ(self, kind: Kind, expected: str, seen: str, note: str) -> None:
        before = self._steps[min(self._at, len(self._steps)) - 1] if self._at else None
        self._log.add(
            Difference(
                kind,
                self._script.name,
                self._other,
                expected=expected,
                seen=seen,
                number=before.number if before else 0,
                at_s=before.at_s if before else self._script.began_s,
                seen_size=len(seen),
                note=note,
                run=self._run.number,
            )
        )


def _said(code: int, reason: str) -> str:
    if code == 1005:
        return "a close frame without a code"
    if code == 1006:
        return "an end without a close frame (1006)"
    return f"close {code}" + (f" {reason!r:.130}" if reason else "")

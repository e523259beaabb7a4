"""Differences: where a replay and its record are not the same, to be read and counted.

Its rule: what a live peer can make grow is bounded: of a message that came the beginning is kept,
and of differences the first ones; the rest is counted. How they are found is `comparison`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

from ..wire.connection.token_redaction import hide_tokens
from ..wire.sender import Sender
from .matching import Message

__all__ = ["SIGNS", "Difference", "DifferenceLog", "Differences", "Kind"]

MAX_DIFFERENCES = 1_000
MAX_SEEN = 2**12  # characters or bytes that are kept of a message that came
_SHOWN = 120  # characters of a message in a line
_ROWS = 50

SIGNS = {
    "missing": "−",
    "extra": "+",
    "changed": "≠",
    "order": "⇅",
    "close": "≠",
    "handshake": "≠",
    "error": "!",
}

Kind = Literal["missing", "extra", "changed", "order", "close", "handshake", "error"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which a replay is not what the record has.

    Attributes:
        kind: "missing" (it did not come), "extra" (it is not on the record), "changed", "order" (it
            came at another place), "close" (how the connection ended), "handshake", or "error" (the
            replay itself failed).
        connection: the connection's label or id on the record.
        sender: whose message it is.
        expected: what the record has: a message, or words; None for nothing. Session tokens are
            redacted in it, as in what came.
        seen: what came, its first 4,096 characters or bytes; None for nothing.
        number: of the message on the record, both sides' counted from 1; of what is extra the one
            that it came after.
        at_s: when that was, in seconds of the record.
        seen_number: which of the other side's messages it was in this run, counted from 1.
        seen_s: when it came, in seconds since this run's connection opened.
        seen_size: how long what came was, in characters or bytes.
        note: more about it, in words.
        run: which of this replay's connections it was found on, counted from 1.
    """

    kind: Kind
    connection: str
    sender: Sender
    expected: Message | None = None
    seen: Message | None = None
    number: int = 0
    at_s: float = 0.0
    seen_number: int | None = None
    seen_s: float | None = None
    seen_size: int = 0
    note: str = ""
    run: int = 1

    @property
    def where(self) -> str:
        """The place on the record, in words."""
        if self.kind == "handshake":
            return f"handshake of {self.connection}"
        place = "after message" if self.kind in ("extra", "close", "error") else "message"
        number = "before the first message" if not self.number else f"{place} {self.number}"
        return f"{self.connection}, {number}, at {self.at_s:.3f} s, from the {self.sender}"

    @property
    def text(self) -> str:
        """What was expected, and what came."""
        if self.kind in ("close", "handshake", "error"):
            return f"expected {self.expected!s}, got {self.seen!s}"
        expected = "nothing" if self.expected is None else _shown(self.expected)
        seen = "nothing" if self.seen is None else _shown(self.seen, self.seen_size)
        if self.kind == "order":
            return f"{expected} came at another place"
        return f"expected {expected}, got {seen}"

    @property
    def in_short(self) -> str:
        """What is different, for where the message stands beside it."""
        if self.kind == "changed" and self.note:
            return self.note
        return self.text + (f" ({self.note})" if self.note else "")

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.kind}: {self.where}: {self.text}{note}"


class Differences(Sequence[Difference]):
    """The differences of a replay, in the order in which they were found; false for none.

    Args:
        found: those that were kept.
        dropped: how many more there were.
    """

    def __init__(self, found: Sequence[Difference] = (), dropped: int = 0) -> None:
        self._found = tuple(found)
        self.dropped = dropped

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> Difference: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Difference]: ...

    def __getitem__(self, index: int | slice) -> Difference | Sequence[Difference]:
        return self._found[index]

    def __repr__(self) -> str:
        total = len(self) + self.dropped
        if not total:
            return "no differences"
        lines = [f"{total:,} difference{'' if total == 1 else 's'}"]
        lines += [f"[{n}] {one}" for n, one in enumerate(self._found[:_ROWS])]
        if total > _ROWS:
            lines.append(f"and {total - _ROWS:,} more")
        if self.dropped:
            lines.append(f"of which {self.dropped:,} were counted and not kept")
        return "\n".join(lines)


class DifferenceLog:
    """Where a replay puts what it finds; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[int, Difference] = {}
        self._serial = 0
        self._dropped = 0

    def add(self, difference: Difference) -> int:
        """Keep a difference, or count it; return the number by which it can be taken back."""
        with self._lock:
            self._serial += 1
            if len(self._found) < MAX_DIFFERENCES:
                self._found[self._serial] = difference
            else:
                self._dropped += 1
            return self._serial

    def take_back(self, serial: int) -> None:
        """Take a difference out: what came later shows it in another light."""
        with self._lock:
            if self._found.pop(serial, None) is None:
                self._dropped -= 1

    def snapshot(self) -> Differences:
        """Return what has been found so far."""
        with self._lock:
            return Differences(list(self._found.values()), self._dropped)


def hidden(message: Message) -> Message:
    """Return a message without the token that it tells, if it is a packet that does."""
    return hide_tokens(message) if isinstance(message, str) else message


def cut(message: Message) -> Message:
    """Return what is kept of a message that came."""
    return hidden(message)[:MAX_SEEN]


def _shown(message: Message, size: int = 0) -> str:
    said = repr(message[: _SHOWN + 1])
    size = max(size, len(message))
    if size <= _SHOWN:
        return said
    unit = "characters" if isinstance(message, str) else "bytes"
    return f"{message[:_SHOWN]!r}… ({size:,} {unit})"

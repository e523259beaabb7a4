"""The bytes under way to one end of a connection, with what the conditions there do to them.

Pure: the caller says what time it is. Its rule: bytes come out in the order in which they went in,
each once, and behind them at most one FIN and one RST (RFC 9293 §3.6, §3.5.2), as Linux shows them
to a reader: RST after the bytes that came before it. How much may be under way is for the writer to
keep to; what many small writes cost beyond their bytes has its bound here.
"""

from __future__ import annotations

import collections
import enum
import random
from typing import Final

from .conditions import Conditions

__all__ = ["Mark", "Pipe"]

_JOIN_S: Final = 0.001  # what is written within so much time travels as one
_JOIN_PART: Final = 0.01  # or within such a part of the longest way, which bounds the pieces
_JOIN_BYTES: Final = 2**16
_PACKET_BYTES: Final = 1448  # what a TCP segment carries on Ethernet, with time stamps
_TICK_S: Final = 0.01  # where packets come faster than this, several are one piece


class Mark(enum.Enum):
    """What comes behind the last byte."""

    FIN = "the other end sends no more"
    RST = "the connection is void"


class Pipe:
    """One direction of a connection.

    Args:
        conditions: of the end that reads.
        seed: of the times and the cuts; the same bytes are cut at the same places again.

    Attributes:
        size_bytes: how much is under way.
        has_fin: whether FIN is under way, or was.
    """

    __slots__ = (
        "_coming",
        "_conditions",
        "_cuts",
        "_delays",
        "_passed_s",
        "_until_cut",
        "has_fin",
        "size_bytes",
    )

    def __init__(self, conditions: Conditions, seed: str) -> None:
        self._conditions = conditions
        # Two, since reads and writes mix in another order each time.
        self._delays = random.Random(f"{seed} delays")
        self._cuts = random.Random(f"{seed} cuts")
        self._until_cut = 0  # bytes, where pieces are cut
        self._passed_s = 0.0  # when the last byte had passed, where so many pass in a second
        self._coming: collections.deque[tuple[float, bytearray | Mark]] = collections.deque()
        self.size_bytes = 0
        self.has_fin = False

    def put(self, what: bytes | Mark, now_s: float) -> None:
        """Send bytes, or what comes behind them, on their way."""
        conditions = self._conditions
        due_s = now_s + conditions.delay_s
        if conditions.jitter_s:
            due_s += conditions.jitter_s * self._delays.random()
        last_s, last = self._coming[-1] if self._coming else (0.0, Mark.FIN)
        due_s = max(due_s, last_s)
        if isinstance(what, Mark):
            self._coming.append((due_s, what))
            self.has_fin |= what is Mark.FIN
            return
        self.size_bytes += len(what)
        longest_s = conditions.delay_s + conditions.jitter_s
        is_as_late = due_s - last_s < max(_JOIN_S, _JOIN_PART * longest_s) or due_s <= now_s
        if isinstance(last, bytearray) and len(last) + len(what) <= _JOIN_BYTES and is_as_late:
            last += what
        else:
            self._coming.append((due_s, bytearray(what)))

    def take(self, now_s: float, max_bytes: int) -> bytes | Mark | None:
        """Return what has come and can be read now, or None where that is nothing."""
        if not self.has_come(now_s):
            return None
        first_s, first = self._coming[0]
        if isinstance(first, Mark):
            self._coming.popleft()
            return first
        rate = self._conditions.bytes_per_s
        if rate is not None:
            max_bytes = min(max_bytes, len(first), _piece_bytes(rate))
        most = self._conditions.max_chunk_bytes
        if most is None:
            self._until_cut = 0
        else:
            self._until_cut = self._until_cut or self._cuts.randint(1, most)
            max_bytes = min(max_bytes, self._until_cut)
        taken = bytearray()
        while self._coming and len(taken) < max_bytes:
            due_s, chunk = self._coming[0]
            if due_s > now_s or isinstance(chunk, Mark):
                break
            wanted = max_bytes - len(taken)
            taken += chunk[:wanted]
            if len(chunk) > wanted:
                del chunk[:wanted]
            else:
                self._coming.popleft()
        if most is not None:
            self._until_cut -= len(taken)
        if rate is not None:
            self._passed_s = max(first_s, self._passed_s) + len(taken) / rate
        self.size_bytes -= len(taken)
        return bytes(taken)

    def drop_beyond(self, size_bytes: int) -> None:
        """Forget the last bytes, so that no more than so many are under way."""
        kept: collections.deque[tuple[float, bytearray | Mark]] = collections.deque()
        for due_s, what in self._coming:
            if isinstance(what, Mark):
                kept.append((due_s, what))
            elif size_bytes > 0:
                kept.append((due_s, what[:size_bytes]))
                size_bytes -= len(what)
        self._coming = kept
        self.size_bytes = sum(len(what) for _, what in kept if isinstance(what, bytearray))

    def hasten(self) -> None:
        """Let all that is under way be due, as where the conditions are no more."""
        self._coming = collections.deque((0.0, what) for _, what in self._coming)

    def note_change(self, now_s: float) -> None:
        """Take note of other conditions: what has stood still is not made up for."""
        rate = self._conditions.bytes_per_s
        if rate is not None:
            self._passed_s = max(self._passed_s, now_s - _piece_bytes(rate) / rate)

    def has_come(self, now_s: float) -> bool:
        """Whether something can be read now."""
        due_s = self.due_s()
        return due_s is not None and due_s <= now_s

    def has_reset(self, now_s: float) -> bool:
        """Whether RST has come, read or not."""
        due_s = self.reset_s()
        return due_s is not None and due_s <= now_s

    def reset_s(self) -> float | None:
        """Return when RST comes to an end that reads nothing; None where none is under way."""
        if not self._coming or self._conditions.is_cut:
            return None
        due_s, last = self._coming[-1]
        return due_s if last is Mark.RST else None

    @property
    def is_empty(self) -> bool:
        """Whether neither bytes nor what comes behind them are under way."""
        return not self._coming

    def due_s(self) -> float | None:
        """Return when the next piece comes; None where nothing is under way, or the line is cut."""
        if not self._coming or self._conditions.is_cut:
            return None
        due_s, first = self._coming[0]
        rate = self._conditions.bytes_per_s
        if rate is None or isinstance(first, Mark):
            return due_s
        return max(due_s, self._passed_s) + min(len(first), _piece_bytes(rate)) / rate


def _piece_bytes(rate: float) -> int:
    return max(_PACKET_BYTES, int(rate * _TICK_S))

"""HeldBytes: what many readers hold of frames, heads and messages that are not complete.

Its rule: when they take more together than a bound, those that take most let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded when somebody first asks what bytes mean: recording does without
    from ..connection.reader import ConnectionReader

__all__ = ["HeldBytes"]


class HeldBytes:
    """What is held, by connection.

    Args:
        max_bytes: when they take more together, those that take most let go; see
            ``ConnectionReader.let_go``.

    Attributes:
        total: bytes that are held.
    """

    __slots__ = ("_each", "max_bytes", "total")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total = 0
        self._each: dict[int, int] = {}  # by the track's number; those with nothing left out

    def note(self, number: int, reader: ConnectionReader) -> None:
        """Take note of what a connection's reader holds now."""
        held = reader.held
        self.total += held - self._each.get(number, 0)
        if held:
            self._each[number] = held
        else:
            self._each.pop(number, None)

    def forget(self, number: int) -> None:
        """Forget a connection whose reader is gone."""
        self.total -= self._each.pop(number, 0)

    def trim(self, reader_of: Callable[[int], ConnectionReader]) -> None:
        """Have the largest let go where all together hold too much."""
        if self.total <= self.max_bytes:
            return
        for number in sorted(self._each, key=self._each.__getitem__, reverse=True):
            reader = reader_of(number)
            reader.let_go()
            self.note(number, reader)
            if self.total <= self.max_bytes // 2:
                return

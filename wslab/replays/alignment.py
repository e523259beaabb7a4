"""Alignment: which of the messages that came stands for which of the record, where some differ.

The one rule: the fewest differences win. One that is missing or too many costs 2, one that is
changed 3, so that a change is one difference and not two. It grows message by message, over a
window of the record, and costs the window's length each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["Alignment", "Op"]

_GAP, _CHANGED = 2, 3


class Op(NamedTuple):
    """One step of an alignment; ``expected`` and ``seen`` are places, None where there is none."""

    kind: Literal["same", "changed", "missing", "extra"]
    expected: int | None
    seen: int | None


class Alignment:
    """The cheapest way to read what came as the record's next messages.

    Args:
        size: how many of the record's messages it looks at.
    """

    def __init__(self, size: int) -> None:
        self._costs = [[_GAP * j for j in range(size + 1)]]
        self._same: list[list[bool]] = []

    def add(self, same: Sequence[bool]) -> None:
        """Take one more message that came.

        Args:
            same: for each of the record's messages, whether this one matches it.
        """
        before = self._costs[-1]
        costs = [before[0] + _GAP]
        for j, is_same in enumerate(same):
            paired = before[j] + (0 if is_same else _CHANGED)
            costs.append(min(paired, before[j + 1] + _GAP, costs[j] + _GAP))
        self._costs.append(costs)
        self._same.append(list(same))

    def ops(self, *, is_over: bool = False) -> list[Op]:
        """Return the cheapest reading, in order.

        Args:
            is_over: nothing more comes, so that all that is left of the record is missing. Else it
                ends where what follows has the best prospects.
        """
        costs, i = self._costs[-1], len(self._same)
        # What is ahead of the record now will be short of it later.
        j = min(range(len(costs)), key=lambda j: costs[j] + _GAP * max(0, i - j))
        if is_over:
            j = len(costs) - 1
        found: list[Op] = []
        while i or j:
            cost = self._costs[i][j]
            is_same = i > 0 and j > 0 and self._same[i - 1][j - 1]
            # Of two that cost the same, the one that reads a message as an earlier one.
            if j and cost == self._costs[i][j - 1] + _GAP:
                j -= 1
                found.append(Op("missing", j, None))
            elif is_same and cost == self._costs[i - 1][j - 1]:
                i, j = i - 1, j - 1
                found.append(Op("same", j, i))
            elif i and cost == self._costs[i - 1][j] + _GAP:
                i -= 1
                found.append(Op("extra", None, i))
            else:
                i, j = i - 1, j - 1
                found.append(Op("changed", j, i))
        return found[::-1]

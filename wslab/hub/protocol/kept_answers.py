"""The answers to one session's latest calls, in case they are asked for again.

Its rule: a call whose answer was lost with a connection is never handled twice; its answer is sent
again, or its caller is told that it is no longer kept.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["KeptAnswers"]

MAX_ANSWERS = 1000
ANSWER_BYTES = 300  # what each takes beside its message (CPython 3.11, rounded up)
M = TypeVar("M")


class KeptAnswers(Generic[M]):
    """Answers by the number of the packet that asked, the latest of them; bounded by its owner."""

    __slots__ = ("_answers", "size_bytes")

    def __init__(self) -> None:
        self._answers: collections.OrderedDict[int, tuple[M, int]] = collections.OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, n: int) -> bool:
        return n in self._answers

    def items(self) -> Iterator[tuple[int, M, int]]:
        """Yield (number of the packet, answer, bytes of it) for each, the oldest first."""
        for n, (answer, size_bytes) in self._answers.items():
            yield n, answer, size_bytes - ANSWER_BYTES

    def after(self, n: int) -> list[tuple[int, M]]:
        """Return the answers to packets behind packet n, the oldest first."""
        found: list[tuple[int, M]] = []
        for number in reversed(self._answers):
            if number <= n:
                break
            found.append((number, self._answers[number][0]))
        return found[::-1]

    @property
    def first(self) -> int | None:
        """The number of the packet whose answer is the oldest; None where there is none."""
        return next(iter(self._answers), None)

    def get(self, n: int) -> M | None:
        """Return the answer to packet n, or None."""
        kept = self._answers.get(n)
        return kept[0] if kept is not None else None

    def add(self, n: int, answer: M, size_bytes: int) -> None:
        """Keep the answer to packet n."""
        size_bytes += ANSWER_BYTES
        self._answers[n] = answer, size_bytes
        self.size_bytes += size_bytes

    def drop_oldest(self) -> None:
        """Let go of the oldest one."""
        _, (_, size_bytes) = self._answers.popitem(last=False)
        self.size_bytes -= size_bytes

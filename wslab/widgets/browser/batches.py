"""Batches: what a page tells, put back into the order in which it told it.

Its rule: a batch is taken once, in its turn, and answered; those that overtook others on the
kernel's threads wait, as many as a page of ours can be ahead, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .record import bytes_of

__all__ = ["Batches"]

MAX_EARLY = 8  # batches that overtook others, and at most so many bytes of them:
MAX_EARLY_BYTES = 32 * 2**20

Json = dict[str, Any]


class Batches:
    """The numbered batches of the page that has the sockets.

    Attributes:
        ack: the last one that was taken, which is what the page is told.
    """

    def __init__(self) -> None:
        self.ack = 0
        self.early: dict[int, tuple[Json, list[Any]]] = {}
        self.early_bytes = 0

    def put(self, said: Json, buffers: list[Any]) -> bool:
        """Take a batch in; False where it is too far ahead of the others to be kept."""
        number, size = int(said["number"]), _size_bytes(said, buffers)
        if number <= self.ack or number in self.early:
            return True
        is_early = number > self.ack + 1
        is_full = len(self.early) >= MAX_EARLY or self.early_bytes + size > MAX_EARLY_BYTES
        if is_early and is_full:
            return False  # no page of ours is so far ahead: after a few it waits for an answer
        self.early[number] = said, buffers
        self.early_bytes += size
        return True

    def take(self) -> Iterator[tuple[Json, list[Any]]]:
        """Take out those whose turn it is, in order."""
        while self.ack + 1 in self.early:
            self.ack += 1
            said, buffers = self.early.pop(self.ack)
            self.early_bytes -= _size_bytes(said, buffers)
            yield said, buffers


def _size_bytes(said: Json, buffers: list[Any]) -> int:
    """Return about how much memory a batch stands for."""
    parts = [*said["events"], *said.get("orders", ())]
    texts = sum(bytes_of(str(part.get("data") or "")) for part in parts)
    return 300 * len(parts) + texts + sum(map(len, buffers))

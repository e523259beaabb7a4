"""What becomes of a room that is closed: an int that may be awaited.

Its rule: as with an emit, whoever does not wait for it need not: where several processes serve the
hub, what is emitted to the room from now on comes behind its closing anyway.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .delivery import Delivery

__all__ = ["RoomClosing"]


class RoomClosing(int):
    """How many clients of this process were in a room when it was to be closed.

    Awaiting it waits until they have left, and returns how many that were. Where one process serves
    the hub they have left at once; where many do, when the closing has its place among what is
    said; without Redis at once, too.

    Attributes:
        left: how many have left so far.
    """

    left: int
    _delivery: Delivery

    def __new__(cls, count: int, room: str) -> RoomClosing:
        closing = super().__new__(cls, count)
        closing.left, closing._delivery = 0, Delivery(None, (room,), None)
        return closing

    def __await__(self) -> Generator[Any, None, int]:
        _ = yield from self._delivery.__await__()
        return self.left

    # For the backplane: it is a `Local`.

    def expect(self) -> None:
        """Note that it is done later."""
        self._delivery.expect()

    def told_tokens(self) -> tuple[str, ...]:
        """Return whom it was told without a place: nobody is told."""
        return ()

    def settle(self, *, is_queued: bool = False) -> None:
        """Let go of whoever awaits it; on the hub's loop."""
        self._delivery.settle()

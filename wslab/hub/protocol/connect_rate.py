"""How often an address connects: so many times a minute, and as many at once.

Pure: no clock. Its rule: what is remembered is bounded, and of whoever was let in the longest ago
it is forgotten first; a flood of addresses can have that its own are forgotten, and no more.
"""

from __future__ import annotations

import collections
from typing import Final

__all__ = ["MAX_ADDRESSES", "ConnectRate"]

MAX_ADDRESSES: Final = 10_000  # that are remembered, of some 250 bytes each
MINUTE_S: Final = 60.0


class ConnectRate:
    """A bucket for each address, which fills again evenly over a minute."""

    def __init__(self) -> None:
        # How much of it is used, and when that was so; who connected the longest ago is first.
        self._used: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def wait_s(self, address: str, per_minute: int, now_s: float) -> float:
        """Return after how many seconds an address may connect; 0 for now.

        Args:
            address: who counts as one.
            per_minute: how often it may.
            now_s: on a monotonic clock.
        """
        over = max(self._level(address, per_minute, now_s) - per_minute + 1, 0.0)
        return round(over * MINUTE_S / per_minute, 3)

    def count(self, address: str, per_minute: int, now_s: float) -> None:
        """Count that it connects, or has tried to."""
        level = self._level(address, per_minute, now_s)
        self._used[address] = min(level + 1.0, float(per_minute)), now_s
        self._used.move_to_end(address)
        while self._used:
            first, (used, at_s) = next(iter(self._used.items()))
            is_empty = (now_s - at_s) * per_minute >= used * MINUTE_S
            if not is_empty and len(self._used) <= MAX_ADDRESSES:
                break
            del self._used[first]

    def _level(self, address: str, per_minute: int, now_s: float) -> float:
        used, at_s = self._used.get(address, (0.0, now_s))
        return max(used - (now_s - at_s) * per_minute / MINUTE_S, 0.0)

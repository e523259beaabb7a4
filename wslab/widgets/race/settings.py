"""Settings of a race: what the learner tunes, each held to its ends.

Its rule: whatever comes, from a cell or from a page, becomes a race of a few seconds: no setting
can ask for more updates, bytes or time than a tape and a reader can follow.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

__all__ = ["ENDS", "MADE_AT_MOST_S", "Settings"]

MADE_AT_MOST_S = 8.0  # in which updates are made; a slow race makes fewer
ENDS = {
    "updates": (1, 200),
    "rate_per_s": (1, 50),
    "size_bytes": (10, 2_000),
    "idle_s": (0, 10),
    "poll_s": (0.1, 5),
}
"""The least and the most of each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one round is to be.

    Attributes:
        updates: how many are wanted.
        rate_per_s: how many are made in a second.
        size_bytes: how long the text of each is.
        idle_s: seconds of silence after the last one.
        poll_s: seconds from an answer to the next request, for polling.
    """

    updates: int = 100
    rate_per_s: float = 40.0
    size_bytes: int = 20
    idle_s: float = 1.0
    poll_s: float = 0.5

    def changed(self, changes: dict[str, Any]) -> Settings:
        """Return these with some of them changed, each held to its ends.

        Args:
            changes: by name; None, and what is no number, changes nothing.
        """
        held: dict[str, Any] = {}
        for each in fields(self):
            value = changes.get(each.name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            if isinstance(value, float) and math.isnan(value):
                continue
            least, most = ENDS[each.name]
            value = min(max(value, least), most)
            held[each.name] = int(value) if each.name in ("updates", "size_bytes") else float(value)
        return replace(self, **held)

    @property
    def count(self) -> int:
        """How many updates are made: those that are wanted, or as many as there is time for."""
        return max(1, min(self.updates, int(self.rate_per_s * MADE_AT_MOST_S)))

    @property
    def made_s(self) -> float:
        """Seconds from the first update to the last."""
        return (self.count - 1) / self.rate_per_s

    def to_dict(self) -> dict[str, Any]:
        """Return them by name, as the page gets them."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.count} updates of {self.size_bytes} bytes, {self.rate_per_s:g} a second, then "
            f"{self.idle_s:g} s of silence; polling waits {self.poll_s:g} s between requests"
        )

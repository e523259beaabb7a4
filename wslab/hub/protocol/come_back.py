"""The words by which a server that closes a connection says when its client may come back.

Pure. Its rule: they stand in the reason of the close frame, where a person reads them on the wire
and both our clients (``wslab.connect`` and hub.js) find the number; any other client may leave them
unread. What a client makes of it is its own affair: it never waits longer than it would by itself.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["come_back_in", "come_back_s"]

_WORDS: Final = re.compile(r"\bcome back in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s\b")
MOST_S: Final = 999_999.0


def come_back_in(delay_s: float) -> str:
    """Return the words for so many seconds, such as "come back in 2.5 s".

    Raises:
        ValueError: that is less than nothing, or more than 11 days.
    """
    if not 0 <= delay_s <= MOST_S:
        raise ValueError(f"expected 0 to {MOST_S:,.0f} seconds, got {delay_s!r}")
    return f"come back in {round(delay_s, 3):.3f}".rstrip("0").rstrip(".") + " s"


def come_back_s(reason: str) -> float | None:
    """Return the seconds that a close frame's reason names; None where it names none."""
    found = _WORDS.search(reason)
    return None if found is None else float(found[1])

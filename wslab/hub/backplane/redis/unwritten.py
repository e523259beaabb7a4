"""Sessions whose clients were told more than is written down, and are at other nodes by now.

Its rule: whoever has such a session learns of it, once Redis is there: the node that has it, or the
session itself in Redis, where no node has it or that one does not hear; it is read there when that
node is back, or its client comes. Until then its name is kept here; of these there are at most
`MAX_NAMES`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

from .link import RedisLink
from .script import Script

__all__ = ["Unwritten"]

MAX_NAMES = 20_000  # a name is 32 characters
TOLD_AT_ONCE: Final = 200  # of which one script tells
_BEHIND = Script("session_behind")
_TOLD: Final = 1  # what it answers


class Unwritten:
    """One node's; on the hub's loop.

    Args:
        link: to Redis.
        failed: called with an error, where there are too many.
    """

    def __init__(self, link: RedisLink, failed: Callable[[BaseException], object]) -> None:
        self._link, self._failed = link, failed
        self._names: dict[str, None] = {}
        self._channel = link.keys.channel("\0", "sessions").split("\0")

    def __len__(self) -> int:
        return len(self._names)

    def note(self, name: str) -> None:
        """Have whoever has a session by that name learn of it."""
        self._names[name] = None
        if len(self._names) > MAX_NAMES:
            del self._names[next(iter(self._names))]
            self._failed(
                OverflowError(
                    f"more than {MAX_NAMES:,} clients have gone to other processes while Redis "
                    "was away: one of them may miss what it was told here, and does not learn so"
                )
            )

    def take(self, name: str) -> bool:
        """Return whether a session was noted; it is no more."""
        is_noted = name in self._names
        self._names.pop(name, None)
        return is_noted

    def tell(self) -> None:
        """Tell of all; what is not known to have been told is told again the next time."""
        names = list(self._names)
        for first in range(0, len(names), TOLD_AT_ONCE):
            some = names[first : first + TOLD_AT_ONCE]
            keys = [self._link.keys.session(name) for name in some]
            done = self._link.post(_BEHIND, keys, [self._link.node_id, *self._channel, *some])
            done.add_done_callback(functools.partial(self._has_told, some))

    def _has_told(self, some: list[str], done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        for name, outcome in zip(some, done.result(), strict=True):
            if outcome == _TOLD:
                self._names.pop(name, None)

"""Has Redis keep the sessions whose clients are connected, although nothing new is written of them.

Its rule: many in one step, each once in `renew_s`. Who is away was given its time when it went.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...protocol.life import LifeState
from .commands import Word
from .link import RedisLink
from .script import Script
from .written import Written

__all__ = ["Renewals"]

LONGEST_RENEW_S: Final = 30.0  # between two signs that a session lives
AT_ONCE: Final = 200  # sessions that one script renews
_RENEW = Script("session_renew")


class Renewals:
    """One node's; on the hub's loop.

    Args:
        link: to Redis.
        session_s: seconds that a session outlives its connection.
        answered: called with each, and what Redis has answered.
    """

    def __init__(
        self, link: RedisLink, session_s: float, answered: Callable[[Written, int], object]
    ) -> None:
        self._link, self._answered = link, answered
        self._renew_s = min(LONGEST_RENEW_S, max(session_s / 2, 0.1))
        self._by_age: collections.OrderedDict[Written, None] = collections.OrderedDict()
        self.live_ms = int(1000 * (session_s + 3 * self._renew_s))  # until it has to be renewed

    def seen(self, written: Written) -> None:
        """Note that Redis has heard of a session."""
        written.written_s = time.monotonic()
        self._by_age[written] = None
        self._by_age.move_to_end(written)

    def forget(self, written: Written) -> None:
        """Renew a session no more."""
        self._by_age.pop(written, None)

    def renew_due(self) -> None:
        """Renew those for which it is time."""
        oldest_s = time.monotonic() - self._renew_s
        due: list[Written] = []
        while self._by_age and (written := next(iter(self._by_age))).written_s <= oldest_s:
            del self._by_age[written]
            if written.session.state is not LifeState.AWAY:
                due.append(written)
        self.renew(due)

    def renew(self, due: Sequence[Written]) -> None:
        """Renew some."""
        for first in range(0, len(due), AT_ONCE):
            some = list(due[first : first + AT_ONCE])
            keys = [self._link.keys.session(each.name) for each in some]
            args: list[Word] = [self.live_ms, *(each.claim for each in some)]
            done = self._link.post(_RENEW, keys, args)
            done.add_done_callback(functools.partial(self._has_renewed, some))
            for each in some:
                self.seen(each)

    def _has_renewed(self, some: list[Written], done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is None:
            for written, outcome in zip(some, done.result(), strict=True):
                self._answered(written, outcome)

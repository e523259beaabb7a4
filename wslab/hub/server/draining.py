"""How a hub is emptied before its process ends: nobody new, and whoever is here told to go.

Its rule: whoever is told (1012, service restart; RFC 6455 §7.4.1) keeps its session and comes back
by itself, here or to another process of the hub, and all of them are spread over the time, so that
they do not all arrive there in one instant. Ending the process is for whoever has asked for this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from ...wire.http.message import HttpResponse
from ..protocol.come_back import come_back_in
from .admission import Admission, later
from .connection import CLOSE_GRACE_S, RESTART
from .registry import Registry

__all__ = ["Draining", "Part"]

STEP_S = 0.02  # between those that are told one after the other
LOOK_S = 0.1  # for whoever's connect handler runs


class Part(Protocol):
    """What is emptied: one namespace's parts."""

    registry: Registry[Any]
    admission: Admission


class Draining:
    """One hub's, with all its namespaces; on its loop only.

    Args:
        now: a clock in seconds.

    Attributes:
        is_on: whether nobody new is let in.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.is_on = False
        self._come_back_s = 0.0

    @property
    def reason(self) -> str:
        """What whoever is sent away is told, or not let in."""
        return f"service restart, {come_back_in(self._come_back_s)}"

    def refusal(self) -> HttpResponse | None:
        """Return what a request gets in place of a connection; None where it may come."""
        if not self.is_on:
            return None
        return later(503, self.reason, self._come_back_s)

    async def drain(self, parts: Iterable[Part], seconds: float, come_back_s: float) -> int:
        """Let nobody new in, and send away whoever is here; return how many that were.

        Args:
            parts: what is emptied.
            seconds: over which they are spread.
            come_back_s: what they are told.
        """
        self.is_on, self._come_back_s = True, come_back_s
        parts, told = tuple(parts), 0
        end_s = self._now() + seconds
        while _alive(parts) and self.is_on:
            left_s = end_s - self._now()
            here = [each for part in parts for each in part.registry.of(None)]
            if left_s <= 0 and not here:
                break
            step_s = max(STEP_S, left_s / len(here)) if here else LOOK_S
            count = round(len(here) * step_s / left_s) if left_s > step_s else len(here)
            for each in here[: max(count, 1)]:
                if not each.is_gone:
                    each.send_away(RESTART, self.reason, ends_session=False)
                    told += 1
            if left_s > 0:
                await self._emptied(parts, min(step_s, left_s))
        await self._emptied(parts, CLOSE_GRACE_S + 1.0)
        return told

    async def _emptied(self, parts: Iterable[Part], within_s: float) -> None:
        """Wait until nobody is here, and no handler at work for anybody; or the time is up."""
        deadline_s = self._now() + within_s
        for part in parts:
            await part.admission.emptied(deadline_s - self._now())


def _alive(parts: Collection[Part]) -> int:
    return sum(part.admission.alive for part in parts)

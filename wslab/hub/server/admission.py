"""Whom a hub lets in, and how much those that have left may still have at work.

Its rule: whoever is too many is told so and let go of at once; and handlers at work for clients
that have left hold only a part of all that may run, of each session and of each address.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable
from typing import Protocol

from .link import Link
from .settings import HubSettings

__all__ = ["Admission", "Leaver"]

MAX_TURNING_AWAY = 1000  # connections that are told at once that there is no place for them
TURN_AWAY_S = 1.0  # for one of these to answer the close frame


class Leaver(Protocol):
    """Who has left while a handler of it is at work."""

    address: str

    @property
    def open_s(self) -> float:
        """How long it has been connected, in seconds."""

    @property
    def session(self) -> object | None:
        """What it shares with its other connections, if anything."""

    def cut_off(self, limit: str | None) -> None:
        """Cancel what is at work of it, because of that limit."""


class Admission:
    """Counts one hub's connections; on the hub's loop only.

    Args:
        settings: the hub's; its limits count.
        limited: counts, by the name of a limit, how often that has held.
    """

    def __init__(self, settings: HubSettings, limited: collections.Counter[str]) -> None:
        self._settings = settings
        self._limited = limited
        self.reset()

    def reset(self) -> None:
        """Begin anew, on another loop."""
        self.alive = 0  # connections whose task runs
        self.addresses: collections.Counter[str] = collections.Counter()  # of these
        self.turning_away = 0
        self.leavers: dict[Leaver, None] = {}

    def why_full(self, address: str, takes_place: Callable[[], bool]) -> str | None:
        """Say why there is no place for one more connection, or None.

        Args:
            address: whose it is.
            takes_place: whether it takes the place of another one.
        """
        limits = self._settings.limits
        most = limits.clients_per_address
        is_many = most is not None and self.addresses[address] >= most
        if (not is_many and self.alive < limits.clients) or takes_place():
            return None
        self._limited["clients_per_address" if is_many else "clients"] += 1
        if is_many:
            return f"{most:,} clients of your address are connected already: try again later"
        return f"{limits.clients:,} clients are connected already: try again later"

    async def turn_away(self, link: Link, reason: str) -> None:
        """Close a connection for which there is no place.

        Whoever does not answer the close frame must not hold what there is no place for.
        """
        self.turning_away += 1
        try:
            if self.turning_away <= MAX_TURNING_AWAY:
                with contextlib.suppress(TimeoutError, link.closed_error):
                    async with asyncio.timeout(TURN_AWAY_S):
                        await link.close(1013, reason)
                        return
        finally:
            self.turning_away -= 1
            link.abort()

    def came(self, address: str) -> None:
        """Count a connection."""
        self.alive += 1
        self.addresses[address] += 1

    def went(self, address: str) -> None:
        """Count it no more."""
        self.alive -= 1
        self.addresses[address] -= 1
        if not self.addresses[address]:
            del self.addresses[address]

    def left_at_work(self, leaver: Leaver) -> None:
        """Note who has left with a handler at work; whoever is too many is cut off."""
        self.leavers[leaver] = None
        limits, leavers = self._settings.limits, self.leavers
        if leaver.session is not None:
            own = [each for each in leavers if each.session is leaver.session]
            for each in own[: -limits.handlers_per_client]:
                each.cut_off("handlers_per_client")
        if len(leavers) > limits.gone_handlers:
            by_address = collections.Counter(each.address for each in leavers)
            most = max(by_address.values())
            them = [each for each in leavers if by_address[each.address] == most]
            min(them, key=lambda each: each.open_s).cut_off("gone_handlers")

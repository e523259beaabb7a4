"""Whom a hub lets in, and how much those that have left may still have at work.

Its rule: whoever is too many is told so and let go of at once; where all places are taken, the
address that has the most of them gives way; and handlers at work for clients that have left hold
only a part of all that may run, of each session and of each address.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import time
from typing import Protocol

from ...wire.http.message import HttpResponse
from ..protocol.come_back import come_back_in
from ..protocol.connect_rate import ConnectRate
from .link import Link
from .prepared_message import PreparedMessage
from .settings import HubSettings

__all__ = ["Admission", "Leaver", "Present", "later"]

MAX_TURNING_AWAY = 1000  # connections that are told at once that there is no place for them
MAX_MAKING_WAY = 100  # of those that were let in and gave their place, and are not gone yet
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


class Present(Protocol):
    """Who has a place."""

    address: str

    @property
    def is_gone(self) -> bool:
        """Whether the hub has parted with it."""

    def send_away(self, code: int, reason: str, *, ends_session: bool) -> None:
        """Part with it."""


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
        self._empty: asyncio.Event | None = None  # while somebody waits for none
        self._present: dict[Present, None] = {}  # whose they are, the latest last
        self._making_way: set[Present] = set()
        self.addresses: collections.Counter[str] = collections.Counter()  # of these
        self.turning_away = 0
        self._rate = ConnectRate()
        self.leavers: dict[Leaver, None] = {}

    def is_full(self, address: str) -> bool:
        """Whether there is no place for one more connection from an address."""
        if self._has_many(address):
            return True
        return self.alive >= self._settings.limits.clients and self._who_gives_way(address) is None

    def _who_gives_way(self, address: str) -> Present | None:
        """Return whose place one of an address gets, where all are taken; None where nobody's."""
        if len(self._making_way) >= MAX_MAKING_WAY:
            return None
        [(most, count)] = self.addresses.most_common(1)
        if count <= self.addresses[address] + 1:
            return None
        them = (each for each in reversed(self._present) if each.address == most)
        return next((each for each in them if not each.is_gone), None)

    def _has_many(self, address: str) -> bool:
        most = self._settings.limits.clients_per_address
        return most is not None and self.addresses[address] >= most

    def refuse(self, address: str) -> str:
        """Count one for whom there is no place, and say what it is told."""
        limits = self._settings.limits
        if self._has_many(address):
            name = "clients_per_address"
            what = f"{limits.clients_per_address:,} clients of your address"
        else:
            name, what = "clients", f"{limits.clients:,} clients"
        self._limited[name] += 1
        return f"{what} are connected already: try again later"

    # How often an address connects.

    def wait_s(self, address: str) -> float:
        """Return after how many seconds an address may connect; 0 for now. Its refusal counts."""
        per_minute = self._settings.limits.connects_per_minute
        if per_minute is None:
            return 0.0
        wait_s = self._rate.wait_s(address, per_minute, time.monotonic())
        if wait_s:
            self._limited["connects_per_minute"] += 1
        return wait_s

    def connects(self, address: str) -> None:
        """Count that an address connects, or has tried to in vain."""
        per_minute = self._settings.limits.connects_per_minute
        if per_minute is not None:
            self._rate.count(address, per_minute, time.monotonic())

    def too_often(self, wait_s: float) -> str:
        """Say what somebody is told who connects too often."""
        per_minute = self._settings.limits.connects_per_minute
        return (
            f"expected at most {per_minute} connections a minute of your address: "
            f"{come_back_in(min(wait_s, 60.0))}"
        )

    def too_often_response(self, wait_s: float) -> HttpResponse:
        """Return the same in place of a 101 (RFC 6585 §4)."""
        return later(429, self.too_often(wait_s), wait_s)

    async def turn_away(self, link: Link, told: str, code: int = 1013) -> None:
        """Close a connection for which there is no place.

        Whoever does not answer the close frame must not hold what there is no place for.

        Args:
            link: the connection.
            told: why, in words.
            code: the same as a close code.
        """
        self.turning_away += 1
        try:
            if self.turning_away <= MAX_TURNING_AWAY:
                with contextlib.suppress(TimeoutError, link.closed_error):
                    async with asyncio.timeout(TURN_AWAY_S):
                        word = PreparedMessage(*link.dialect.farewell(code, told, was_let_in=False))
                        await link.close(code, told, word)
                        return
        finally:
            self.turning_away -= 1
            link.abort()

    def came(self, present: Present) -> None:
        """Count a connection; where there was no place, another gives way."""
        address = present.address
        if self.alive >= self._settings.limits.clients:
            other = self._who_gives_way(address)
            if other is not None:  # else it continues a session, and its earlier one makes way
                self._limited["clients"] += 1
                self._making_way.add(other)
                told = "all places are taken, and your address has the most: try again later"
                other.send_away(1013, told, ends_session=False)
        self.alive += 1
        self._present[present] = None
        self.addresses[address] += 1

    def went(self, present: Present) -> None:
        """Count it no more."""
        address = present.address
        self._present.pop(present, None)
        self._making_way.discard(present)
        self.alive -= 1
        if not self.alive and self._empty is not None:
            self._empty.set()
        self.addresses[address] -= 1
        if not self.addresses[address]:
            del self.addresses[address]

    async def emptied(self, within_s: float) -> None:
        """Wait until no connection's task runs, or the time is up."""
        if not self.alive or within_s <= 0:
            return
        self._empty = self._empty or asyncio.Event()
        self._empty.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._empty.wait()

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


def later(status: int, why: str, wait_s: float) -> HttpResponse:
    """Return what is answered to whoever may come again after a time (RFC 9110 §10.2.3)."""
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Retry-After", str(math.ceil(wait_s))),  # whole seconds there
    ]
    return HttpResponse(status, fields, f"{why}\n".encode())

"""How many sessions there are, of which address, and who has none left.

Its rule: who counts as one is told, and stays so while the session is there. Where all places are
taken the address that has the most of them gives way to one that has fewer.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..protocol.limits import Limits, address_of

__all__ = ["Address", "Places", "by_address"]

Address: TypeAlias = tuple[str, int] | None


def by_address(address: Address, headers: Mapping[str, str]) -> str:
    """Return who counts as one where no proxy says it."""
    return address_of(address)


class Places:
    """The places of one server; on its loop only.

    Args:
        limits: how many there are.
        limited: counts, by the name of a limit, how often that has held.
        counted_as: returns who counts as one, by address and headers.
    """

    def __init__(
        self,
        limits: Callable[[], Limits],
        limited: collections.Counter[str],
        counted_as: Callable[[Address, Mapping[str, str]], str],
    ) -> None:
        self._limits = limits
        self._limited = limited
        self._counted_as = counted_as
        self._addresses: collections.Counter[str] = collections.Counter()
        self._who: dict[str, str] = {}  # counts for each session

    def take(self, sid: str, address: Address, headers: Mapping[str, str]) -> None:
        """Count a session."""
        self._who[sid] = who = self._counted_as(address, headers)
        self._addresses[who] += 1

    def leave(self, sid: str) -> None:
        """Count it no more."""
        who = self._who.pop(sid)
        self._addresses[who] -= 1
        if not self._addresses[who]:
            del self._addresses[who]

    def address_of(self, sid: str) -> str:
        """Return who a session counts for."""
        return self._who[sid]

    def full(
        self, address: Address, headers: Mapping[str, str], end: Callable[[str, str], object]
    ) -> str | None:
        """Say why there is no place for one more, and count that; None where there is.

        Args:
            address, headers: of whoever comes.
            end: called with a session that gives way, and what it is told.
        """
        limits, who = self._limits(), self._counted_as(address, headers)
        most = limits.clients_per_address
        if most is not None and self._addresses[who] >= most:
            self._limited["clients_per_address"] += 1
            return f"{most:,} clients of your address are connected already: try again later"
        if len(self._who) < limits.clients:
            return None
        self._limited["clients"] += 1
        [(greatest, count)] = self._addresses.most_common(1)
        if count <= self._addresses[who] + 1:
            return f"{limits.clients:,} clients are connected already: try again later"
        told = "all places are taken, and your address has the most: try again later"
        end(next(sid for sid, whose in reversed(self._who.items()) if whose == greatest), told)
        return None

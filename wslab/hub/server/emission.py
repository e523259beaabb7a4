"""One emit of this process, until it has been delivered: what is known of it here alone.

Its rule: where it is delivered twice, without a place while Redis is away and with one afterwards,
nobody gets it twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..backplane.backplane import Session
from .connection import Connection
from .delivery import Delivery

__all__ = ["Emission", "Target"]


class Target(NamedTuple):
    """Whom something is for.

    Args:
        names: of rooms and clients, for the record; none means everybody.
        connections: those that are here.
        rooms: in whose history it belongs; None is everybody's.
        sessions: in whose own history it belongs.
        left_out: who does not get it.
        alone: those that are here and have neither room nor session: nobody else knows them.
    """

    names: tuple[str, ...]
    connections: Iterable[Connection]
    rooms: list[str | None]
    sessions: list[Session]
    left_out: frozenset[Connection]
    alone: tuple[Connection, ...] = ()


class Emission:
    """What this process knows of an event that it has said; a `Local` for the backplane.

    Args:
        delivery: what becomes of it.
        target: whom it is for.
        key: under which only the latest waits.
    """

    __slots__ = ("_told", "delivery", "key", "target")

    def __init__(self, delivery: Delivery, target: Target, key: str | None) -> None:
        self.delivery, self.target, self.key = delivery, target, key
        self._told: set[Connection | Session] | None = None

    def tell(self, connections: Iterable[Connection]) -> None:
        """Note who gets it without a place in the history."""
        told = self._told = set() if self._told is None else self._told
        for each in connections:
            told.add(each)
            if each.session is not None:
                told.add(each.session)
                each.session.doubt()

    def was_told(self, connection: Connection) -> bool:
        """Whether a client got it already."""
        told = self._told
        return told is not None and (connection in told or connection.session in told)

    def told_tokens(self) -> Iterable[str]:
        """Return the sessions of the clients that got it already."""
        return [each.token for each in self._told or () if not isinstance(each, Connection)]

    def settle(self, *, is_queued: bool = False) -> None:
        """Note that it was delivered here, or is known to wait for the other processes."""
        self.delivery.is_queued_for_backplane = is_queued
        self.delivery.settle()

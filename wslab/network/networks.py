"""Which network each connection has under it: one of its own, or the one of its client's handle.

Its rule: a connection that nobody asks about costs nothing, and one that comes while something is
set has it under it before its first byte. What is set is `line_conditions`' business.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

from .line_conditions import LineConditions

__all__ = ["Networks", "OneNetwork", "ServerNetwork"]


class Networks(Protocol):
    """What a connection asks about its network; on its loop, but for `of`."""

    def of(self, connection: Any) -> LineConditions:
        """Return a connection's own; from any thread."""

    def made(self, connection: Any) -> None:
        """Take note of a connection before its first byte."""

    def lost(self, connection: Any) -> None:
        """Take note that it is gone."""


class OneNetwork:
    """One network for one connection after another: what a client's handle has.

    Attributes:
        conditions: what is set; it goes from one connection to the next.
    """

    def __init__(self) -> None:
        self.conditions = LineConditions("client")

    def of(self, connection: Any) -> LineConditions:
        return self.conditions

    def made(self, connection: Any) -> None:
        connection.traffic.network = self.conditions
        self.conditions.join(connection)

    def lost(self, connection: Any) -> None:
        self.conditions.leave(connection)


class ServerNetwork(LineConditions):
    """The network of all connections to come of a server; each then has a network of its own.

    What is set here holds for connections that TCP opens from then on, of plain HTTP too;
    ``connections[i].network`` is the one of a connection that is there. ``reset()`` resets nothing,
    since there is nothing yet.

    Args:
        at_tcp: returns the connections that are there, open or in their handshake.
    """

    def __init__(self, at_tcp: Callable[[], Iterable[Any]]) -> None:
        super().__init__("server")
        self._at_tcp = at_tcp
        self._lock = threading.Lock()
        self._given: weakref.WeakSet[LineConditions] = weakref.WeakSet()

    @property
    def lines(self) -> tuple[LineConditions, ...]:
        """The networks of all connections that TCP has opened, oldest first; of plain HTTP too."""
        return tuple(self.of(each) for each in self._at_tcp())

    def of(self, connection: Any) -> LineConditions:
        with self._lock:  # two threads may ask at once
            if connection.line_conditions is None:
                conditions = connection.line_conditions = LineConditions("server")
                connection.traffic.network = conditions
                conditions.join(connection)
                self._given.add(conditions)
            return cast("LineConditions", connection.line_conditions)

    def made(self, connection: Any) -> None:
        if not self.is_plain:
            conditions = self.of(connection)
            conditions.leave(connection)
            conditions.take(self)
            conditions.join(connection)

    def lost(self, connection: Any) -> None:
        conditions = connection.line_conditions
        if conditions is not None:
            conditions.leave(connection)

    def end_lines(self) -> None:
        """Give up what is still held of connections that are gone; on their loop."""
        for conditions in tuple(self._given):
            conditions.end()

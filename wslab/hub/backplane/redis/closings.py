"""Rooms that are closed, at whichever node: who leaves them here, and when.

Its rule: a closing has its place among what is said in the room. Whoever has joined before that, by
what this node had heard then, leaves at it; who joins later is in. While Redis is away, who is
connected here leaves at once. What says a closing, and what brings it here, is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...protocol.sessions import Sessions
from ..backplane import EmptyRoom, Session
from .publisher import Item

__all__ = ["Closings"]


class Closings:
    """One node's.

    Args:
        sessions: those that are here; None where the hub keeps none.
        empty: has clients that are connected here leave.
        record: writes a session down.
    """

    def __init__(
        self,
        sessions: Sessions[Any] | None,
        empty: EmptyRoom,
        record: Callable[[Session], object],
    ) -> None:
        self._sessions, self._empty, self._record = sessions, empty, record

    def came(self, room: str, offset: int, item: Item | None) -> None:
        """Have everybody leave a room that is closed.

        Args:
            room: which one.
            offset: where.
            item: what this node has said for it; None where another one has.
        """
        local = item.local if item is not None else None
        told = item if item is not None and item.is_told else None
        if self._sessions is None:
            if told is None:
                self._empty(room, None, local)
            return
        inside = [each for each in self._sessions if _was_inside(each, room, offset)]
        leaving = frozenset(each for each in inside if told is None or _leaves(each, room, told))
        self._empty(room, leaving, local)
        for each in inside:
            if each in leaving:
                if each.leave(room, offset):
                    self._record(each)
            else:  # for other nodes, too, it has joined behind it
                each.leave(room)
                each.join(room)
                self._record(each)

    def tell(self, item: Item) -> None:
        """Have who is connected here leave at once.

        Who is away leaves later, where the closing has its place: it may have missed what was said
        before that, and has none yet either.
        """
        for room in item.publication.rooms:
            assert room is not None
            self._empty(room, None, item.local)
            item.inside += tuple(each for each in self._sessions or () if room in each.rooms)


def _was_inside(session: Session, room: str, offset: int) -> bool:
    since = session.inside_since(room)
    return since is not None and since < offset


def _leaves(session: Session, room: str, told: Item) -> bool:
    """Whether it was in a room already when its other members here have left."""
    return session in told.inside or session.has_joined_elsewhere(room)

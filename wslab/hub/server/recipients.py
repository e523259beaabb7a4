"""Who of a process's clients gets what comes from the backplane, at the moment at which it comes.

Its rule: by rooms and sessions, since whoever has said it may be another process. Where something
is lost on the way, its members are told: a client with a session by a connection that ends (1012),
so that it comes back and hears of the gap in its welcome; others by an error.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from ..backplane.backplane import Publication, Session
from ..dialects.dialect import Said
from .connection import RESTART, Connection
from .emission import Target
from .hub_context import HubContext
from .room_closing import RoomClosing

__all__ = ["Recipients"]

_LOST = "messages were lost on their way between the processes of this hub"


class Recipients:
    """One hub's clients, for its emitter; on its loop.

    Args:
        context: the hub's.
    """

    none: Final = Target((), (), [], [], frozenset())

    def __init__(self, context: HubContext) -> None:
        self._context = context

    def of(self, publication: Publication) -> Iterable[Connection]:
        """Return whom something is for, each once."""
        registry, context = self._context.registry, self._context
        rooms = publication.rooms
        if len(rooms) == 1 and not publication.sessions:
            return registry.of(rooms[0])
        found: dict[Connection, None] = {}
        for room in rooms:
            found.update(dict.fromkeys(registry.of(room)))
        for session in publication.sessions:
            here = context.holder(session).client
            if here is not None and here.is_open:
                found[here] = None
        return found

    def left_out(
        self, publication: Publication, connections: Iterable[Connection]
    ) -> frozenset[Connection]:
        """Return those of some whose sessions are to be skipped."""
        skip = publication.skip
        if not skip:
            return frozenset()
        return frozenset(
            each for each in connections if each.session is not None and each.session.token in skip
        )

    def tokens(self, connections: Iterable[Connection]) -> frozenset[str]:
        """Return the sessions of some, as long as these are theirs, and not a newer one's."""
        return frozenset(
            each.session.token
            for each in connections
            if each.session is not None and not each.session.is_gone
        )

    def that_take(self, said: Said, connections: Iterable[Connection]) -> list[Connection]:
        """Return those that take so many values of bytes in one event; tell the others."""
        taking = []
        for each in connections:
            if len(said.attachments) <= each.link.dialect.max_attachments:
                taking.append(each)
            else:
                each.replies.dropped(1, said.offset)
        return taking

    def empty_room(
        self, room: str, leaving: Container[Session] | None, closing: RoomClosing | None
    ) -> None:
        """Have clients leave a room, all of them or those of some sessions, since it is closed."""
        count = 0
        for each in self._context.registry.of(room):
            if leaving is None or each.session in leaving:
                each.leave(room)
                count += 1
        if closing is not None:
            closing.left += count

    def count(self, room: str) -> int:
        """Return how many are in a room."""
        return len(self._context.registry.of(room))

    def tell_gap(
        self, rooms: Iterable[str | None] | None, sessions: Iterable[Session] = ()
    ) -> None:
        """Tell members of rooms (no list: everybody), and of sessions, that something is lost."""
        registry = self._context.registry
        lost: dict[Connection, None] = {}
        for room in [None] if rooms is None else rooms:
            lost.update(dict.fromkeys(registry.of(room)))
        for session in sessions:
            here = self._context.holder(session).client
            if here is not None:
                lost[here] = None
        for each in lost:
            if each.is_gone:
                continue
            if each.session is not None:
                each.send_away(RESTART, _LOST, ends_session=False)
            else:
                each.replies.complain("gap", _LOST)

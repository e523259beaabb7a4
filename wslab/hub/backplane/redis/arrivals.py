"""What comes to a node, its own messages and others': kept, and delivered to the clients here.

Its rule: each message is delivered once, in the order of the feed, to those of its rooms and
sessions that are here, but for who has got it already: at this node without a place, or elsewhere.
What can't be had any more is told to whom it would have been for.
"""

from __future__ import annotations

import asyncio
import collections
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from ...dialects.dialect import Said
from ...protocol.room_log import Past
from ...protocol.sessions import Sessions
from ..backplane import Deliver, Local, Publication, Session, TellGap
from ..status import BackplaneStatus
from .closings import Closings
from .message import Numbered, decode
from .publisher import Item, Publisher
from .rooms import Rooms

__all__ = ["Arrivals"]

RECENT_IDS = 10_000  # of messages that came, which do not come twice


class Arrivals:
    """One node's; on the hub's loop. `Rooms` tells it what was heard.

    Args:
        sessions: those that are here.
        keeps_sessions: whether the hub keeps any.
        publisher: knows which messages were said here.
        closings: have rooms closed.
        keep: keeps an event by its offset, and returns it with its place.
        deliver, tell_gap: see `Backplane.attach`.
        read: returns the data of an event that was kept.
        run: runs something as long as the node is linked.
        failed: called with what is none of ours.
        status: counts.

    Attributes:
        rooms: what is heard; set for each link anew.
        by_key: the sessions that are here, by what stands for their tokens.
    """

    rooms: Rooms

    def __init__(
        self,
        sessions: Sessions[Any],
        keeps_sessions: bool,
        publisher: Publisher,
        closings: Closings,
        *,
        keep: Callable[[Publication, int], Said],
        deliver: Deliver,
        tell_gap: TellGap,
        read: Callable[[Said], Any],
        run: Callable[[Coroutine[Any, Any, None]], None],
        failed: Callable[[BaseException], object],
        status: BackplaneStatus,
    ) -> None:
        self._sessions, self._keeps_sessions = sessions, keeps_sessions
        self._history = sessions.history
        self._publisher, self._closings, self._keep = publisher, closings, keep
        self._deliver, self._tell_gap, self._read, self._run = deliver, tell_gap, read, run
        self._failed, self._status = failed, status
        self.by_key: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()
        self._recent: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._settling: list[tuple[int, int, asyncio.Future[None]]] = []

    # What `Rooms` tells it, and asks.

    def decoded(self, payload: bytes) -> Numbered | None:
        """Return a message as Redis has it; what is none of ours is recorded, and passed over."""
        try:
            return decode(payload)
        except (ValueError, TypeError, LookupError) as exc:
            self._failed(exc)
            return None

    def pump(self) -> None:
        """Deliver what the feed has next."""
        while (event := self.rooms.feed.next()) is not None:
            self.came(event)
        settling, self._settling = self._settling, []
        for offset, number, future in settling:
            if not self.rooms.feed.is_settled(offset, number):
                self._settling.append((offset, number, future))
            elif not future.done():
                future.set_result(None)

    def lost(self, streams: Mapping[str, int] | None) -> None:
        """Tell that what was said in streams (None: all) can't be had any more, up to offsets."""
        self._status.lost += 1
        if streams is None:
            for session in self._sessions:
                session.doubt()
            self._tell_gap(None)
            return
        rooms: list[str | None] = []
        told: list[Session] = []
        for stream, offset in streams.items():
            if self.rooms.is_room(stream):
                rooms.append(room := self.rooms.room_of(stream))
                self._history.lose(room, offset)
            elif (owner := self.by_key.get(stream.rpartition(":")[2])) is not None:
                owner.doubt(offset + 1)
                told.append(owner)
        self._tell_gap(rooms, told)

    def is_needed(self, room: str) -> bool:
        """Whether a session may still come back that is in a room."""
        return self._history.is_inside(room)

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside whatever runs; what it lets through is recorded."""
        self._run(coroutine)

    # What sessions ask.

    async def follow(self, rooms: Iterable[str]) -> None:
        """Have rooms come here from now on, for a while also where nobody is in them."""
        await asyncio.gather(*map(self.rooms.follow, rooms))

    async def settle(self, offset: int) -> None:
        """Wait until all has been told here that has come by now, up to an offset."""
        feed, number = self.rooms.feed, self.rooms.feed.number
        if not feed.is_settled(offset, number):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._settling.append((offset, number, future))
            await future

    def past_of(self, payload: bytes, key: str) -> Past[Any] | None:
        """Return what is kept of a message; None where that session, or any, does not get it."""
        event = self.decoded(payload)
        if event is None:
            return None
        message, said = event.message, event.message.said
        if message.raw is not None or message.closes or key in message.skip:
            return None
        return Past(
            event.offset, event.at_us / 1e6, said.event, said, said.size_bytes, frozenset(),
            self._read,
        )  # fmt: skip

    def doubt(self, session: Session) -> None:
        """Have a session's client learn that something may be missing."""
        session.doubt()
        self._tell_gap([], [session])

    # One message.

    def came(self, event: Numbered) -> None:
        """Deliver one message."""
        message = event.message
        item = self._publisher.came(message.id)
        if message.id in self._recent:
            if item is not None:
                item.settle()
            return
        self._recent[message.id] = None
        if len(self._recent) > RECENT_IDS:
            self._recent.popitem(last=False)
        self._status.received += 1
        if message.closes:
            self._closed(event, item)
        else:
            self._say(event, item)
        if item is not None:
            item.settle(is_queued=item.is_told)

    def _say(self, event: Numbered, item: Item | None) -> None:
        local: Local | None = item.local if item is not None else None
        message, by_key, history = event.message, self.by_key, self._history
        sessions = [
            session
            for key in message.own
            # What it has fetched already when it came from another node, it has.
            if (session := by_key.get(key)) is not None and session.fetched_to < event.offset
        ]
        skip = frozenset(by_key[key].token for key in message.skip if key in by_key)
        rooms = [room for room in message.rooms if room in self.rooms]
        publication = Publication(
            message.said, rooms, sessions, skip, message.owner, message.key, message.raw
        )
        if item is not None:
            told = frozenset(local.told_tokens()) if local is not None and item.is_told else skip
            publication = item.publication._replace(
                rooms=rooms, sessions=sessions, skip=item.publication.skip | skip | told
            )
        said = message.said
        if message.raw is None and self._keeps_sessions:
            if event.offset > history.offset:
                said = self._keep(publication._replace(said=said), event.offset)
            else:  # behind what clients have seen, or have fetched
                late = (each.token for each in self._sessions if each.fetched_to >= event.offset)
                publication = publication._replace(skip=publication.skip.union(late))
                for room in rooms:
                    history.lose(room, history.offset)
        self._deliver(said, publication, local)

    def _closed(self, event: Numbered, item: Item | None) -> None:
        if self._keeps_sessions:
            self._history.offset = max(self._history.offset, event.offset)
        for room in event.message.rooms:
            assert room is not None
            self._closings.came(room, event.offset, item)

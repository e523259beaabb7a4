"""The rooms that one node follows, since it has members in them, and what came of them.

Its rule: a room is followed from the moment at which somebody is in it: what is said between that
and Redis's word that we listen is read from the room's stream, by Redis's clock, and told.
Nobody receives rooms in which it has nobody, but for `LINGER_S` after the last has gone. What is in
order is the affair of `feed`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, NamedTuple, Protocol

from redis.exceptions import RedisError

from ....errors import BackplaneDown
from ...protocol.history import History
from ...protocol.room_log import Begin
from ..status import BackplaneStatus
from .commands import Word
from .feed import Feed, Hold
from .keys import Keys
from .link import RedisLink
from .message import Numbered, closing
from .script import Script

__all__ = ["Now", "Rooms"]

FILL, PLACE = Script("fill"), Script("place")
LINGER_S = 20.0
STREAMS_AT_ONCE = 100  # of one reading
HEARD_S = 5.0  # for what was published before a reading
READ_BYTES = 4 * 2**20  # of one reading; then the streams that are left
FEED_BYTES = 64 * 2**20  # of events that wait for what is read


class Now(NamedTuple):
    """How far Redis was, at a moment.

    Args:
        counter: the latest offset.
        at_us: the time, by its clock.
        local_s: and by ours, when we heard of it.
    """

    counter: int
    at_us: int
    local_s: float


class Told(Protocol):
    """Who is told what came of it: the engine."""

    def decoded(self, payload: bytes) -> Numbered | None:
        """Return a message as Redis has it, if it is one."""

    def pump(self) -> None:
        """Deliver what the feed has next."""

    def came(self, event: Numbered) -> None:
        """Deliver a message."""

    def lost(self, streams: Mapping[str, int] | None) -> None:
        """Tell that what was said in streams (None: all) can't be had any more, up to offsets."""

    def is_needed(self, room: str) -> bool:
        """Whether a session may still come back that is in a room."""

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside whatever runs, as long as the node is linked."""


class Rooms:
    """One node's.

    Args:
        link: to Redis.
        history: the hub's here.
        told: the engine.
        status: counts.

    Attributes:
        feed: what came, in order.
        counter: the latest offset in Redis that is known here.
    """

    def __init__(
        self, link: RedisLink, history: History[Any], told: Told, status: BackplaneStatus
    ) -> None:
        self._link, self._history, self._told, self._status = link, history, told, status
        self._keys: Keys = link.keys
        self.feed: Feed[Numbered] = Feed(FEED_BYTES)
        self.counter = 0
        self._rooms: dict[str, str | None] = {}  # by stream
        self._live: dict[str, asyncio.Future[None]] = {}  # by stream: done once it is followed
        self._joined_s: dict[str, float] = {}  # by stream that is not followed yet: since when
        self._begins: dict[str, Begin] = {}
        self._readings = itertools.count(1)
        self._heard: dict[bytes, asyncio.Future[None]] = {}
        self._filled: set[str] = set()  # rooms that somebody is in
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, room: str | None) -> bool:
        return self._keys.room(room) in self._rooms

    @property
    def latest(self) -> int:
        """The greatest offset that is known here."""
        return max(self.counter, self.feed.latest, self._history.offset)

    # Coming and going.

    def fill(self, room: str) -> None:
        """Note that somebody is in a room."""
        self._filled.add(room)
        timer = self._timers.pop(room, None)
        if timer is not None:
            timer.cancel()
        _ = self.follow(room)

    def empty(self, room: str) -> None:
        """Note that nobody is in a room any more."""
        self._filled.discard(room)
        self._linger(room)

    def _linger(self, room: str) -> None:
        if room not in self._timers and room in self:
            later = asyncio.get_running_loop().call_later
            self._timers[room] = later(LINGER_S, self._unfollow, room)

    def _unfollow(self, room: str) -> None:
        del self._timers[room]
        if room in self._filled:
            return
        if self._told.is_needed(room):
            self._linger(room)
            return
        stream = self._keys.room(room)
        self._link.unlisten(stream)
        self.feed.unfollow(stream)
        self._rooms.pop(stream, None)
        self._live.pop(stream).cancel()
        self._begins.pop(stream, None)
        self._joined_s.pop(stream, None)
        self._history.begins.pop(room, None)

    def follow(self, room: str | None) -> Awaitable[None]:
        """Follow a room, everybody's for None; done once all of it comes here from now on.

        It is followed for a while also if nobody is in it.
        """
        stream = self._keys.room(room)
        live = self._live.get(stream)
        if live is None:
            live = self._live[stream] = asyncio.get_running_loop().create_future()
            self._rooms[stream] = room
            begin = self._begins[stream] = Begin(self._history.offset)
            if room is not None:
                self._history.begin(room, begin)
                if room not in self._filled:
                    self._linger(room)
            self._joined_s[stream] = asyncio.get_running_loop().time()
            hold = self.feed.follow(stream, self.latest)
            listening = self._link.listen(stream, self.heard)
            place = self._link.post(PLACE, [self._keys.epoch, self._keys.counter], ())
            self._told.start_task(self._follow(hold, place, listening))
        return asyncio.shield(live)

    async def _follow(
        self, hold: Hold, place: asyncio.Future[Any], listening: Awaitable[None]
    ) -> None:
        try:
            _, counter, at_us = await place
            now = Now(int(counter), int(at_us), asyncio.get_running_loop().time())
            await listening
            await self.read(hold, now)
        except BackplaneDown:
            return  # all is read when the link is back
        except RedisError as exc:
            self._link.fail(f"it refused to be read: {exc}")  # else nothing more would be told
        except asyncio.CancelledError:
            self.feed.end(hold)  # nobody is there any more
            self._told.pump()
            raise

    def follow_own(self, stream: str, since: int) -> None:
        """Have a session's own events read again after a break; they come without being asked."""
        self.feed.seen[stream] = since

    def unfollow_own(self, stream: str) -> None:
        """Read a session's own events no more."""
        self.feed.unfollow(stream)

    # What comes.

    def heard(self, payload: bytes) -> None:
        """Take in what was published."""
        event = self._told.decoded(payload)
        if event is None:
            return
        gap = self.feed.came(event, self._streams(event))
        if gap is not None:
            self._status.gaps += 1
            self._told.start_task(self._read_gap(gap))
        self._told.pump()
        if self.feed.size_bytes > self.feed.limit_bytes:
            dropped = self.feed.clear()
            self._told.lost(None)
            for each in dropped:
                if each.message.closes:  # what is in a room is told of a loss, and leaves it
                    self._told.came(each)

    async def _read_gap(self, hold: Hold) -> None:
        try:
            await self.read(hold)
        except (BackplaneDown, RedisError) as exc:
            self._link.fail(str(exc))  # if it is up at all

    def _streams(self, event: Numbered) -> dict[str, int]:
        message, keys = event.message, self._keys
        streams = [*map(keys.room, message.rooms), *map(keys.own, message.own)]
        return dict(zip(streams, event.previous, strict=True))

    async def read_all(self, now: Now) -> None:
        """Read what was said in all rooms since they were seen, behind a break; in order."""
        await self.read(self.feed.hold_all(), now)

    async def read(self, hold: Hold, now: Now | None = None) -> None:
        """Read what a hold waits for, end it, and deliver what comes then.

        Args:
            hold: the hold.
            now: how far Redis was a moment ago, where rooms are among it that are not followed yet.

        Raises:
            BackplaneDown: it could not be read.
        """
        wanted = list(hold.since.items())
        events: dict[int, tuple[Numbered, dict[str, int]]] = {}
        lost: dict[str, int] = {}
        lasts: dict[str, int] = {}
        while wanted:
            some = wanted[:STREAMS_AT_ONCE]
            found = await self._fill(some)
            for (stream, since), (last, trimmed, closed, *payloads) in zip(
                some, found, strict=False
            ):
                lasts[stream] = int(last)
                kept = [event for each in payloads if (event := self._told.decoded(each))]
                them = kept
                joined_s = self._joined_s.get(stream)
                if joined_s is not None and now is not None:
                    them = self._since_joined(kept, joined_s, now)
                if int(trimmed) > since and len(them) == len(kept):  # else it was before the join
                    lost[stream] = int(trimmed)
                elif joined_s is not None and now is not None:
                    first = them[0].offset if them else now.counter + 1
                    self._begin(stream, min(now.counter, first - 1))
                events.update((each.offset, (each, self._streams(each))) for each in them)
                if (
                    joined_s is None
                    and stream in self._rooms
                    and since < int(closed) <= int(trimmed)
                ):
                    # What closed it is not kept any more; that it was closed, and where, is.
                    events[int(closed)] = self._closing(stream, int(closed)), {stream: 0}
                if kept:  # what was said before a join is no gap
                    self.feed.saw(stream, kept[-1].offset)
            del wanted[: len(found)]
        count = self.feed.filled(hold, [events[offset] for offset in sorted(events)], lasts)
        self._status.filled += count
        for stream in hold.since:
            self._joined_s.pop(stream, None)
            live = self._live.get(stream)
            if live is not None and not live.done():
                live.set_result(None)
        if lost:
            self._told.lost(lost)
        self._told.pump()

    def _closing(self, stream: str, offset: int) -> Numbered:
        message = closing(f"closed {stream} {offset}", self._rooms[stream] or "")
        return Numbered(offset, "", 0, (0,), message, 0)

    def was_read(self, number: bytes) -> None:
        """Note that all has come that was published before something was read."""
        heard = self._heard.get(number)
        if heard is not None and not heard.done():
            heard.set_result(None)

    async def _fill(self, some: list[tuple[str, int]]) -> list[Any]:
        """Read streams, as many of some as `READ_BYTES` hold; all before it has been heard then."""
        number = b"%d" % next(self._readings)
        keys = [self._keys.epoch, self._keys.counter, *(stream for stream, _ in some)]
        channel = self._keys.channel(self._link.node_id, "read")
        heard = self._heard[number] = asyncio.get_running_loop().create_future()
        try:
            args: list[Word] = [READ_BYTES, channel, number, *(since for _, since in some)]
            found: list[Any] = await self._link.run(FILL, keys, args)
            async with asyncio.timeout(HEARD_S):
                await heard
        except TimeoutError:
            raise BackplaneDown(f"Redis was not heard within {HEARD_S:g} s") from None
        finally:
            del self._heard[number]
        return found[2:]

    def _since_joined(self, events: list[Numbered], joined_s: float, now: Now) -> list[Numbered]:
        """Return what was said after a room was joined."""
        joined_us = now.at_us - (now.local_s - joined_s) * 1e6  # at the latest
        return [each for each in events if each.offset > now.counter or each.at_us >= joined_us]

    def _begin(self, stream: str, offset: int) -> None:
        """Have stays in a room count from that offset, which was asked for when it was joined."""
        begin = self._begins.get(stream)
        if begin is not None and not begin.told:
            begin.told = offset

    def room_of(self, stream: str) -> str | None:
        """Return the room of a stream that is followed."""
        return self._rooms[stream]

    def is_room(self, stream: str) -> bool:
        """Whether a stream is a room's that is followed."""
        return stream in self._rooms

    def close(self) -> None:
        """Wait for nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for live in self._live.values():
            live.cancel()

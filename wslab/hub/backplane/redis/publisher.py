"""What this node says, on its way to Redis: in order, each once, and bounded.

Its rule: nothing is forgotten until Redis has given it its place, and it goes again by the same id
when the link is back, so that what was on its way when it broke is said once, whether it had got
there or not. While Redis is away, the members here get it at once, without a place; `when_down`
"refuse" takes nothing then.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)

from ....errors import BackplaneDown
from ...protocol.limits import Limits
from ..backplane import Local, Publication, Session
from ..status import BackplaneStatus
from .message import Message, encode

__all__ = ["Item", "Publisher"]

# What Redis says, and how it begins, where it takes no event now, and may do so later.
_FOR_NOW = (
    OutOfMemoryError, ReadOnlyError, AuthenticationError, NoPermissionError, ConnectionError,
)  # fmt: skip
_SAID_FOR_NOW = ("OOM", "READONLY", "MISCONF", "NOREPLICAS", "BUSY", "MASTERDOWN", "CLUSTERDOWN")
ITEM_BYTES = 600  # that one takes beside what it carries, about


@dataclass(slots=True, eq=False)
class Item:
    """One message.

    Args:
        message: what is said.
        publication: as the hub has said it.
        local: what the hub knows of it.
        size_bytes: what it takes.
        is_told: whether the members here have got it, without a place.
        inside: of what closes a room: sessions that leave it later, with its place.
    """

    message: Message
    publication: Publication
    local: Local | None
    size_bytes: int
    is_told: bool = False
    inside: tuple[Session, ...] = ()
    _behind: list[Callable[[], object]] | None = field(default_factory=list)

    def then(self, do: Callable[[], object]) -> None:
        """Do something once this is delivered here, or known to wait for Redis."""
        if self._behind is None:
            do()
        else:
            self._behind.append(do)

    def settle(self, *, is_queued: bool = False) -> None:
        """Note that it is delivered here, or known to wait for Redis."""
        if self.local is not None:
            self.local.settle(is_queued=is_queued)
        behind, self._behind = self._behind, None
        for do in behind or ():
            do()


class Publisher:
    """One node's.

    Args:
        post: sends the text of a message to Redis; returns its answer to be.
        tell_here: delivers an item to the members here, since Redis is away.
        comes_back: whether a message that Redis has given a place will be heard here.
        has_new_epoch: called where Redis has lost its data.
        broken: called with the reason where Redis takes none for now.
        failed: called where it will never take one.
        hashed: returns the keys of tokens.
        limits: how much may be on its way.
        status: counts.
        refuses: nothing is taken while Redis is away.
    """

    def __init__(
        self,
        post: Callable[[Message, bytes], asyncio.Future[Any]],
        *,
        tell_here: Callable[[Item], None],
        comes_back: Callable[[Message], bool],
        has_new_epoch: Callable[[], None],
        broken: Callable[[str], None],
        failed: Callable[[BaseException], object],
        hashed: Callable[[Local], frozenset[str]],
        limits: Callable[[], Limits],
        status: BackplaneStatus,
        refuses: bool,
    ) -> None:
        self._post, self._tell_here, self._comes_back = post, tell_here, comes_back
        self._has_new_epoch, self._broken, self._hashed = has_new_epoch, broken, hashed
        self._failed = failed
        self._limits, self._status, self._refuses = limits, status, refuses
        self._items: dict[str, Item] = {}  # in order
        self._returning: dict[str, Item] = {}  # that have a place, and are on their way back
        self._size_bytes = self._returning_bytes = 0
        self._is_up = self._is_paused = False

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    @property
    def last(self) -> Item | None:
        """The last that was said and is not delivered here yet."""
        last = next(reversed(self._items.values()), None)
        return last or next(reversed(self._returning.values()), None)

    @property
    def size_bytes(self) -> int:
        """What all of it takes."""
        return self._size_bytes

    def put(self, message: Message, publication: Publication, local: Local | None) -> None:
        """Say a message.

        Raises:
            ValueError: it is too large.
            BackplaneDown: Redis is away and nothing is to be taken then, or too much waits.
        """
        text, limits = encode(message), self._limits()
        if len(text) > limits.publish_bytes:
            self._status.refused += 1
            raise ValueError(
                f"expected an event of at most {limits.publish_bytes:,} bytes for the other "
                f"processes of the hub, got {len(text):,} with {message.said.event!r:.60}: send it "
                "in parts, or where to get it (Limits(publish_bytes=...))"
            )
        if self._refuses and not (self._is_up or self._is_paused):
            self._status.refused += 1
            raise BackplaneDown(
                f"expected Redis to be there, it is not; {message.said.event!r:.60} was not "
                'emitted. Try again later, or have Hub(when_down="queue") keep it until then'
            )
        size_bytes = ITEM_BYTES + len(text)
        if (
            len(self._items) >= limits.publishing
            or self._size_bytes + size_bytes > limits.publishing_bytes
        ):
            self._status.refused += 1
            raise BackplaneDown(
                f"expected Redis to take what is emitted, {len(self._items):,} events "
                f"({self._size_bytes:,} bytes) wait for it already; {message.said.event!r:.60} was "
                "not emitted (Limits(publishing=..., publishing_bytes=...))"
            )
        item = Item(message, publication, local, size_bytes)
        self._items[message.id] = item
        self._size_bytes += size_bytes
        if self._is_up:
            self._send(item, text)
        elif not self._is_paused:
            self._tell(item)

    def _send(self, item: Item, text: bytes) -> None:
        answer = self._post(item.message, text)
        answer.add_done_callback(functools.partial(self._answered, item))

    def _answered(self, item: Item, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, BackplaneDown):
            return  # `down` is told, or `up` sends it again
        if isinstance(error, _FOR_NOW) or str(error or "").startswith(_SAID_FOR_NOW):
            self._broken(f"it refused an event: {error}")  # which goes again with the others
            return
        if error is not None:  # it would fail for ever, and keep all others waiting
            self._status.refused += 1
            self._failed(error)
            if self.came(item.message.id) is not None:
                item.settle()
            return
        first, second = answer.result()
        if first == b"epoch":
            if not self._is_paused and self._is_up:
                self.pause()
                self._has_new_epoch()
            return
        self._status.published += second
        if self._items.pop(item.message.id, None) is None:
            return  # it came back before Redis said so
        self._size_bytes -= item.size_bytes
        if self._comes_back(item.message):
            self._await_return(item)
        if not second or item.message.id not in self._returning:
            item.settle(is_queued=item.is_told)  # it may have come long ago, and come no more

    def _await_return(self, item: Item) -> None:
        self._returning[item.message.id] = item
        self._returning_bytes += item.size_bytes
        limits = self._limits()
        while (
            self._returning_bytes > limits.publishing_bytes
            or len(self._returning) > limits.publishing
        ):
            self._let_go_of(next(iter(self._returning))).settle()

    def _let_go_of(self, id: str) -> Item:
        item = self._returning.pop(id)
        self._returning_bytes -= item.size_bytes
        return item

    def came(self, id: str) -> Item | None:
        """Let go of a message that has come back; return it if it was said here."""
        if id in self._returning:
            return self._let_go_of(id)
        item = self._items.pop(id, None)
        if item is not None:
            self._size_bytes -= item.size_bytes
        return item

    def _tell(self, item: Item) -> None:
        if item.is_told:
            return
        if item.message.closes:  # when that comes back nobody is there for it any more
            for each in tuple(self._returning.values()):
                if each is item:
                    break
                if not set(item.message.rooms).isdisjoint(each.message.rooms):
                    self._tell(each)
        item.is_told = True
        self._tell_here(item)
        item.settle(is_queued=True)

    # Redis's comings and goings.

    def pause(self) -> None:
        """Send nothing until it is up, although Redis is there."""
        self._is_up, self._is_paused = False, True

    def down(self) -> None:
        """Note that Redis is away: members here get what is on its way, and what comes."""
        self._is_up = self._is_paused = False
        for item in tuple(self._returning.values()):  # they come back by the streams
            if item.message.closes:
                self._tell(item)
            item.settle(is_queued=True)
        for item in tuple(self._items.values()):
            self._tell(item)

    def up(self) -> None:
        """Send all that waits, in order, and what comes behind it."""
        self._is_up, self._is_paused = True, False
        for item in tuple(self._items.values()):
            if item.is_told and item.local is not None:
                skip = item.message.skip | self._hashed(item.local)
                item.message = item.message._replace(skip=skip)
            self._send(item, encode(item.message))

"""One client's way out: straight to TCP while that takes it, else a bounded backlog.

Its rule: `put` never waits, whatever the client does, and keeps the order. What the link does not
take now waits here; what does not fit here is dropped by a policy, and counted. What a client
missed while it was away waits in the history, which may let go of it meanwhile: then the client is
told how much that was, in its place.
"""

from __future__ import annotations

import asyncio
import collections
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .delivery import CLOSING, DROPPED, QUEUED, SENT, Delivery
from .link import Link
from .prepared_message import PreparedMessage
from .settings import Policy

__all__ = ["SendQueue"]

MAX_UNTOLD = 4096  # offsets, of what was dropped, that are kept for a session
MAX_WRITTEN = 64  # messages, of what has waited, that are written before others have their turn
MAX_WRITTEN_BYTES = 2**18  # bytes of them


class _Entry:
    __slots__ = ("delivery", "is_essential", "key", "message")

    def __init__(
        self,
        message: PreparedMessage,
        delivery: Delivery | None,
        key: str | None,
        is_essential: bool,
    ) -> None:
        self.message = message
        self.delivery = delivery
        self.key = key
        self.is_essential = is_essential


class Kept(Protocol):
    """What somebody else keeps, and may let go of: a history's `Past`."""

    @property
    def message(self) -> Any:
        """What is to be sent of it."""


class _Replay(_Entry):
    # What the history keeps, in order. It holds none of it in memory: a reference that leads
    # nowhere is an event that the history has let go of. All who wait for an event share one, so a
    # client takes 8 bytes for each event that it has missed.
    __slots__ = ("kept", "lost", "prepare", "tell_lost")

    def __init__(
        self,
        kept: Iterable[Kept],
        prepare: Callable[[Any], PreparedMessage],
        tell_lost: Callable[[int], PreparedMessage],
    ) -> None:
        super().__init__(PreparedMessage(None), None, None, True)
        self.kept = collections.deque(map(weakref.ref, kept))
        self.prepare, self.tell_lost = prepare, tell_lost
        self.lost = 0  # and not told yet

    def next(self) -> PreparedMessage | None:
        """Return what goes out next: an event, or how many the history has let go of before it."""
        while self.kept:
            kept = self.kept[0]()
            if kept is not None and not self.lost:
                self.kept.popleft()
                return self.prepare(kept.message)
            if kept is not None:
                break
            self.kept.popleft()
            self.lost += 1
        lost, self.lost = self.lost, 0
        return self.tell_lost(lost) if lost else None


class SendQueue:
    """What waits for one client; used on the hub's loop only.

    Args:
        link: its connection.
        client_id: the client's id, for the record.
        policy: what to do when it is full.
        limit: how many messages may wait.
        limit_bytes: how many bytes of them.
        overflow: called, with the reason, where the policy is to disconnect.
        tell_dropped: called when the client has caught up and had lost some, with their number and
            offsets.
    """

    __slots__ = (
        "_entries",
        "_essential",
        "_essential_bytes",
        "_limit",
        "_limit_bytes",
        "_link",
        "_overflow",
        "_policy",
        "_replay",
        "_room",
        "_task",
        "_tell_dropped",
        "_untold",
        "_untold_offsets",
        "client_id",
        "dropped",
        "sent",
        "size_bytes",
    )

    def __init__(
        self,
        link: Link,
        client_id: str,
        *,
        policy: Policy,
        limit: int,
        limit_bytes: int,
        overflow: Callable[[str], None],
        tell_dropped: Callable[[int, tuple[int, ...]], None],
    ) -> None:
        self._link = link
        self.client_id = client_id
        self._policy = policy
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._overflow = overflow
        self._tell_dropped = tell_dropped
        self._entries: collections.deque[_Entry] | None = None  # most clients never need one
        self._replay: _Replay | None = None  # one of the entries
        self._essential = 0
        self._essential_bytes = 0
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._untold = 0
        self._untold_offsets: collections.deque[int] | None = None
        self.dropped = 0
        self.sent = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        missed = len(self._replay.kept) - 1 if self._replay is not None else 0
        return len(self._entries or ()) + missed

    @property
    def untold_offsets(self) -> tuple[int, ...]:
        """Offsets of what the policy has dropped and the client was not told of (the latest)."""
        return tuple(self._untold_offsets or ())

    @property
    def is_full_of_answers(self) -> bool:
        """Whether what must not be dropped has filled it: then nothing more may be asked for."""
        return self._essential >= self._limit or self._essential_bytes >= self._limit_bytes

    def put(
        self,
        message: PreparedMessage,
        delivery: Delivery | None = None,
        key: str | None = None,
        is_essential: bool = False,
    ) -> str:
        """Send a message, or let it wait, or drop something; return the outcome.

        Args:
            message: what to send.
            delivery: the emit that it is part of.
            key: under "keep-latest", what waits under the same key is replaced.
            is_essential: it is never dropped (an answer; the welcome).
        """
        if not self._entries and self._link.write(message):
            self.sent += 1
            return SENT
        if self._link.is_closing:
            return CLOSING
        return self._wait(_Entry(message, delivery, key, is_essential))

    def replay(
        self,
        kept: Iterable[Kept],
        prepare: Callable[[Any], PreparedMessage],
        tell_lost: Callable[[int], PreparedMessage],
    ) -> None:
        """Send what the client has missed: what follows waits behind it, by the usual rules.

        Once only, in the life of a connection.

        Args:
            kept: what it has missed, in order.
            prepare: makes a message of what is kept of one, when its turn has come.
            tell_lost: makes the message that tells, in their place, how many its keeper has let go
                of before their turn.
        """
        replay = _Replay(kept, prepare, tell_lost)
        if not replay.kept or self._link.is_closing:
            return
        self._replay = replay
        self._enter(replay)
        self._write_some()

    def _wait(self, entry: _Entry) -> str:
        entries = self._entries
        if entries and self._policy == "keep-latest" and entry.key is not None:
            old = next((each for each in entries if each.key == entry.key), None)
            if old is not None:
                entries.remove(old)
                self._forget(old)
        entries = self._enter(entry)
        if self._is_over:
            if self._policy == "disconnect":
                waited = f"{len(entries)} messages ({self.size_bytes:,} bytes)"
                entries.pop()
                self._count(entry, -1)
                self.dropped += 1
                self._overflow(f"too slow: {waited} waited")
                return DROPPED
            self._drop_oldest()
        return QUEUED

    def _enter(self, entry: _Entry) -> collections.deque[_Entry]:
        if self._entries is None:
            self._entries = collections.deque()
        self._entries.append(entry)
        self._count(entry, 1)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())
        return self._entries

    @property
    def _is_over(self) -> bool:
        # What must not be lost does not count here: is_full_of_answers bounds it. And one message
        # may always wait, however large it is.
        count = len(self._entries or ()) - self._essential
        size_bytes = self.size_bytes - self._essential_bytes
        return count > self._limit or (count > 1 and size_bytes > self._limit_bytes)

    def _drop_oldest(self) -> None:
        entries = self._entries
        assert entries is not None
        while self._is_over:
            oldest = next(each for each in entries if not each.is_essential)
            entries.remove(oldest)
            self._forget(oldest)

    def _count(self, entry: _Entry, sign: int) -> None:
        size_bytes = sign * entry.message.size_bytes
        self.size_bytes += size_bytes
        if entry.is_essential:
            self._essential += sign
            self._essential_bytes += size_bytes

    def _forget(self, entry: _Entry) -> None:
        self._count(entry, -1)
        if isinstance(entry, _Replay):  # the history has them still, or tells of a gap
            self.dropped += len(entry.kept)
            self._replay = None
            return
        self.dropped += 1
        self._untold += 1
        if entry.delivery is not None:
            if entry.delivery.offset is not None:
                if self._untold_offsets is None:
                    self._untold_offsets = collections.deque(maxlen=MAX_UNTOLD)
                self._untold_offsets.append(entry.delivery.offset)
            entry.delivery.queued -= 1
            entry.delivery.dropped += 1
            entry.delivery.note(self.client_id, DROPPED)

    async def _drain(self) -> None:
        try:
            while self._entries:
                await self._link.drain()
                if self._link.is_closing:
                    break
                self._write_some()
                if self._entries:
                    await asyncio.sleep(0)  # others have their turn
                elif self._untold:
                    told, offsets = self._untold, self.untold_offsets
                    self._untold, self._untold_offsets = 0, None
                    self._tell_dropped(told, offsets)
        finally:
            self._task = None
            if not self._link.is_open:
                self.clear()

    def _write_some(self) -> None:
        link, entries = self._link, self._entries
        assert entries is not None
        most, most_bytes = MAX_WRITTEN, MAX_WRITTEN_BYTES
        while entries and link.is_writable:
            if most <= 0 or most_bytes <= 0:
                break
            entry = entries[0]
            message = entry.message if entry is not self._replay else self._replay.next()
            if message is None or entry is not self._replay:
                entries.popleft()
                self._count(entry, -1)
            if message is None:
                self._replay = None
                continue
            most, most_bytes = most - 1, most_bytes - message.size_bytes
            link.write(message)
            self.sent += 1
            if entry.delivery is not None:
                entry.delivery.queued -= 1
                entry.delivery.sent += 1
                entry.delivery.note(self.client_id, SENT)
        if not self.is_full_of_answers:
            self._make_room()

    async def room(self) -> None:
        """Wait until there is room for another answer, or until the connection has ended."""
        while self.is_full_of_answers and self._link.is_open:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)  # another may wait for it, too

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

    def clear(self) -> None:
        """Drop all that waits: the connection is over, or as good as."""
        for entry in tuple(self._entries or ()):
            self._forget(entry)
        self._entries = None
        self._make_room()
        if self._task is not None and self._task is not _current_task():
            self._task.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None

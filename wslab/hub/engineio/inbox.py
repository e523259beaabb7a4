"""What has come on a session and nobody has taken yet.

Its rule: it has a bound in bytes. Whoever puts something in waits then, so that the client does,
too: its POST is not answered, its WebSocket is not read.
"""

from __future__ import annotations

import asyncio
import collections
import sys

__all__ = ["Inbox"]

IN_A_ROW = 50  # messages that are taken without a turn for others


class Inbox:
    """Messages that have come and that nobody has taken yet.

    Args:
        limit_bytes: beyond it, it is full.
    """

    __slots__ = (
        "_in_a_row",
        "_is_closed",
        "_limit_bytes",
        "_messages",
        "_reader",
        "_room",
        "size_bytes",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._messages: collections.deque[str | bytes] = collections.deque()
        self._limit_bytes = limit_bytes
        self._is_closed = False
        self._in_a_row = 0
        self._reader: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether whoever puts shall wait."""
        return self.size_bytes >= self._limit_bytes and not self._is_closed

    def put(self, message: str | bytes) -> None:
        """Let a message wait."""
        if not self._is_closed:
            self._messages.append(message)
            self.size_bytes += sys.getsizeof(message)
            self._wake()

    async def get(self) -> str | bytes | None:
        """Return the next; None at the end. Others on the loop have their turn now and then."""
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not self._messages:
            if self._is_closed:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        self.size_bytes -= sys.getsizeof(message)
        if not self.is_full:
            self._tell_room()
        return message

    async def room(self) -> None:
        """Wait until it is full no more, or closed."""
        while self.is_full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def close(self) -> None:
        """Take nothing more; what is there can still be taken out."""
        self._is_closed = True
        self._wake()
        self._tell_room()

    def clear(self) -> None:
        """Let go of what is there."""
        self._messages.clear()
        self.size_bytes = 0
        self._tell_room()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _tell_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

"""What waits to go out on a session, until a poll or the socket takes it.

Its rule: it has a bound in bytes, as TCP's buffers have; who is beyond it waits, and a message is
never cut. Messages are shared by all who get them, and become text when a poll takes them.
"""

from __future__ import annotations

import asyncio
import binascii
import collections
import math
from typing import Any

from ...wire.engineio import SEPARATOR
from ...wire.violation import ProtocolViolation
from .link import Message

__all__ = ["Outbox"]

_SEPARATOR = SEPARATOR.encode()
TEXT = 1  # the opcode of a text frame (RFC 6455 §5.2)
OWN_BYTES = 256  # what a message in a box takes beyond its bytes, about


class Outbox:
    """What waits to go out, in order, each with the dialect that it is to be in.

    Args:
        limit_bytes: beyond it, it is full.
    """

    __slots__ = ("_entries", "_limit_bytes", "_room", "size_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._entries: collections.deque[tuple[Message, Any]] | None = None  # most never need one
        self._limit_bytes = limit_bytes
        self._room: asyncio.Future[None] | None = None
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries or ())

    @property
    def is_full(self) -> bool:
        """Whether it takes nothing more, for now."""
        return self.size_bytes >= self._limit_bytes

    def put(self, message: Message, dialect: Any) -> None:
        """Let a message wait, also where it is full."""
        if self._entries is None:
            self._entries = collections.deque()
        self._entries.append((message, dialect))
        self.size_bytes += message.size_bytes + OWN_BYTES

    def first(self) -> tuple[Message, Any]:
        """Return the one that goes next."""
        assert self._entries
        return self._entries[0]

    def pop(self) -> None:
        """Take that one out."""
        assert self._entries
        message, _ = self._entries.popleft()
        self.size_bytes -= message.size_bytes + OWN_BYTES
        if not self._entries:
            self._entries = None
        self._tell_room()

    def take_body(self, most: float = math.inf) -> bytes:
        """Take out what waits, as a polling body.

        Args:
            most: packets that it may have; one message goes in any case.

        Raises:
            ProtocolViolation: separator-in-data: a client would read what we never said.
        """
        parts: list[bytes] = []
        while self._entries:
            message, dialect = self._entries[0]
            own = [_part(opcode, payload) for opcode, payload in message.parts(dialect)]
            if parts and len(parts) + len(own) > most:
                break
            parts += own
            self.pop()
        return _SEPARATOR.join(parts)

    def clear(self) -> None:
        """Let go of all of it."""
        self._entries, self.size_bytes = None, 0
        self._tell_room()

    async def room(self) -> None:
        """Wait until it is full no more, or was cleared."""
        while self.is_full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)  # another may wait for it, too

    def _tell_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)


def _part(opcode: int, payload: memoryview) -> bytes:
    if opcode != TEXT:
        return b"b" + binascii.b2a_base64(payload, newline=False)
    text = bytes(payload)
    if _SEPARATOR in text:
        raise ProtocolViolation("separator-in-data", "no U+001E in text under polling", "one")
    return text

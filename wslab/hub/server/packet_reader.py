"""What comes from one client: whole packets, raw messages and flaws, each in its turn.

Its rule: whoever waits for a client's answer gets it, although a handler of the same client is at
work. The client's own task reads; while that is in a handler and somebody waits for an answer, a
task of the reader reads ahead, within a bound, and what it reads waits for its turn, as the text
that it came as: values made of JSON can take 25 times the memory.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib

from ..dialects.dialect import Assembler, Item
from ..protocol import packets
from .link import Link
from .questions import Questions
from .send_queue import SendQueue
from .settings import HubSettings

__all__ = ["ByteCount", "PacketReader"]

MAX_AHEAD = 4096  # messages read ahead of the handlers, while an answer is waited for
ALWAYS_BYTES = 2**16  # that a client may have ahead, however much others have
LARGE_BYTES = 2**13  # a message after which others on the loop have their turn


class ByteCount:
    """Bytes of the messages that wait for their turn, of all of a hub's clients."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class PacketReader:
    """One connection's incoming side; for the hub's loop only.

    Args:
        link: the connection.
        assembler: makes packets of its messages.
        queue: the connection's outgoing side, which may be full of answers.
        settings: the hub's; its limits count.
        ahead_in_all: what waits of all clients.
        questions: what its client was asked; it is read ahead while there is one.

    Attributes:
        received: messages that came.
    """

    __slots__ = (
        "_ahead",
        "_ahead_in_all",
        "_assembler",
        "_is_reading",
        "_link",
        "_owes_turn",
        "_pump",
        "_send_queue",
        "_settings",
        "_turn",
        "ahead_bytes",
        "questions",
        "received",
    )

    def __init__(
        self,
        link: Link,
        assembler: Assembler,
        queue: SendQueue,
        settings: HubSettings,
        ahead_in_all: ByteCount,
        questions: Questions,
    ) -> None:
        self._link = link
        self._assembler = assembler
        self._send_queue = queue
        self._settings = settings
        self._ahead_in_all = ahead_in_all
        self._ahead: collections.deque[tuple[Item, int]] | None = None  # with its bytes
        self._is_reading = False
        self._owes_turn = False  # to others on the loop: what came last took long to read
        self._pump: asyncio.Task[None] | None = None
        self._turn: asyncio.Future[None] | None = None
        self.ahead_bytes = 0
        self.questions = questions
        self.received = 0

    @property
    def ahead(self) -> int:
        """How many have been read and wait for their turn."""
        return len(self._ahead or ())

    @property
    def is_reading_ahead(self) -> bool:
        """Whether a task of its own reads."""
        return self._pump is not None

    async def next(self) -> Item:
        """Return what comes next; raises the link's ``closed_error`` at the end."""
        while True:
            if self._ahead:
                item, size = self._ahead.popleft()
                self._count(-size)
                self.read_ahead()  # there is room again, and an answer may be behind it
                if type(item) is packets.Packet:
                    item.unfold()
                return item
            if self._pump is None:
                self._is_reading = True
                try:
                    message = await self._received()
                finally:
                    self._is_reading = False
                came = self._assembled(message)
                if came is not None:
                    if type(came) is packets.Packet:
                        came.unfold()
                    return came
                await self._send_queue.room()  # for what was said of one that broke off
                continue
            self._turn = asyncio.get_running_loop().create_future()
            try:
                await self._turn
            finally:
                self._turn = None

    async def _received(self) -> str | bytes:
        # What is here already comes without a turn for anybody else.
        if self._owes_turn:
            await asyncio.sleep(0)
        message = await self._link.receive()
        self._owes_turn = len(message) >= LARGE_BYTES
        return message

    def _assembled(self, message: str | bytes) -> Item | None:
        """Return what came, once it is whole; answers go straight to whoever waits for them."""
        self.received += 1
        item = self._assembler.add(message)
        if type(item) is packets.Packet and item.answer is not None:
            self.questions.settle(item)
            return None
        return item

    # While an answer is waited for.

    def forget(self, number: int) -> None:
        """Wait no longer for the answer to a question."""
        self.questions.forget(number)
        if not self.questions and self._pump is not None:
            self._pump.cancel()

    def read_ahead(self) -> None:
        """See to it that somebody reads, where an answer is waited for."""
        if self.questions and not self._is_reading and self._pump is None and self._has_room:
            self._pump = asyncio.get_running_loop().create_task(self._read_ahead())
            # Not in a `finally`: a task that is cancelled before its first step has none.
            self._pump.add_done_callback(self._has_read_ahead)

    @property
    def _has_room(self) -> bool:
        limits, size_bytes = self._settings.limits, self.ahead_bytes
        return (
            self.ahead < MAX_AHEAD
            and size_bytes < limits.ahead_bytes_per_client
            and (self._ahead_in_all.value < limits.ahead_bytes or size_bytes < ALWAYS_BYTES)
        )

    def _count(self, size_bytes: int) -> None:
        self.ahead_bytes += size_bytes
        self._ahead_in_all.value += size_bytes

    def close(self) -> None:
        """Let go of what waits: nobody will take it up."""
        self._ahead = None
        self._count(-self.ahead_bytes)

    async def _read_ahead(self) -> None:
        if self._ahead is None:
            self._ahead = collections.deque()
        with contextlib.suppress(self._link.closed_error):  # the client's own task gets it, too
            while self.questions and self._has_room:
                message = await self._received()
                item = self._assembled(message)
                if item is None:
                    await self._send_queue.room()
                else:
                    if type(item) is packets.Packet and type(message) is str:
                        item.fold(message)
                    size = _size_of(item, message)
                    self._ahead.append((item, size))
                    self._count(size)
                    self._wake()

    def _has_read_ahead(self, _pump: asyncio.Task[None]) -> None:
        self._pump = None
        if self._link.is_open:
            self.read_ahead()  # it was stopped after one call, and there is another now
        self._wake()

    def _wake(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)


def _size_of(item: Item, message: str | bytes) -> int:
    # Of a packet with binary frames, `message` is only the last.
    return item.size_bytes if type(item) is packets.Packet else len(message)

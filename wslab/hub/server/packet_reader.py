"""What comes from one client: whole packets, raw messages and flaws, each in its turn.

Its rule: whoever waits for a client's answer gets it, although a handler of the same client is at
work. The client's own task reads; while that is in a handler and somebody waits for an answer, a
task of the reader reads ahead, within a bound, and what it reads waits for its turn, as the text
that it came as: values made of JSON can take 25 times the memory. Handling is `HubClient`'s affair.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...calling import must_pass
from ...errors import BadPacket, CallFailed
from ...failures import kind_of, said_by
from ..protocol import packets
from .link import Link
from .send_queue import SendQueue

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["Item", "PacketReader"]

MAX_AHEAD = 4096  # messages read ahead of the handlers, while an answer is waited for
ALWAYS_BYTES = 2**16  # that a client may have ahead, however much others have
LARGE_BYTES = 2**13  # a message after which others on the loop have their turn

Item = packets.Packet | BadPacket | str | bytes


class PacketReader:
    """One connection's incoming side; for the hub's loop only.

    Args:
        link: the connection.
        hub: whose limits and ``message`` handler count.
        queue: the connection's outgoing side, which may be full of answers.
        complain: called with a code, words and a packet, where one broke off.

    Attributes:
        received: messages that came.
    """

    __slots__ = (
        "_ahead",
        "_ahead_bytes",
        "_calls",
        "_complain",
        "_hub",
        "_is_reading",
        "_link",
        "_next_call",
        "_owes_turn",
        "_partial",
        "_pump",
        "_send_queue",
        "_turn",
        "received",
    )

    def __init__(
        self,
        link: Link,
        hub: Hub,
        queue: SendQueue,
        complain: Callable[[str, str, packets.Packet], object],
    ) -> None:
        self._link = link
        self._hub = hub
        self._send_queue = queue
        self._complain = complain
        self._partial: packets.Packet | None = None  # its binary frames are still to come
        self._ahead: collections.deque[tuple[Item, int]] | None = None  # with its bytes
        self._ahead_bytes = 0
        self._calls: dict[int, asyncio.Future[Any]] | None = None  # most clients are never asked
        self._next_call = 1
        self._is_reading = False
        self._owes_turn = False  # to others on the loop: what came last took long to read
        self._pump: asyncio.Task[None] | None = None
        self._turn: asyncio.Future[None] | None = None
        self.received = 0

    @property
    def ahead(self) -> int:
        """How many have been read and wait for their turn."""
        return len(self._ahead or ())

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
        message: str | bytes = await self._link.receive()
        self._owes_turn = len(message) >= LARGE_BYTES
        return message

    # Answers.

    def ask(self) -> tuple[int, asyncio.Future[Any]]:
        """Return the number of a new question, and what will be its answer; `forget` it then."""
        if self._calls is None:
            self._calls = {}
        number, self._next_call = self._next_call, self._next_call + 1
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        return number, answer

    def forget(self, number: int) -> None:
        """Wait no longer for an answer."""
        assert self._calls is not None
        del self._calls[number]
        if not self._calls and self._pump is not None:
            self._pump.cancel()

    def fail(self, why: Callable[[], Exception]) -> None:
        """Give up all questions: no answer will come."""
        for answer in tuple((self._calls or {}).values()):
            if not answer.done():
                answer.set_exception(why())

    def read_ahead(self) -> None:
        """See to it that somebody reads, where an answer is waited for."""
        if self._calls and not self._is_reading and self._pump is None and self._has_room:
            self._pump = asyncio.get_running_loop().create_task(self._read_ahead())
            # Not in a `finally`: a task that is cancelled before its first step has none.
            self._pump.add_done_callback(self._has_read_ahead)

    @property
    def _has_room(self) -> bool:
        hub, size_bytes = self._hub, self._ahead_bytes
        return (
            self.ahead < MAX_AHEAD
            and size_bytes < hub.limits.ahead_bytes_per_client
            and (hub._ahead_bytes < hub.limits.ahead_bytes or size_bytes < ALWAYS_BYTES)
        )

    def _count(self, size_bytes: int) -> None:
        self._ahead_bytes += size_bytes
        self._hub._ahead_bytes += size_bytes

    def close(self) -> None:
        """Let go of what waits: nobody will take it up."""
        self._ahead = None
        self._count(-self._ahead_bytes)

    async def _read_ahead(self) -> None:
        if self._ahead is None:
            self._ahead = collections.deque()
        with contextlib.suppress(self._link.closed_error):  # the client's own task gets it, too
            while self._calls and self._has_room:
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

    # Packets.

    def _assembled(self, message: str | bytes) -> Item | None:
        """Return what came, once it is whole; answers go straight to whoever waits for them."""
        self.received += 1
        partial, limit = self._partial, self._hub.limits.max_size
        size = len(message)
        if type(message) is bytes:
            if partial is None:
                return message if size <= limit else BadPacket(_too_large(size, limit))
            partial.size_bytes += size
            partial.attachments.append(message if partial.size_bytes <= limit else b"")
            if not partial.is_whole:
                return None
            self._partial = None
            return self._whole(partial)
        if partial is not None:
            self._partial = None
            self._complain(
                "bad-packet",
                f"expected {partial.binary} binary frames after {partial.event!r}, got a text "
                f"frame after {len(partial.attachments)}",
                partial,
            )
        if size * 4 > limit and not message.isascii():
            size = len(message.encode())  # type: ignore[union-attr]
        try:
            packet = packets.decode(message)  # type: ignore[arg-type]
        except BadPacket as exc:
            if size > limit:
                return BadPacket(_too_large(size, limit))
            return message if exc.is_raw and "message" in self._hub._handlers else exc
        packet.size_bytes = size
        if not packet.is_whole:
            if size > limit:
                packet.data = None
            else:
                packet.fold(message)  # type: ignore[arg-type]
            self._partial = packet
            return None
        return self._whole(packet)

    def _whole(self, packet: packets.Packet) -> Item | None:
        # One that is too large is told as such in its turn: it may have an id or a number.
        limit = self._hub.limits.max_size
        if packet.size_bytes > limit:
            packet.flaw = _too_large(packet.size_bytes, limit)
            packet.data, packet.text, packet.attachments = None, "", []
        if packet.answer is None:
            return packet
        answer = (self._calls or {}).get(packet.answer)
        if answer is not None and not answer.done():  # else it came too late
            packet.unfold()
            _settle(answer, packet, self._hub._loads)
        return None


def _settle(
    answer: asyncio.Future[Any], packet: packets.Packet, loads: packets.Loads | None
) -> None:
    if packet.flaw:
        answer.set_exception(CallFailed(packet.flaw, code="too-large"))
    elif packet.error is not None:
        message = str(packet.error.get("message", "the client answered with an error"))
        code = str(packet.error.get("code", "failed"))
        answer.set_exception(CallFailed(message, code=code))
    else:
        try:
            answer.set_result(packets.take_binary(packet, loads))
        except BadPacket as exc:
            answer.set_exception(CallFailed(str(exc), code="bad-packet"))
        except BaseException as exc:  # of loads
            if must_pass(exc, is_async=True):
                raise
            told = f"loads= could not read the answer: {kind_of(exc)}: {said_by(exc)}"
            answer.set_exception(CallFailed(told, code="bad-packet"))


def _size_of(item: Item, message: str | bytes) -> int:
    # Of a packet with binary frames, `message` is only the last.
    return item.size_bytes if type(item) is packets.Packet else len(message)


def _too_large(size: int, limit: int) -> str:
    return f"too large: expected at most {limit:,} bytes in one message, got {size:,}"

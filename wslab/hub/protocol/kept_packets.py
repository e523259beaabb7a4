"""What a client has handed over: to be written, and kept until the hub has said that it came.

Its rule: numbers follow each other in the order in which packets were handed over, and whatever is
written again has its old number. An interrupt may end any method between two lines; called again,
it goes on from there.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .client_events import Message
from .packets import NOTHING, encode_event

__all__ = ["Encoded", "KeptPackets"]

Encoded: TypeAlias = tuple[str, list[bytes]]  # data as packets.dumps() returns it
PACKET_OVERHEAD_BYTES = 64  # what each counts beside its data: an empty one is not free


@dataclass(slots=True)
class _Kept:
    """A packet of ours. ``event`` is None for an answer, whose text is whole already."""

    event: str | None
    encoded: Encoded | None
    id: int | None
    size_bytes: int
    n: int | None = None

    def frames(self) -> tuple[Message, ...]:
        if self.event is None:
            assert self.encoded is not None
            text, attachments = self.encoded
        else:
            text, attachments = encode_event(
                self.event, NOTHING, id=self.id, n=self.n, encoded=self.encoded
            )
        return (text, *attachments)


class KeptPackets:
    """The packets of one client, over all its connections.

    Attributes:
        last_n: the number of the latest one that has one.
        size_bytes: of those that are kept.
    """

    def __init__(self) -> None:
        self.last_n = 0
        self.size_bytes = 0
        self._unsent: collections.deque[_Kept] = collections.deque()
        self._sent: collections.deque[_Kept] = collections.deque()  # numbered, in order, and kept
        self._ready: collections.deque[_Kept] = collections.deque()  # to be written now

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent)

    @property
    def has_sent(self) -> bool:
        """Whether some wait for the hub to say that they came."""
        return bool(self._sent)

    @property
    def unsent_calls(self) -> set[int | None]:
        """The calls among those that wait for a connection."""
        return {kept.id for kept in self._unsent if kept.event is not None}

    # What leaves.

    def add(self, event: str | None, encoded: Encoded | None, id: int | None = None) -> None:
        """Hand over a packet; of an answer, ``event`` is None."""
        kept = _Kept(event, encoded, id, size_of(encoded))
        self.size_bytes += kept.size_bytes
        self._unsent.append(kept)

    def withdraw(self, id: int) -> bool:
        """Take back a call; whether it had not been sent yet."""
        for kept in self._unsent:
            if kept.id == id and kept.event is not None:
                self._unsent.remove(kept)
                self.size_bytes -= kept.size_bytes
                return True
        return False

    def send(self, *, is_numbered: bool) -> None:
        """Let go out what has waited; unless it is numbered, it is not kept from then on."""
        while self._unsent:
            kept = self._unsent[0]
            if not is_numbered or kept.event is None:
                kept.n = None
            else:
                if not self._sent or self._sent[-1] is not kept:
                    kept.n = self.last_n + 1
                    self._sent.append(kept)
                self.last_n = kept.n or 0
            if not self._ready or self._ready[-1] is not kept:
                self._ready.append(kept)
            self._unsent.popleft()
            if kept.n is None:
                self.size_bytes -= kept.size_bytes

    def send_again(self) -> None:
        """Let go out again what the hub has not said that it came."""
        self._ready.extend(self._sent)

    def ready(self) -> Iterator[tuple[Message, ...]]:
        """Yield the frames of each packet that is to be written now, in order.

        One counts as written when the next is asked for: where an interrupt comes in between, it is
        yielded again.
        """
        while self._ready:
            yield self._ready[0].frames()
            self._ready.popleft()

    def stop(self) -> None:
        """Write nothing of it: the connection has ended."""
        self._ready.clear()

    # What is no longer kept.

    def acknowledge(self, n: int, open_calls: Container[int | None]) -> None:
        """Let go of what came, up to number n.

        A call is kept until it is answered: coming back, it asks for its answer again.
        """
        remaining = [kept for kept in self._sent if (kept.n or 0) > n or kept.id in open_calls]
        self._sent = collections.deque(remaining)
        self._count()

    def answered(self, id: int) -> int:
        """Let go of a call: it has come, since it was answered; return its number, or 0."""
        for kept in self._sent:
            if kept.id == id:
                self._sent.remove(kept)
                self.size_bytes -= kept.size_bytes
                return kept.n or 0
        return 0

    def forget_sent(self, *, was_written: bool) -> None:
        """Keep no longer what was sent; what was not written on this connection goes out again."""
        if not was_written:
            self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._count()

    def begin_anew(self) -> None:
        """Count from 1 for a hub that has never heard of us; answers to calls of another go."""
        self.last_n = len(self._sent)
        for n, kept in enumerate(self._sent, 1):
            kept.n = n
        for kept in [kept for kept in self._unsent if kept.event is None]:
            self._unsent.remove(kept)

    def _count(self) -> None:
        both = itertools.chain(self._sent, self._unsent)
        self.size_bytes = sum(kept.size_bytes for kept in both)


def size_of(encoded: Encoded | None) -> int:
    """Return what a packet with that data counts, in bytes."""
    text, attachments = encoded or ("", ())
    return len(text) + sum(map(len, attachments)) + PACKET_OVERHEAD_BYTES

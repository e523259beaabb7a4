"""Messages, put together from the frames that one side sends (RFC 6455 §5.4).

Its rule: never more than a bound is held of a message that is not complete; what is beyond is one
fault, and its frames are there one by one. Left out: faults of frames, which the decoder names.
"""

from __future__ import annotations

from ..events import FaultEvent, MessageEvent
from ..frames.frame import Frame
from ..frames.opcodes import BINARY, CONT, TEXT
from ..http.heads import Problem
from ..sender import Sender

__all__ = ["TOO_LONG", "MessageAssembler"]

MAX_MESSAGE_BYTES = 16 * 2**20  # its fragments' bytes, as they came and inflated
_FRAGMENT_BYTES = 512  # what a fragment costs beyond them

TOO_LONG = Problem(
    "a message is read up to a bound",
    "wslab",
    f"Expected a message that takes at most {MAX_MESSAGE_BYTES:,} bytes to be put together; more "
    "came, or part of it was let go while it was incomplete. Its frames are there one by one, but "
    "no message. A peer that never ends its message would else fill the memory of who watches.",
    MAX_MESSAGE_BYTES,
)


class MessageAssembler:
    """Put one side's data frames together to messages.

    Attributes:
        held: what the frames of the open message take, in bytes.
    """

    __slots__ = ("_began_s", "_connection_id", "_frames", "_sender", "held")

    def __init__(self, connection_id: str, sender: Sender) -> None:
        self._connection_id = connection_id
        self._sender = sender
        self._frames: list[Frame] | None = None  # of the open message, where all are there
        self._began_s = 0.0
        self.held = 0

    def copy(self) -> MessageAssembler:
        """Return an independent one in the same state."""
        twin = MessageAssembler(self._connection_id, self._sender)
        twin._frames = None if self._frames is None else self._frames.copy()
        twin._began_s, twin.held = self._began_s, self.held
        return twin

    def forget(self) -> None:
        """Forget the open message: part of it was passed over, or it takes too much."""
        self._frames, self.held = None, 0

    def add(self, at_s: float, frame: Frame) -> MessageEvent | FaultEvent | None:
        """Take the next data frame; return the message that it ends, if it does."""
        if frame.opcode != CONT:
            if frame.fin:  # nearly every message
                self._frames, self.held = None, 0
                return self._message(at_s, at_s, [frame])
            self._frames, self.held, self._began_s = [], 0, at_s
        frames = self._frames
        if frames is None:
            return None  # its beginning was dropped
        frames.append(frame)
        if frame.fin:
            self.forget()
            return self._message(at_s, self._began_s, frames)
        self.held += _FRAGMENT_BYTES + frame.size_bytes + len(frame.inflated or b"")
        if self.held > MAX_MESSAGE_BYTES:
            self.forget()
            return self._too_long(at_s)
        return None

    def _message(
        self, at_s: float, began_s: float, frames: list[Frame]
    ) -> MessageEvent | FaultEvent | None:
        first = frames[0]
        data: str | bytes = first.content
        wire_bytes, cut_bytes = first.size_bytes, first.cut_bytes
        is_lost = first.compressed and first.inflated is None
        if len(frames) > 1:
            data = b"".join([frame.content for frame in frames])
            wire_bytes = sum([frame.size_bytes for frame in frames])
            cut_bytes = sum([frame.cut_bytes for frame in frames])
            is_lost = first.compressed and any(frame.inflated is None for frame in frames)
        if cut_bytes:
            return self._too_long(at_s)
        if is_lost:
            return None  # it could not be inflated; a fault has said so
        if first.opcode == TEXT:
            try:
                data = data.decode()  # type: ignore[union-attr]
            except UnicodeDecodeError:
                return None  # a fault has said so
        elif first.opcode != BINARY:
            return None
        return MessageEvent(
            at_s=at_s,
            connection_id=self._connection_id,
            sender=self._sender,
            data=data,
            began_s=began_s,
            fragments=len(frames),
            wire_bytes=wire_bytes,
            compressed=first.compressed,
        )

    def _too_long(self, at_s: float) -> FaultEvent:
        return FaultEvent(
            at_s=at_s, connection_id=self._connection_id, sender=self._sender, fault=TOO_LONG
        )

"""Frames put together to packets: a text frame, and the binary frames that it announces.

Its rule: nothing is swallowed; what turns out to be no packet is handed back as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import BadPacket
from .client_events import Message
from .packets import Packet, decode

__all__ = ["Assembler", "Frames"]


@dataclass(slots=True)
class Frames:
    """Frames that belong together, and the packet that they are; None where they are none."""

    packet: Packet | None
    messages: list[Message] = field(default_factory=list)


class Assembler:
    """The frames of one connection after another."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial: Frames | None = None  # its binary frames are still to come

    def receive(self, message: Message) -> list[Frames]:
        """Take in a frame; return what is whole now."""
        if isinstance(message, bytes):
            return self._receive_binary(message)
        found = []
        if self._partial is not None:  # a text in place of a binary frame: it was no packet
            found.append(Frames(None, self.take()))
        try:
            packet = decode(message)
        except BadPacket:
            return [*found, Frames(None, [message])]
        frames = Frames(packet, [message])
        if packet.is_whole:
            return [*found, frames]
        self._partial = frames
        return found

    def _receive_binary(self, message: bytes) -> list[Frames]:
        partial = self._partial
        if partial is None or partial.packet is None:
            return [Frames(None, [message])]
        partial.messages.append(message)
        partial.packet.attachments.append(message)
        if not partial.packet.is_whole:
            return []
        self._partial = None
        return [partial]

    @property
    def has_begun(self) -> bool:
        """Whether there is a packet of which some frames are still to come."""
        return self._partial is not None

    def take(self) -> list[Message]:
        """Return the frames of such a packet, and forget it."""
        partial, self._partial = self._partial, None
        return [] if partial is None else partial.messages

"""MessageCounter: how many messages are in the bytes of one side's frames.

Its rule: it reads headers and skips payloads, so that it costs next to nothing beside carrying the
bytes. It judges nothing: bytes that are no frames give a number without meaning, and no error.
"""

from __future__ import annotations

from .layout import header_size

__all__ = ["MessageCounter"]


class MessageCounter:
    """Count the text and binary messages whose last frame has begun (RFC 6455 §5.2).

    Attributes:
        messages: how many so far.
    """

    __slots__ = ("_head", "_left", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self._left = 0  # of the payload that is being skipped
        self._head = b""  # of a header that is not complete

    def feed(self, data: bytes, patience: int | None = None) -> bytes:
        """Take the next bytes, in chunks of any size.

        Args:
            data: the bytes.
            patience: how many frames may be looked into; None for all.

        Returns:
            What was not looked into, to be fed before anything else.
        """
        if self._left >= len(data):
            self._left -= len(data)
            return b""
        if self._head:
            data, self._head = self._head + data, b""
        at, size = self._left, len(data)
        while at < size:
            payload = at + header_size(data[at : at + 2])
            if payload > size:
                self._head, self._left = data[at:], 0
                return b""
            length = data[at + 1] & 0x7F
            if length >= 126:
                length = int.from_bytes(data[at + 2 : at + (4 if length == 126 else 10)], "big")
            # FIN set and the control bit clear: the last frame of a text or binary message.
            if data[at] & 0x88 == 0x80:
                self.messages += 1
            at = payload + length
            if patience is not None:
                patience -= 1
                if patience <= 0 and at < size:
                    self._left = 0
                    return data[at:]
        self._left = at - size
        return b""

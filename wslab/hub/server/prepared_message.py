"""A message that many clients get, made into frames once: serialised once, compressed once.

Its rule: a prepared frame stands alone. It is compressed without reference to what went before
(RFC 7692 §7.1.1.1 allows that at any time), so the same bytes fit every client that negotiated the
same window. What that asks of the connection is in `websockets_link`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import TypeAlias

from websockets.frames import Opcode

__all__ = ["PLAIN", "RSV1", "Frames", "PreparedMessage"]

Frames: TypeAlias = tuple[bytes, ...]  # as they go over the wire, not compressed

PLAIN = 0
RSV1 = 0x40  # of a frame's first byte: it is compressed (RFC 7692 §6)
_TAIL = b"\x00\x00\xff\xff"
_WORTH_BYTES = 48  # below it deflate saves nothing that anybody would notice


class PreparedMessage:
    """One message, or an event's text with its binary frames, as it goes over the wire.

    It holds each payload once, in its frame. `deflated` adds what it makes; so what is kept for
    long keeps ``plain`` alone, and makes a message of it again with `of`.

    Args:
        text: a text frame's payload, or None.
        binary: the payloads of the binary frames that follow it.

    Attributes:
        plain: its frames, not compressed.
        frames: what has been made of it, by the bits of the window: PLAIN, or as in `deflated`.
        size_bytes: of ``plain``.
    """

    __slots__ = ("frames", "plain", "size_bytes")

    def __init__(self, text: str | None, binary: Sequence[bytes] = ()) -> None:
        frames = [] if text is None else [_frame(Opcode.TEXT, text.encode())]
        frames += [_frame(Opcode.BINARY, payload) for payload in binary]
        self._hold(tuple(frames))

    def _hold(self, plain: tuple[bytes, ...]) -> None:
        self.plain = plain
        self.size_bytes = sum(map(len, plain))
        self.frames: dict[int, tuple[bytes, ...]] = {PLAIN: plain}

    @classmethod
    def of(cls, plain: tuple[bytes, ...]) -> PreparedMessage:
        """Return the message of frames that were another one's ``plain``."""
        message = cls.__new__(cls)
        message._hold(plain)
        return message

    @property
    def parts(self) -> list[tuple[Opcode, memoryview]]:
        """Opcode and payload of each of its frames; views into these."""
        return [(Opcode(frame[0] & 0x0F), _payload(frame)) for frame in self.plain]

    @property
    def text(self) -> str | None:
        """The payload of its text frame, or None."""
        first = self.plain[0]
        return str(_payload(first), "utf-8") if first[0] & 0x0F == Opcode.TEXT else None

    @property
    def binary(self) -> list[bytes]:
        """The payloads of its binary frames."""
        return [bytes(payload) for opcode, payload in self.parts if opcode is Opcode.BINARY]

    def deflated(self, bits: int) -> tuple[bytes, ...]:
        """Return its frames for clients whose window has 2**bits bytes (9 to 15)."""
        frames = self.frames.get(bits)
        if frames is None:
            frames = tuple(
                _frame(opcode, payload, bits) if len(payload) >= _WORTH_BYTES else plain
                for (opcode, payload), plain in zip(self.parts, self.plain, strict=True)
            )
            self.frames[bits] = frames
        return frames


def _payload(frame: bytes) -> memoryview:
    # Of an unmasked frame: two bytes, and a longer length in two or eight more (RFC 6455 §5.2).
    return memoryview(frame)[{126: 4, 127: 10}.get(frame[1], 2) :]


def _frame(opcode: Opcode, payload: bytes | memoryview, bits: int = PLAIN) -> bytes:
    first = 0x80 | opcode  # FIN: a whole message (RFC 6455 §5.2)
    if bits:
        deflate = zlib.compressobj(wbits=-bits)
        short = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
        short = short.removesuffix(_TAIL)
        if len(short) < len(payload):
            payload, first = short, first | RSV1
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 2**16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload

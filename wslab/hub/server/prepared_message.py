"""A message that many get: serialised once for each dialect, compressed once for each window.

Its rule: a prepared frame stands alone. It is compressed without reference to what went before
(RFC 7692 §7.1.1.1 allows that at any time), so the same bytes fit every client that negotiated the
same window. What that asks of the connection is in `websockets_link`.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence
from typing import Final

from websockets.frames import Opcode

from ..dialects.dialect import Dialect, Payloads, Raw, Said

__all__ = ["PLAIN", "RSV1", "Form", "PreparedMessage"]

PLAIN: Final = 0
# The first byte of a whole message in one frame (RFC 6455 §5.2); an enum is slow to ask.
_TEXT: Final = 0x80 | int(Opcode.TEXT)
_BINARY: Final = 0x80 | int(Opcode.BINARY)
RSV1: Final = 0x40  # of a frame's first byte: it is compressed (RFC 7692 §6)
_TAIL = b"\x00\x00\xff\xff"
_WORTH_BYTES = 48  # below it deflate saves nothing that anybody would notice
_OVERHEAD_BYTES = 64  # of an event's packet and its frames beyond name and data, about


class Form:
    """How a link takes messages: the dialect that it speaks, and its window.

    There is one object for each of the latest, so that it is found quickly.

    Args:
        dialect: the dialect.
        bits: of the window of 2**bits bytes (9 to 15); PLAIN where nothing is compressed.
    """

    __slots__ = ("bits", "dialect")

    def __init__(self, dialect: Dialect, bits: int) -> None:
        self.dialect, self.bits = dialect, bits

    @staticmethod
    @functools.lru_cache(maxsize=256)  # a hub that is gone shall not be kept by its dialect
    def of(dialect: Dialect, bits: int) -> Form:
        """Return the one form of these."""
        return Form(dialect, bits)


class PreparedMessage:
    """One message: a text frame, a binary one, or a text frame with the binary ones it refers to.

    It holds its payload in its frames alone; an event's also as UTF-8, for further dialects.

    Args:
        text: a text frame's payload (bytes are UTF-8), or None; in whatever dialect it is.
        binary: the payloads of the binary frames that follow it.

    Attributes:
        frames: what has been made of it, by form; `prepare` adds to it.
    """

    __slots__ = ("_plain", "_said", "frames")

    def __init__(self, text: str | bytes | None, binary: Sequence[bytes] = ()) -> None:
        self._said: Said | Raw | None = None
        self._plain = _plain(text, binary)
        self.frames: dict[Form, tuple[bytes, ...]] = {}

    @classmethod
    def of_event(cls, said: Said) -> PreparedMessage:
        """Return the message of an event, in any dialect."""
        message = cls.__new__(cls)
        message._said, message._plain, message.frames = said, (), {}
        return message

    @classmethod
    def of_raw(cls, raw: Raw) -> PreparedMessage:
        """Return a message that is no event, in any dialect."""
        message = cls.__new__(cls)
        message._said, message._plain, message.frames = raw, (), {}
        return message

    @property
    def size_bytes(self) -> int:
        """What it takes on the wire where nothing is compressed; of an event, about."""
        said = self._said
        if said is None:
            return sum(map(len, self._plain))
        if isinstance(said, Raw):
            return len(said.payload)
        return said.size_bytes + _OVERHEAD_BYTES

    def prepare(self, form: Form) -> tuple[bytes, ...]:
        """Return its frames in a form, made once."""
        frames = self.frames.get(form)
        if frames is None:
            if form.bits:
                plain = self.prepare(Form.of(form.dialect, PLAIN))
                frames = tuple(_deflated(frame, form.bits) for frame in plain)
            elif self._said is None:
                frames = self._plain
            else:
                frames = _plain(*self._in_words(form.dialect))
            self.frames[form] = frames
        return frames

    def _in_words(self, dialect: Dialect) -> Payloads:
        said = self._said
        return dialect.raw(said) if isinstance(said, Raw) else dialect.event(said)  # type: ignore[arg-type]

    def parts(self, dialect: Dialect) -> list[tuple[Opcode, memoryview]]:
        """Opcode and payload of each of its frames; views into these."""
        frames = self.prepare(Form.of(dialect, PLAIN))
        return [(Opcode(frame[0] & 0x0F), _payload(frame)) for frame in frames]


def _plain(text: str | bytes | None, binary: Sequence[bytes]) -> tuple[bytes, ...]:
    if isinstance(text, str):
        text = text.encode()
    frames = () if text is None else (_frame(_TEXT, text),)
    return (*frames, *[_frame(_BINARY, payload) for payload in binary]) if binary else frames


def _payload(frame: bytes) -> memoryview:
    # Of an unmasked frame: two bytes, and a longer length in two or eight more (RFC 6455 §5.2).
    return memoryview(frame)[{126: 4, 127: 10}.get(frame[1], 2) :]


def _deflated(frame: bytes, bits: int) -> bytes:
    payload = _payload(frame)
    if len(payload) < _WORTH_BYTES:
        return frame
    deflate = zlib.compressobj(wbits=-bits)
    short = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
    return _frame(frame[0] | RSV1, short) if len(short) < len(payload) else frame


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 2**16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload

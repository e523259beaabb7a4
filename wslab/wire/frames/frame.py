"""A frame as it travelled, and every field of it with its bits (RFC 6455 section 5.2).

The one rule: what travelled is kept. A Frame holds the header and the payload exactly as they came,
and everything else is read from them, down to the offset of every bit. Left out: finding frames in
a stream (`decoder`), and making them (`layout`).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field

from .layout import apply_mask
from .opcodes import CLOSE, OPCODES, TEXT, Opcode
from .violations import Fault, say_bytes

__all__ = ["Field", "Frame"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a frame, and where its bits are.

    Attributes:
        name: "FIN", "RSV1", "RSV2", "RSV3", "opcode", "MASK", "payload length", "extended length",
            "masking key" or "payload".
        bit_offset: bits from the first bit of the frame.
        bit_length: width in bits.
        value: a number, or bytes for the masking key and the payload (as it travelled).
        meaning: a few words.
        section: of RFC 6455.
    """

    name: str
    bit_offset: int
    bit_length: int
    value: int | bytes
    meaning: str
    section: str = "5.2"


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One frame as it travelled. Every other attribute is read from these bytes.

    Attributes:
        header: the header, 2 to 14 bytes.
        payload_raw: the payload as it travelled: masked, if MASK is set.
        inflated: this frame's own share of a compressed message, inflated; else None.
        faults: the rules that this frame breaks.
        message_opcode: TEXT or BINARY, of the message that this frame is a part of; None for a
            control frame, and for a continuation of nothing.
        compressed: whether that message is compressed with permessage-deflate.
        carry: the first bytes of a character that the fragment before this one broke off.
        cut_bytes: how much of the payload's end was too much to be kept; counted in
            ``size_bytes``, and missing in ``payload`` and ``raw``.
    """

    header: bytes
    payload_raw: bytes
    inflated: bytes | None = None
    faults: tuple[Fault, ...] = ()
    message_opcode: int | None = None
    compressed: bool = False
    carry: bytes = b""
    cut_bytes: int = 0
    _payload: bytes | None = field(default=None, compare=False)

    @property
    def fin(self) -> bool:
        """Tell whether this frame ends its message."""
        return self.header[0] >= 0x80

    @property
    def rsv1(self) -> bool:
        """Tell whether RSV1 is set: with permessage-deflate, "this message is compressed"."""
        return bool(self.header[0] & 0x40)

    @property
    def rsv2(self) -> bool:
        """Tell whether RSV2 is set."""
        return bool(self.header[0] & 0x20)

    @property
    def rsv3(self) -> bool:
        """Tell whether RSV3 is set."""
        return bool(self.header[0] & 0x10)

    @property
    def opcode(self) -> int:
        """Give the opcode: an Opcode where it has a name, else a plain number."""
        return OPCODES[self.header[0] & 0x0F]

    @property
    def masked(self) -> bool:
        """Tell whether the payload was masked."""
        return self.header[1] >= 0x80

    @property
    def mask_key(self) -> bytes | None:
        """Give the four bytes of the masking key, or None."""
        return self.header[-4:] if self.header[1] >= 0x80 else None

    @property
    def length_form(self) -> int:
        """Give the width of the field that holds the length: 7, 16 or 64 bits."""
        return {126: 16, 127: 64}.get(self.header[1] & 0x7F, 7)

    @property
    def payload(self) -> bytes:
        """Give the payload without its mask (still compressed, if the message is)."""
        if self.header[1] < 0x80:
            return self.payload_raw
        payload = self._payload
        if payload is None:
            payload = apply_mask(self.payload_raw, self.header[-4:])
            object.__setattr__(self, "_payload", payload)
        return payload

    @property
    def content(self) -> bytes:
        """Give what the application gets: inflated if it was compressed, else the payload."""
        return self.payload if self.inflated is None else self.inflated

    @property
    def raw(self) -> bytes:
        """Give the whole frame as it travelled."""
        return self.header + self.payload_raw

    @property
    def size_bytes(self) -> int:
        """Give the size of the whole frame."""
        return len(self.header) + len(self.payload_raw) + self.cut_bytes

    @property
    def payload_size_bytes(self) -> int:
        """Give the size of the payload as it travelled."""
        return len(self.payload_raw) + self.cut_bytes

    @property
    def header_size_bytes(self) -> int:
        """Give the size of the header, masking key included."""
        return len(self.header)

    @property
    def kind(self) -> str:
        """Name the kind in one word: an Opcode's label, or "reserved"."""
        opcode = self.opcode
        return opcode.label if isinstance(opcode, Opcode) else "reserved"

    @property
    def label(self) -> str:
        """Name the kind for people; a reserved opcode with its number."""
        opcode = self.opcode
        return opcode.label if isinstance(opcode, Opcode) else f"reserved 0x{opcode:X}"

    @property
    def is_control(self) -> bool:
        """Tell whether this is a control frame: an opcode from 0x8 on."""
        return bool(self.header[0] & 0x08)

    @property
    def text(self) -> str | None:
        """Give the text of a text message's frame; None for other kinds and for bad UTF-8.

        A character that is cut by the end of a fragment belongs to the next one, so the texts of
        all fragments put together are the text of the message.
        """
        if self.message_opcode != TEXT or (self.compressed and self.inflated is None):
            return None
        try:
            return codecs.utf_8_decode(
                self.carry + self.content, "strict", self.fin and not self.cut_bytes
            )[0]
        except UnicodeDecodeError:
            return None

    @property
    def close_code(self) -> int | None:
        """Give the close code in a close frame; None if it carries none."""
        if self.opcode != CLOSE or len(self.payload_raw) < 2:
            return None
        return int.from_bytes(self.payload[:2], "big")

    @property
    def close_reason(self) -> str | None:
        """Give the reason in a close frame ("" if none); None for other kinds and bad UTF-8."""
        if self.opcode != CLOSE:
            return None
        try:
            return self.payload[2:].decode()
        except UnicodeDecodeError:
            return None

    @property
    def fields(self) -> tuple[Field, ...]:
        """Give every field with its bits, in order; put together they are the whole frame."""
        return tuple(_fields(self))

    def __repr__(self) -> str:
        parts = [self.label, "" if self.fin else "to be continued", f"{self.payload_size_bytes} B"]
        parts += ["masked"] * self.masked + ["compressed"] * self.compressed
        if self.close_code is not None:
            parts.append(f"{self.close_code} {self.close_reason!r}")
        elif self.text is not None:
            shown = self.text if len(self.text) <= 40 else self.text[:39] + "…"
            parts.append(repr(shown))
        parts += [fault.rule for fault in self.faults]
        return f"<Frame {', '.join(part for part in parts if part)}>"


def _fields(frame: Frame) -> Iterable[Field]:
    header = frame.header
    control = frame.is_control
    size = frame.payload_size_bytes
    yield Field(
        "FIN", 0, 1, int(frame.fin), "last frame of the message" if frame.fin else "more follows"
    )
    compressed = frame.compressed and frame.opcode != Opcode.CONT
    rsv_meaning = ("not used", "set, but nothing was agreed that uses it")
    yield Field(
        "RSV1",
        1,
        1,
        int(frame.rsv1),
        "compressed message (RFC 7692)" if frame.rsv1 and compressed else rsv_meaning[frame.rsv1],
    )
    yield Field("RSV2", 2, 1, int(frame.rsv2), rsv_meaning[frame.rsv2])
    yield Field("RSV3", 3, 1, int(frame.rsv3), rsv_meaning[frame.rsv3])
    yield Field("opcode", 4, 4, int(frame.opcode), frame.label, "5.5" if control else "5.2")
    yield Field("MASK", 8, 1, int(frame.masked), "masked" if frame.masked else "not masked", "5.1")
    short = header[1] & 0x7F
    form = frame.length_form
    here = say_bytes(size) if form == 7 else f"the length is in the next {form} bits"
    yield Field("payload length", 9, 7, short, here)
    offset = 16
    if form != 7:
        yield Field("extended length", 16, form, size, say_bytes(size))
        offset += form
    if frame.mask_key is not None:
        yield Field("masking key", offset, 32, frame.mask_key, "XORed with the payload", "5.3")
        offset += 32
    if size:
        how = ", masked" if frame.masked else ""
        meaning = f"{say_bytes(size)} of {frame.kind}{how}"
        if frame.cut_bytes:
            meaning += f", of which the first {len(frame.payload_raw):,} are kept"
        yield Field("payload", offset, 8 * size, frame.payload_raw, meaning)

"""Bytes to frames: RFC 6455 section 5, with permessage-deflate (RFC 7692).

The one rule: any chunking gives the same frames. Input that breaks a rule becomes a Fault that
names the rule; nothing here raises on bad input, waits, or opens anything. A frame itself is in
`layout`, the rules are in `faults`, compression is in `deflate`; their names are here too.
Left out: the opening handshake, putting messages together, and who has to answer what.
"""

from __future__ import annotations

import codecs
import functools
from typing import Literal

from .closecodes import (
    CLOSE_CODE_RANGES,
    CLOSE_CODES,
    close_code_meaning,
    may_be_sent,
)
from .deflate import MAX_INFLATED_BYTES, Deflate, Inflater
from .faults import (
    DATA_AFTER_CLOSE,
    MESSAGE_INTERRUPTED,
    UNEXPECTED_CONTINUATION,
    UNFINISHED_MESSAGE,
    Fault,
    close_faults,
    header_rules,
    length_faults,
    make_fault,
)
from .layout import (
    BINARY,
    CLOSE,
    CONT,
    MAX_LENGTH,
    OPCODES,
    TEXT,
    BytesLike,
    Field,
    Frame,
    Opcode,
    apply_mask,
    encode_frame,
    header_size,
    say_bytes,
)

__all__ = [
    "CLOSE_CODES",
    "CLOSE_CODE_RANGES",
    "Deflate",
    "Fault",
    "Field",
    "Frame",
    "FrameDecoder",
    "Opcode",
    "apply_mask",
    "close_code_meaning",
    "encode_frame",
    "may_be_sent",
]


@functools.cache
def _without_effect(deflated: bool) -> tuple[bytes, bytes]:
    """Mark the first bytes of frames that leave the decoder's state as it is.

    Returns:
        Two tables of 256 flags: for when no message is open, and for when one is.
    """
    outside = bytearray(256)
    inside = bytearray(256)
    for first in range(256):
        opcode = first & 0x0F
        whole = opcode in (TEXT, BINARY) and first >= 0x80 and not (deflated and first & 0x40)
        inside[first] = opcode > BINARY and opcode != CLOSE
        outside[first] = inside[first] or whole or opcode == CONT
    return bytes(outside), bytes(inside)


# What a frame means for the state: its faults, unmasked payload if it was needed, inflated share,
# carried bytes, opcode of its message, whether that is compressed.
_Effect = tuple[tuple[Fault, ...], bytes | None, bytes | None, bytes, int | None, bool]
_NO_EFFECT: _Effect = ((), None, None, b"", None, False)


class FrameDecoder:
    """Turn the bytes that one side sent, after its handshake, into frames.

    Takes any chunking and linear time. A frame that breaks a rule is returned with its faults as
    long as its end is known, and decoding goes on after it. A fatal Fault ends it: it is returned
    once, and the bytes from that frame on only counted.

    Args:
        sender: "client" or "server": who must mask, and whose compression parameters apply.
        deflate: what was agreed for permessage-deflate; None if nothing was.
        max_payload: in bytes; a longer frame is a fatal Fault. None for no limit.
        max_inflated: in bytes, for a whole message; what is longer is not inflated.

    Attributes:
        frames_seen: complete frames.
        bytes_seen: all bytes: of frames, pending and undecodable.
        undecodable_bytes: from the frame of a fatal Fault on.
        stopped: the fatal Fault, or None.

    RFC 6455 section 5 and RFC 7692 section 7.2.
    """

    __slots__ = (
        "_buffer", "_carry", "_close_seen", "_compressed", "_counts", "_inflater", "_is_opaque",
        "_limit", "_message", "_need", "_rules", "_stop_is_told", "_tables",
        "bytes_seen", "deflate", "frames_seen", "sender", "stopped", "undecodable_bytes",
    )  # fmt: skip

    def __init__(
        self,
        sender: Literal["client", "server"],
        deflate: Deflate | None = None,
        max_payload: int | None = None,
        *,
        max_inflated: int = MAX_INFLATED_BYTES,
    ) -> None:
        if sender not in ("client", "server"):
            raise ValueError(f'Expected sender "client" or "server", got {sender!r}.')
        self.sender = sender
        self.deflate = deflate
        self.frames_seen = 0
        self.bytes_seen = 0
        self.undecodable_bytes = 0
        self.stopped: Fault | None = None
        self._stop_is_told = False
        self._counts = [0] * 16
        self._limit = MAX_LENGTH if max_payload is None else min(max_payload, MAX_LENGTH)
        self._rules = header_rules(sender, deflate is not None)
        self._tables = _without_effect(deflate is not None)
        # An incomplete frame, and the size at which more is known about it.
        self._buffer = bytearray()
        self._need = 2
        # The open message: its opcode (0 for none), whether it is compressed, the bytes of a
        # character that was cut, and whether its text is beyond checking (reported or unknown).
        self._message = 0
        self._compressed = False
        self._carry = b""
        self._is_opaque = False
        self._close_seen = False
        self._inflater: Inflater | None = None
        if deflate is not None:
            wbits, fresh = {
                "client": (deflate.client_max_window_bits, deflate.client_no_context_takeover),
                "server": (deflate.server_max_window_bits, deflate.server_no_context_takeover),
            }[sender]
            self._inflater = Inflater(wbits, not fresh, max_inflated)

    @property
    def pending(self) -> int:
        """Count the bytes that came of a frame that is not complete yet."""
        return len(self._buffer)

    @property
    def counts(self) -> dict[int, int]:
        """Count the frames by opcode; opcodes that did not come are left out."""
        return {OPCODES[opcode]: count for opcode, count in enumerate(self._counts) if count}

    def copy(self) -> FrameDecoder:
        """Make an independent decoder in the same state."""
        twin = object.__new__(FrameDecoder)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._buffer = self._buffer.copy()
        twin._counts = self._counts.copy()
        twin._inflater = None if self._inflater is None else self._inflater.copy()
        return twin

    def feed(self, data: BytesLike) -> list[Frame | Fault]:
        """Take the next bytes and return the frames that they complete.

        Args:
            data: any number of bytes, cut anywhere.

        Returns:
            Frames in order, and at most one Fault: the fatal one, at the end.
        """
        found: list[Frame | Fault] = []
        data, pos, whole = self._enter(data)
        if whole is not None:
            start = header_size(whole)
            found.append(self._frame(whole[:start], whole[start:]))
        end = len(data)
        limit = self._limit
        while end - pos >= 2:
            second = data[pos + 1]
            length = second & 0x7F
            start = pos + 2
            if length > 125:
                start = pos + (4 if length == 126 else 10)
                if start > end:
                    break
                length = int.from_bytes(data[pos + 2 : start], "big")
            if length > limit:
                break
            if second > 127:
                start += 4
            stop = start + length
            if stop > end:
                break
            found.append(self._frame(data[pos:start], data[start:stop]))
            pos = stop
        self._keep(data, pos)
        if self.stopped is not None and not self._stop_is_told:
            self._stop_is_told = True
            found.append(self.stopped)
        return found

    def skip(self, data: BytesLike) -> int:
        """Take the next bytes without making frames of them; leave the state that feed() would.

        The way past bytes that nobody will look at. Faults of skipped frames are not reported; a
        fatal one is, by the next feed().

        Args:
            data: any number of bytes, cut anywhere.

        Returns:
            How many frames these bytes completed.
        """
        seen_before = self.frames_seen
        data, pos, whole = self._enter(data)
        counts = self._counts
        if whole is not None:
            start = header_size(whole)
            self.frames_seen += 1
            counts[whole[0] & 0x0F] += 1
            self._advance(whole[:start], whole[start:])
        end = len(data)
        last = end - 1
        limit = self._limit
        outside, inside = self._tables
        without_effect = inside if self._message else outside
        crossed = 0
        # Everything in this loop is paid for each frame: locals only, and no object for most.
        while pos < last:
            first = data[pos]
            second = data[pos + 1]
            length = second & 0x7F
            start = pos + 2
            if length > 125:
                start = pos + (4 if length == 126 else 10)
                if start > end:
                    break
                length = int.from_bytes(data[pos + 2 : start], "big")
            if length > limit:
                break
            if second > 127:
                start += 4
            stop = start + length
            if stop > end:
                break
            counts[first & 0x0F] += 1
            crossed += 1
            if not without_effect[first]:
                self._advance(data[pos:start], data[start:stop])
                without_effect = inside if self._message else outside
            pos = stop
        self.frames_seen += crossed
        self._keep(data, pos)
        return self.frames_seen - seen_before

    def eof(self) -> list[Fault]:
        """Say what is missing if no more bytes come. Changes nothing."""
        if self.stopped is not None:
            return []
        faults = []
        came = len(self._buffer)
        if came:
            is_known = came >= header_size(self._buffer)
            size = f"{'' if is_known else 'at least '}{say_bytes(self._need)}"
            what = "a whole frame of" if is_known else "a frame header of"
            faults.append(
                make_fault("truncated-frame", "5.2", f"{what} {size}", f"{say_bytes(came)}", 1006)
            )
        if self._message and not self._close_seen:
            faults.append(UNFINISHED_MESSAGE)
        return faults

    def _enter(self, data: BytesLike) -> tuple[bytes, int, bytes | None]:
        """Count the bytes and complete the pending frame first, if there is one.

        Returns:
            The data, how much of it is used up, and the completed frame or None.
        """
        if not isinstance(data, bytes):
            data = bytes(memoryview(data))
        size = len(data)
        self.bytes_seen += size
        if self.stopped is not None:
            self.undecodable_bytes += size
            return data, size, None
        buffer = self._buffer
        if not buffer:
            return data, 0, None
        pos = 0
        # Grows to the next size at which more is known, so that each byte is moved once.
        while len(buffer) < self._need:
            missing = self._need - len(buffer)
            buffer += data[pos : pos + missing]
            pos = min(pos + missing, size)
            if len(buffer) < self._need:
                return data, pos, None
            if not self._learn():
                self.undecodable_bytes += size - pos
                return data, size, None
        whole = bytes(buffer)
        buffer.clear()
        return data, pos, whole

    def _keep(self, data: bytes, pos: int) -> None:
        """Keep the rest, which is no complete frame."""
        if pos < len(data):
            self._buffer += data[pos:]
            self._learn()

    def _learn(self) -> bool:
        """Work out how many bytes the pending frame needs; stop if that cannot be followed."""
        buffer = self._buffer
        size = header_size(buffer)
        self._need = size
        if len(buffer) < 2:
            return True
        length = buffer[1] & 0x7F
        if length > 125:
            extended = 4 if length == 126 else 10
            if len(buffer) < extended:
                self._need = extended
                return True
            length = int.from_bytes(buffer[2:extended], "big")
        if length <= self._limit:
            self._need = size + length
            return True
        if length > MAX_LENGTH:
            self.stopped = make_fault(
                "length-top-bit", "5.2", "a 64-bit length with its highest bit 0",
                f"0x{length:016X}", fatal=True,
            )  # fmt: skip
        else:
            self.stopped = make_fault(
                "payload-too-big", "10.4", f"a payload of at most {say_bytes(self._limit)}",
                f"a frame of {say_bytes(length)}", 1009, fatal=True,
            )  # fmt: skip
        self.undecodable_bytes += len(buffer)
        buffer.clear()
        return False

    def _frame(self, header: bytes, payload_raw: bytes) -> Frame:
        first, second = header[0], header[1]
        opcode = first & 0x0F
        self.frames_seen += 1
        self._counts[opcode] += 1
        faults = self._rules[first | (second & 0x80) << 1]
        if second & 0x7F > 125:
            faults += tuple(length_faults(opcode, second & 0x7F, len(payload_raw)))
        more, payload, inflated, carry, message, compressed = self._advance(header, payload_raw)
        if more:
            faults += more
        return Frame(header, payload_raw, inflated, faults, message, compressed, carry, payload)

    def _advance(self, header: bytes, payload_raw: bytes) -> _Effect:
        """Take one frame into account: the only place where the state of messages changes."""
        first = header[0]
        opcode = first & 0x0F
        if opcode > BINARY:
            if opcode != CLOSE:
                return _NO_EFFECT
            self._close_seen = True
            close = apply_mask(payload_raw, header[-4:]) if header[1] > 127 else payload_raw
            return close_faults(close), close, None, b"", None, False

        faults: tuple[Fault, ...] = (DATA_AFTER_CLOSE,) if self._close_seen else ()
        ends = first > 127
        inflater = self._inflater
        if opcode == CONT:
            if not self._message:
                faults += (UNEXPECTED_CONTINUATION,)
                return faults, None, None, b"", None, False
        else:
            if self._message:
                faults += (MESSAGE_INTERRUPTED,)
                if self._compressed and inflater is not None:
                    inflater.lose()
            self._message = opcode
            self._compressed = inflater is not None and bool(first & 0x40)
            self._carry = b""
            self._is_opaque = False
        message = self._message
        compressed = self._compressed
        if first & (0x30 if inflater is not None else 0x70):
            # An extension nobody agreed on may have changed the payload: no second complaint.
            self._is_opaque = True
        carry = b""
        payload: bytes | None = None
        inflated: bytes | None = None
        if compressed or (message == TEXT and not self._is_opaque):
            payload = apply_mask(payload_raw, header[-4:]) if header[1] > 127 else payload_raw
            content = payload
            if compressed and inflater is not None:
                result = inflater.inflate(payload, opcode != CONT, ends)
                if isinstance(result, Fault):
                    faults += (result,)
                    self._is_opaque = True
                else:
                    inflated = content = result
            if message == TEXT and not self._is_opaque:
                carry = self._carry
                faults += self._check_text(content, ends)
        if ends:
            self._message = 0
            self._compressed = False
            self._carry = b""
            self._is_opaque = False
        return faults, payload, inflated, carry, OPCODES[message], compressed

    def _check_text(self, content: bytes, ends: bool) -> tuple[Fault, ...]:
        """Check UTF-8 across fragments; report where it goes wrong, once a message."""
        carry = self._carry
        if not carry and content.isascii():
            return ()
        joined = carry + content
        try:
            rest = joined[codecs.utf_8_decode(joined, "strict", ends)[1] :]
            at, reason = len(joined) - len(rest), "surrogates not allowed"
            # Python waits for the third byte of a surrogate, but its second is wrong already.
            is_wrong = len(rest) == 2 and rest[0] == 0xED and rest[1] >= 0xA0
        except UnicodeDecodeError as error:
            at, reason, is_wrong, rest = error.start, error.reason, True, b""
        self._carry = b"" if is_wrong else rest
        if not is_wrong:
            return ()
        self._is_opaque = True
        came = f"{reason} (at byte {max(0, at - len(carry))} of this frame's text)"
        return (make_fault("text-not-utf8", "8.1", "a text message in UTF-8", came, 1007),)

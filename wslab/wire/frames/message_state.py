"""MessageState: what the frames that one side has sent so far mean for the next one.

The one rule: it changes in one place, frame by frame, whether frames are kept or passed over. Left
out: finding frames (`decoder`), and putting their contents together (`connection.messages`).
"""

from __future__ import annotations

import codecs
from typing import Any

from .deflate import Inflater
from .layout import apply_mask
from .opcodes import BINARY, CLOSE, CONT, OPCODES, TEXT
from .violations import (
    DATA_AFTER_CLOSE,
    MESSAGE_INTERRUPTED,
    UNEXPECTED_CONTINUATION,
    Fault,
    close_faults,
    make_fault,
)

__all__ = ["Effect", "MessageState"]

# What a frame means for the state: its faults, unmasked payload if it was needed, inflated share,
# carried bytes, opcode of its message, whether that is compressed.
Effect = tuple[tuple[Fault, ...], bytes | None, bytes | None, bytes, int | None, bool]
_NO_EFFECT: Effect = ((), None, None, b"", None, False)


class MessageState:
    """The open message of one side, and whether its close frame has come.

    Args:
        inflater: what inflates its messages; None where no compression was agreed.

    Attributes:
        opcode: of the open message; 0 for none.
        close_seen: whether a close frame has come.
    """

    __slots__ = ("_carry", "_compressed", "_inflater", "_is_opaque", "close_seen", "opcode")

    def __init__(self, inflater: Inflater | None) -> None:
        self._inflater = inflater
        self.opcode = 0
        self.close_seen = False
        # Of the open message: whether it is compressed, the bytes of a character that was cut, and
        # whether its text is beyond checking (reported or unknown).
        self._compressed = False
        self._carry = b""
        self._is_opaque = False

    def copy(self, *, inflates: bool = True) -> MessageState:
        """Return an independent one in the same state; copying what inflates is dear."""
        twin = MessageState(None)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        if self._inflater is not None:
            twin._inflater = self._inflater.copy() if inflates else None
        return twin

    @property
    def is_settled(self) -> bool:
        """Whether it can be saved: no compressed message is open."""
        return not (self.opcode and self._compressed)

    def forget(self) -> None:
        """Expect no more of the open message."""
        self.opcode = 0

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values."""
        state: dict[str, Any] = {
            "message": int(self.opcode),
            "carry": self._carry,
            "is_opaque": self._is_opaque,
            "close_seen": self.close_seen,
        }
        return state if self._inflater is None else state | self._inflater.snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        self.opcode, self._carry = state["message"], state["carry"]
        self._is_opaque, self.close_seen = state["is_opaque"], state["close_seen"]
        if self._inflater is not None:
            self._inflater.restore(state)

    def advance(self, header: bytes, payload_raw: bytes, cut: int) -> Effect:
        """Take the next frame into account.

        Args:
            header: 2 to 14 bytes.
            payload_raw: the payload as it travelled.
            cut: how many bytes of it are left out at its end.
        """
        first = header[0]
        opcode = first & 0x0F
        if opcode > BINARY:
            if opcode != CLOSE:
                return _NO_EFFECT
            self.close_seen = True
            if cut:
                return _NO_EFFECT
            close = apply_mask(payload_raw, header[-4:]) if header[1] > 127 else payload_raw
            return close_faults(close), close, None, b"", None, False

        faults: tuple[Fault, ...] = (DATA_AFTER_CLOSE,) if self.close_seen else ()
        ends = first > 127
        inflater = self._inflater
        if opcode == CONT:
            if not self.opcode:
                faults += (UNEXPECTED_CONTINUATION,)
                return faults, None, None, b"", None, False
        else:
            if self.opcode:
                faults += (MESSAGE_INTERRUPTED,)
                if self._compressed and inflater is not None:
                    inflater.lose()
            self.opcode = opcode
            self._compressed = inflater is not None and bool(first & 0x40)
            self._carry = b""
            self._is_opaque = False
        message = self.opcode
        compressed = self._compressed
        if first & (0x30 if inflater is not None else 0x70):
            # An extension nobody agreed on may have changed the payload: no second complaint.
            self._is_opaque = True
        carry = b""
        payload: bytes | None = None
        inflated: bytes | None = None
        if cut:  # neither inflated nor checked, as what follows it
            self._is_opaque = True
            if compressed and inflater is not None:
                inflater.lose()
        elif compressed or (message == TEXT and not self._is_opaque):
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
            self.opcode = 0
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

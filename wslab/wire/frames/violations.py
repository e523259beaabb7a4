"""Faults: the rules of RFC 6455 and RFC 7692 that bytes can break, each with its section.

The one rule: a broken rule is a value, never an exception. What depends on one frame alone is a
table or a function here; what depends on the frames before it is a constant here, for the decoder
to use. It changes no state.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from .close_codes import CLOSE_CODES, close_code_meaning, may_be_sent
from .opcodes import BINARY, CLOSE, OPCODES, TEXT, Opcode

__all__ = ["Fault"]

MAX_CONTROL_PAYLOAD_BYTES = 125


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that was broken.

    Attributes:
        rule: a short name that stays the same, such as "reserved-opcode".
        section: of the RFC, such as "5.2".
        message: what was expected, what came, and what the receiver does about it.
        close_code: with which a receiver fails the connection.
        fatal: no frame can be found after this one, so the decoder stops.
        rfc: 6455, or 7692 for compression.
    """

    rule: str
    section: str
    message: str
    close_code: int = 1002
    fatal: bool = False
    rfc: int = 6455

    @property
    def reference(self) -> str:
        """Name the source in full, such as "RFC 6455 §5.2"."""
        return f"RFC {self.rfc} §{self.section}"


def say_bytes(count: int) -> str:
    """Write "1 byte", "2 bytes" and so on."""
    return f"{count} byte{'' if count == 1 else 's'}"


def make_fault(
    rule: str,
    section: str,
    expected: str,
    came: str,
    close_code: int = 1002,
    *,
    fatal: bool = False,
    rfc: int = 6455,
) -> Fault:
    """Word a fault: what was expected, what came, what the receiver does about it."""
    action = f"The receiver fails the connection with {close_code} ({CLOSE_CODES[close_code][0]})."
    if fatal:
        action += " No frame can be found after this: decoding stops here."
    return Fault(
        rule, section, f"Expected {expected}; came {came}. {action}", close_code, fatal, rfc
    )


CONTEXT_LOST = make_fault(
    "deflate-context-lost", "7.1.1", "a stream that goes on where the last message ended",
    "data after some that could not be inflated, so these cannot be either", 1007, rfc=7692,
)  # fmt: skip
TOO_MANY_FAULTS = make_fault(
    "too-many-faults", "7.1.7", "no more after a fault, on which a receiver reads no further",
    "thousands of frames that break rules", fatal=True,
)  # fmt: skip
TOO_COSTLY = Fault(
    "too-costly", "5.4", "Expected fragments of some size; came thousands of tiny ones at once, in "
    "bytes that a full tape had to drop. Looking into each would hold up every other connection, "
    "so decoding stops here.", 1008, fatal=True,
)  # fmt: skip
UNREADABLE = Fault(
    "unreadable", "5.2", "Expected bytes that wslab can read, whatever they are; came some on "
    "which it failed. That is a fault in wslab: decoding stops here.", fatal=True,
)  # fmt: skip
_UNMASKED_CLIENT = make_fault(
    "unmasked-client", "5.1", "a masked frame, as from every client", "a frame with MASK 0"
)
_MASKED_SERVER = make_fault(
    "masked-server", "5.1", "a frame without a mask, as from every server", "a frame with MASK 1"
)
_FRAGMENTED_CONTROL = make_fault(
    "fragmented-control", "5.5", "a control frame in one piece", "a control frame with FIN 0"
)
DATA_AFTER_CLOSE = make_fault(
    "data-after-close", "5.5.1", "no more data after the sender's close frame", "a data frame"
)
UNEXPECTED_CONTINUATION = make_fault(
    "unexpected-continuation", "5.4", "a text or binary frame to begin a message",
    "a continuation, with no message to continue",
)  # fmt: skip
MESSAGE_INTERRUPTED = make_fault(
    "message-interrupted", "5.4", "a continuation of the message that has begun",
    "a new data frame before its last fragment",
)  # fmt: skip
_CLOSE_ONE_BYTE = make_fault(
    "close-payload-one-byte", "5.5.1", "no payload, or a code of 2 bytes and a reason", "1 byte"
)
UNFINISHED_MESSAGE = make_fault(
    "unfinished-message", "5.4", "the last fragment of the message", "the end of the bytes", 1006
)


@functools.cache
def header_rules(sender: str, deflated: bool) -> tuple[tuple[Fault, ...], ...]:
    """List the faults of the first nine bits; the index is first byte + 256 if MASK is set."""
    return tuple(
        tuple(_header_faults(index & 0xFF, index >= 256, sender, deflated)) for index in range(512)
    )


def _header_faults(first: int, masked: bool, sender: str, deflated: bool) -> Iterable[Fault]:
    opcode = first & 0x0F
    reserved = first & 0x70
    if deflated and reserved & 0x40:
        reserved ^= 0x40
        if opcode not in (TEXT, BINARY):
            kind = OPCODES[opcode]
            name = kind.label if isinstance(kind, Opcode) else f"0x{opcode:X}"
            yield make_fault(
                "rsv1-not-first-frame", "6", "RSV1 only on the first frame of a data message",
                f"RSV1 on opcode {name}", rfc=7692,
            )  # fmt: skip
    if reserved:
        bits = (f"RSV{bit} 1" for bit, mask in ((1, 0x40), (2, 0x20), (3, 0x10)) if reserved & mask)
        yield make_fault(
            "reserved-bit", "5.2", "0 in a bit that no agreed extension uses", " and ".join(bits)
        )
    if not isinstance(OPCODES[opcode], Opcode):
        yield make_fault(
            "reserved-opcode", "5.2", "one of the opcodes 0, 1, 2, 8, 9 and 0xA", f"0x{opcode:X}"
        )
    if opcode >= CLOSE and first < 0x80:
        yield _FRAGMENTED_CONTROL
    if sender == "client" and not masked:
        yield _UNMASKED_CLIENT
    if sender == "server" and masked:
        yield _MASKED_SERVER


def length_faults(opcode: int, short: int, length: int) -> Iterable[Fault]:
    """Find what is wrong with an extended length; ``short`` is the 7-bit field before it."""
    form, smallest = (16, 126) if short == 126 else (64, 65536)
    if length < smallest:
        yield make_fault(
            "length-not-minimal", "5.2", "the shortest form of the length",
            f"{length} in {form} bits, which is for {smallest} and more",
        )  # fmt: skip
    if opcode >= CLOSE and length > MAX_CONTROL_PAYLOAD_BYTES:
        yield make_fault(
            "control-too-long", "5.5",
            f"a control frame with at most {MAX_CONTROL_PAYLOAD_BYTES} bytes of payload",
            say_bytes(length),
        )  # fmt: skip


def close_faults(payload: bytes) -> tuple[Fault, ...]:
    """Find what is wrong with a close frame's unmasked payload (RFC 6455 section 5.5.1)."""
    if len(payload) < 2:
        return (_CLOSE_ONE_BYTE,) if payload else ()
    faults: tuple[Fault, ...] = ()
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        faults = (
            make_fault(
                "close-code-not-sendable",
                "7.4.1" if code in CLOSE_CODES else "7.4.2",
                "a close code that may travel: 1000 to 1003, 1007 to 1014 or 3000 to 4999",
                f"{code} ({close_code_meaning(code)})",
            ),
        )
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        came = f"{error.reason} at byte {error.start} of the reason"
        faults += (make_fault("close-reason-not-utf8", "5.5.1", "a reason in UTF-8", came, 1007),)
    return faults

"""Opcodes: what a frame is for (RFC 6455 section 5.2).

The one rule: this is a table; reserved numbers stay plain numbers.
"""

from __future__ import annotations

import enum

__all__ = ["Opcode"]


class Opcode(enum.IntEnum):
    """What a frame is for: the last four bits of its first byte (RFC 6455 section 5.2)."""

    CONT = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def label(self) -> str:
        """Name the kind in one word for a view: "text", "continuation", "ping" and so on."""
        return "continuation" if self is Opcode.CONT else self.name.lower()

    @property
    def is_control(self) -> bool:
        """Tell whether this is a control opcode: one with its highest bit set."""
        return self >= Opcode.CLOSE


# By number, and as plain numbers: what is looked at for every frame must be cheap.
OPCODES: tuple[int, ...] = tuple(
    Opcode(value) if value in set(Opcode) else value for value in range(16)
)
CONT, TEXT, BINARY, CLOSE, _PING, _PONG = (int(opcode) for opcode in Opcode)

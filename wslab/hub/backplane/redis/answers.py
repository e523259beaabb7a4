"""Answers as bytes: what is kept of them for a client that asks again at another node.

Its rule: no bytes of an answer are looked at; a length stands before each of its parts.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["Answer", "packed", "unpacked"]

Answer: TypeAlias = tuple[bytes, Sequence[bytes]]  # its text, and the binary frames after it
_LENGTH: Final = struct.Struct("!I")


def packed(answer: Answer) -> bytes:
    """Return an answer as one piece."""
    text, binary = answer
    return b"".join(_LENGTH.pack(len(part)) + part for part in (text, *binary))


def unpacked(data: bytes) -> Answer:
    """Return the answer that such a piece is.

    Raises:
        ValueError: it is none.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError(f"expected an answer in {len(data)} bytes, got one that is cut off")
        (length,) = _LENGTH.unpack_from(data, at)
        parts.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if not parts or at != len(data):
        raise ValueError(f"expected an answer in {len(data)} bytes, got one that is cut off")
    return parts[0], parts[1:]

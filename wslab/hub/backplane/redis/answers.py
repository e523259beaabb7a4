"""Answers as bytes: what is kept of them for a client that asks again at another node.

Its rule: no bytes of an answer are looked at; its parts are put together by `packing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from . import packing

__all__ = ["Answer", "packed", "unpacked"]

Answer: TypeAlias = tuple[bytes, Sequence[bytes]]  # its text, and the binary frames after it


def packed(answer: Answer) -> bytes:
    """Return an answer as one piece."""
    text, binary = answer
    return packing.packed((text, *binary))


def unpacked(data: bytes) -> Answer:
    """Return the answer that such a piece is.

    Raises:
        ValueError: it is none.
    """
    try:
        text, *binary = packing.unpacked(data)
    except ValueError as exc:
        raise ValueError(f"expected an answer in {len(data)} bytes: {exc}") from exc
    return text, binary

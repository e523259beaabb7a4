"""Several strings of bytes as one, each with its length before it: ``3:abc0:5:hello``.

Pure. Its rule: any bytes go in and come out as they were, and a Lua script can read it, other than
JSON, whose reader in Redis takes no half of a surrogate pair, and which holds no bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["packed", "unpacked"]

MAX_DIGITS = 10


def packed(parts: Iterable[bytes]) -> bytes:
    """Return several strings as one."""
    return b"".join(b"%d:%s" % (len(part), part) for part in parts)


def unpacked(whole: bytes) -> list[bytes]:
    """Return what `packed` was given.

    Raises:
        ValueError: that is none of its results.
    """
    parts, at = [], 0
    while at < len(whole):
        colon = whole.find(b":", at, at + MAX_DIGITS + 1)
        digits = whole[at:colon] if colon > 0 else b""
        if not digits.isdigit():
            raise ValueError(f"expected a length and a colon at {at}, got {whole[at : at + 12]!r}")
        end = colon + 1 + int(digits)
        if end > len(whole):
            raise ValueError(f"expected {int(digits)} bytes at {colon + 1}, got fewer")
        parts.append(whole[colon + 1 : end])
        at = end
    return parts

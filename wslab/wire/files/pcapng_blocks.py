"""Blocks of a pcapng file, written and read (draft-ietf-opsawg-pcapng).

Its rule: little-endian, as wslab writes it; what packets in the blocks mean is not known here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..tape.snapshot import BadFile

__all__ = [
    "BYTE_ORDER", "COMMENT", "INTERFACE", "NAME", "NANOSECONDS", "OURS", "PACKET", "RESOLUTION",
    "SECTION", "USER_APPLICATION", "block", "end_options", "nanoseconds", "option", "read_blocks",
]  # fmt: skip

# pcapng, draft-ietf-opsawg-pcapng: block types, options, and the byte order that we write.
SECTION, INTERFACE, PACKET, OURS = 0x0A0D0D0A, 1, 6, 0x80575334
BYTE_ORDER = 0x1A2B3C4D
COMMENT, USER_APPLICATION, NAME, RESOLUTION = 1, 4, 2, 9
NANOSECONDS = 10**9


def nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def option(code: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<HH", code, len(data)) + data + bytes(-len(data) % 4)


def end_options(options: bytes) -> bytes:
    return options + b"\0\0\0\0"


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return b"".join((struct.pack("<I", kind), size, body, size))


def read_blocks(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Give the type and the body of each block."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at) if len(data) - at >= 8 else (0, 0)
        if kind == SECTION and data[at + 8 : at + 12] != struct.pack("<I", BYTE_ORDER):
            raise BadFile(
                f"expected a little-endian capture, as wslab writes it, got another in {where}: "
                "another program wrote it, and wslab reads only its own"
            )
        if size < 12 or size % 4 or at + size > len(data):
            raise BadFile(
                f"expected a whole block at byte {at:,} of {where}, got {len(data) - at:,} bytes "
                "that are none: the file is cut off or damaged, so copy it once more"
            )
        yield kind, data[at + 8 : at + size - 4]
        at += size

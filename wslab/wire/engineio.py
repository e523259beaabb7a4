"""Packets of Engine.IO 4, under WebSocket and under HTTP long-polling.

On a WebSocket a packet is one text frame, a digit for its type and its data; a binary frame is a
message without a digit. Under polling a body holds several packets, between which stands U+001E,
and bytes are ``b`` and base64. Its rule: pure and strict; what is no such packet raises
ProtocolViolation and nothing else. Left out: who may send which packet when, which is the session's
affair, and the sizes of bodies and frames, which whoever reads them bounds.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from .violation import ProtocolViolation, shown

__all__ = [
    "MAX_PACKETS",
    "SEPARATOR",
    "Packet",
    "PacketType",
    "decode_payload",
    "decode_text",
    "encode",
    "encode_payload",
]

SEPARATOR: Final = "\x1e"
MAX_PACKETS: Final = 2**16  # of one body: a megabyte of the shortest events holds more


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class Packet(NamedTuple):
    """One packet.

    Args:
        type: what it is.
        data: what follows the digit; bytes only in a message.
    """

    type: PacketType
    data: str | bytes = ""


_TYPES: Final = {str(int(type)): type for type in PacketType}
_BARE: Final = frozenset({PacketType.CLOSE, PacketType.UPGRADE, PacketType.NOOP})


def decode_text(text: str) -> Packet:
    """Read one packet: a text frame, or one part of a polling body.

    Text that begins with ``b`` is bytes in base64: of a body, and on a WebSocket of a client that
    was told ``forceBase64``.

    Raises:
        ProtocolViolation: empty-packet, unknown-type, bad-base64 or unexpected-data.
    """
    first = text[:1]
    type = _TYPES.get(first)
    if type is None:
        return _decode_base64(text)
    data = text[1:]
    if data and type in _BARE:
        raise ProtocolViolation("unexpected-data", f"no data in a packet {type.name}", shown(data))
    return Packet(type, data)


def _decode_base64(text: str) -> Packet:
    if not text:
        raise ProtocolViolation("empty-packet", "a packet, which begins with its type", "no text")
    if text[0] != "b":
        raise ProtocolViolation(
            "unknown-type", "a packet's type, 0 to 6, or b before base64", shown(text)
        )
    try:
        return Packet(PacketType.MESSAGE, binascii.a2b_base64(text[1:], strict_mode=True))
    except ValueError as exc:
        raise ProtocolViolation(
            "bad-base64", "base64 with its padding after b", f"{shown(text)}: {exc}"
        ) from None


def decode_payload(text: str, max_packets: int = MAX_PACKETS) -> list[Packet]:
    """Read a polling body: one packet or more.

    Args:
        text: the body, of UTF-8.
        max_packets: more of them are refused before any is read.

    Raises:
        ProtocolViolation: too-many-packets, or as for :func:`decode_text`.
    """
    count = text.count(SEPARATOR) + 1
    if count > max_packets:
        raise ProtocolViolation(
            "too-many-packets", f"at most {max_packets:,} packets in one body", f"{count:,}"
        )
    return [decode_text(part) for part in text.split(SEPARATOR)]


def encode(packet: Packet) -> str | bytes:
    """Return a packet as what a WebSocket sends: a text frame's content, or a binary one's.

    Raises:
        ProtocolViolation: unexpected-data or lone-surrogate; the other side could not read it.
    """
    type, data = packet
    if not isinstance(data, str):
        if type is not PacketType.MESSAGE:
            raise ProtocolViolation("unexpected-data", "bytes only in a message", f"{type!r}")
        return data
    if data:
        if type in _BARE:
            raise ProtocolViolation(
                "unexpected-data", f"no data in a packet {type.name}", shown(data)
            )
        if not data.isascii():
            try:
                data.encode()
            except UnicodeEncodeError:
                raise ProtocolViolation(
                    "lone-surrogate", "text that UTF-8 can hold", shown(data)
                ) from None
    return f"{int(type)}{data}"


def encode_payload(packets: Iterable[Packet]) -> str:
    """Return packets as a polling body.

    Raises:
        ProtocolViolation: empty-packet for none at all, separator-in-data, or as for
            :func:`encode`.
    """
    parts = [_encode_part(packet) for packet in packets]
    if not parts:
        raise ProtocolViolation("empty-packet", "at least one packet in a body", "none")
    return SEPARATOR.join(parts)


def _encode_part(packet: Packet) -> str:
    encoded = encode(packet)
    if not isinstance(encoded, str):
        return "b" + binascii.b2a_base64(encoded, newline=False).decode("ascii")
    if SEPARATOR in encoded:
        raise ProtocolViolation(
            "separator-in-data", "no U+001E in text under polling, where it ends a packet",
            shown(encoded),
        )  # fmt: skip
    return encoded

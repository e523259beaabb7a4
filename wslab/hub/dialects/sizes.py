"""How large a message from a client is, and what becomes of one that is too large.

Its rule: it is told as such in its turn, since it may have an id or a number; its data is let go of
at once.
"""

from __future__ import annotations

from ..protocol.packets import Packet

__all__ = ["held_to", "size_of", "too_large"]


def size_of(text: str, limit: int) -> int:
    """Return the bytes of a text in UTF-8; its characters, where it cannot reach the limit."""
    if len(text) * 4 > limit and not text.isascii():
        return len(text.encode(errors="surrogatepass"))
    return len(text)


def held_to(packet: Packet, limit: int) -> Packet:
    """Return a packet, without its data where that is more than so many bytes."""
    if packet.size_bytes > limit:
        packet.flaw = too_large(packet.size_bytes, limit)
        packet.data, packet.text, packet.attachments = None, "", []
    return packet


def too_large(size: int, limit: int) -> str:
    """Say that it is too large."""
    return f"too large: expected at most {limit:,} bytes in one message, got {size:,}"

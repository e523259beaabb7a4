"""Sec-WebSocket-Key and the Sec-WebSocket-Accept that answers it (RFC 6455 §4.2.2).

Its rule: every step of the derivation is kept, since it is what a lesson shows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

__all__ = ["GUID", "AcceptDerivation", "accept_key", "check_key", "derive_accept"]

# Chosen once by the authors of RFC 6455 (§1.3): no other protocol would ever put it after a key,
# so whoever sends the right Accept knows WebSocket and is not echoing or caching by accident.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class AcceptDerivation:
    """Every step from a Sec-WebSocket-Key to its Sec-WebSocket-Accept (RFC 6455 §4.2.2).

    Attributes:
        key: as it stands in the request. It is text here and is not decoded.
        guid: the constant of RFC 6455.
        concatenated: key and guid.
        sha1: the digest of concatenated, 20 bytes.
        accept: base64 of sha1, 28 characters.
        key_fault: why the key is not one that a client may send, or None. The derivation works for
            any text, so a server that forgets to check would answer it.
    """

    key: str
    guid: str
    concatenated: str
    sha1: bytes
    accept: str
    key_fault: str | None


def derive_accept(key: str) -> AcceptDerivation:
    """Derive Sec-WebSocket-Accept from Sec-WebSocket-Key, keeping every step.

    Args:
        key: the header's value; white space around it does not count (RFC 6455 §4.2.2).

    Raises:
        ValueError: the key has characters that cannot stand in a header.
    """
    key = key.strip(" \t")
    concatenated = key + GUID
    try:
        # What HeadReader decoded as ISO 8859-1 becomes the bytes of the wire again.
        sha1 = hashlib.sha1(concatenated.encode("latin-1"), usedforsecurity=False).digest()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected a key of ASCII characters, got {key!r}; a key is base64 of 16 bytes"
        ) from None
    accept = base64.b64encode(sha1).decode("ascii")
    return AcceptDerivation(key, GUID, concatenated, sha1, accept, check_key(key))


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers a key (RFC 6455 §4.2.2)."""
    return derive_accept(key).accept


def check_key(key: str) -> str | None:
    """Return what is wrong with a Sec-WebSocket-Key, or None: it must be base64 of 16 bytes."""
    try:
        nonce = base64.b64decode(key.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return "is not base64"
    return None if len(nonce) == 16 else f"is base64 of {len(nonce)} bytes, not of 16"

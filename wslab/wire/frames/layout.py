"""The layout of a frame's bytes: its header, its mask, and a frame made by hand.

The one rule: rules of the protocol may be broken here; the layout of RFC 6455 section 5.2 may not.
"""

from __future__ import annotations

__all__ = ["BytesLike", "apply_mask", "encode_frame", "header_size"]

BytesLike = bytes | bytearray | memoryview
MAX_LENGTH = 2**63 - 1


def header_size(head: bytes | bytearray) -> int:
    """Give the size of the header that begins with these bytes; 2 as long as fewer came."""
    if len(head) < 2:
        return 2
    second = head[1]
    length = second & 0x7F
    return (2 if length < 126 else 4 if length == 126 else 10) + (4 if second > 127 else 0)


def apply_mask(data: BytesLike, key: bytes) -> bytes:
    """Mask or unmask a payload: XOR its byte i with byte i modulo 4 of the key.

    Args:
        data: any bytes; doing it twice gives them back.
        key: the masking key, 4 bytes.

    Raises:
        ValueError: if the key does not have 4 bytes.

    RFC 6455 section 5.3.
    """
    if len(key) != 4:
        raise ValueError(
            f"Expected a masking key of 4 bytes, got {len(key)}. Make one with os.urandom(4)."
        )
    size = len(data)
    # One XOR of two big integers: both conversions are linear, and no Python loop runs.
    stretched = (key * ((size + 3) // 4))[:size]
    number = int.from_bytes(data, "little") ^ int.from_bytes(stretched, "little")
    return number.to_bytes(size, "little")


_LENGTH_FORM_MAX = {7: 125, 16: 2**16 - 1, 64: MAX_LENGTH}


def encode_frame(
    opcode: int,
    payload: BytesLike = b"",
    *,
    fin: bool = True,
    rsv1: bool = False,
    rsv2: bool = False,
    rsv3: bool = False,
    mask_key: bytes | None = None,
    length_form: int | None = None,
) -> bytes:
    """Build the bytes of one frame. Rules of the protocol may be broken; the layout may not.

    Args:
        opcode: 0 to 15, reserved ones included.
        payload: before masking.
        fin: whether the message ends here.
        rsv1, rsv2, rsv3: the reserved bits.
        mask_key: 4 bytes to mask with (clients must, servers must not); None leaves MASK at 0.
        length_form: 7, 16 or 64, to force a wider field than needed; None takes the smallest.

    Raises:
        TypeError: if the payload is not bytes.
        ValueError: if the opcode, the key or the form does not fit its field.

    RFC 6455 section 5.2.
    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise TypeError(
            f"Expected a payload of bytes, got {type(payload).__name__}."
            " A frame carries bytes: text.encode() makes them of a text."
        )
    if not 0 <= opcode <= 15:
        raise ValueError(f"Expected an opcode from 0 to 15 (it has 4 bits), got {opcode}.")
    size = len(payload)
    if length_form is None:
        length_form = 7 if size <= 125 else 16 if size <= 65535 else 64
    elif length_form not in _LENGTH_FORM_MAX:
        raise ValueError(f"Expected length_form 7, 16, 64 or None, got {length_form!r}.")
    if size > _LENGTH_FORM_MAX[length_form]:
        raise ValueError(
            f"Expected at most {_LENGTH_FORM_MAX[length_form]} bytes in a {length_form}-bit length,"
            f" got {size}. Leave length_form out to have the smallest form that fits."
        )
    first = fin << 7 | rsv1 << 6 | rsv2 << 5 | rsv3 << 4 | opcode
    masked = 0 if mask_key is None else 0x80
    if length_form == 7:
        head = bytes((first, masked | size))
    elif length_form == 16:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    if mask_key is None:
        return head + bytes(payload)
    return head + bytes(mask_key) + apply_mask(payload, mask_key)

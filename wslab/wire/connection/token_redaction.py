"""Session tokens inside packets: taken out of the frames that hand them over.

A hub's ``welcome`` tells the token with which a client comes back, Engine.IO's and Socket.IO's
first packets tell a ``sid``, and a client's CONNECT, or its ``authenticate``, how it proves who it
is. Its rule: a frame comes out as one that could have travelled, of the same size, with the same
key, and compressed where it was. Left out: what messages say otherwise; which of that is secret,
nobody can know.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import replace

from ..frames.frame import Frame
from ..frames.layout import apply_mask, encode_frame
from ..frames.opcodes import TEXT
from ..http.secret_values import MARKER, hide_session

__all__ = ["TokenRedactor", "hide_tokens"]

_PACKET = re.compile(
    rb'\s{0,8}\{\s{0,8}"event"\s{0,8}:\s{0,8}"(?:welcome|authenticate)"|'
    rb'(?:0|40[^{]{0,128})\{|42(?:/[^,]{0,128},)?\d{0,16}\["authenticate"'
)
_TOKEN = re.compile(
    rb'(?:"(session|sid|pid|data|[\w-]{0,40}(?:token|secret|passw|api[-_]?key|jwt)[\w-]{0,40})"'
    rb'\s{0,8}:|\["authenticate"\s{0,8},)\s{0,8}"((?:[^"\\]|\\.){1,4096})',
    re.IGNORECASE,
)
_STARTS = frozenset(bytes([byte]) for byte in b"{04 \t\r\n")
_WHOLE_TEXT = 0x81  # the first byte of a text message in one frame, not compressed
_MAX_PACKET_BYTES = 8 * 2**10  # such packets are short
_START_BYTES = 256  # after which it is known whether it is one
_FILLER = MARKER.encode().ljust(4096, b"*")
_TAIL = b"\x00\x00\xff\xff"


class TokenRedactor:
    """Looks through one side's messages, frame by frame, for packets that tell a token."""

    __slots__ = ("_is_packet", "_is_rewriting", "_may_be", "_seen", "wbits")

    def __init__(self, wbits: int = 15) -> None:
        self.wbits = wbits
        self.reset()

    def reset(self) -> None:
        """Forget the message under way: part of it was passed over."""
        self._may_be = self._is_packet = self._is_rewriting = False
        self._seen = b""  # of the message, as long as it may be such a packet

    def copy(self) -> TokenRedactor:
        """Return an independent scan in the same state."""
        twin = TokenRedactor(self.wbits)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def redact(self, frame: Frame) -> Frame:
        """Return the next frame of a data message, without what it has of a token."""
        if frame.message_opcode != TEXT:
            return frame
        first = frame.header[0]
        if first & 0x0F:
            if self._may_be or self._is_rewriting:
                self.reset()
            if first == _WHOLE_TEXT and frame.payload[:1] not in _STARTS:
                return frame  # nearly every message, at nearly no cost
            self._is_packet, self._seen = False, b""
            self._may_be = True
        if not (self._may_be or self._is_rewriting):
            return frame
        if frame.cut_bytes or (frame.compressed and frame.inflated is None):
            self.reset()
            return frame
        content = frame.content
        hidden = self._without_tokens(content, frame.fin) if self._may_be else content
        # Of a compressed message the bits of one frame may end in the next: from the first frame
        # that could be such a packet's, all are written anew.
        self._is_rewriting = frame.compressed and (
            self._is_rewriting or hidden != content or (self._may_be and not frame.fin)
        )
        if hidden == content and not self._is_rewriting:
            return frame
        return _rewritten(frame, hidden, self.wbits)

    def _without_tokens(self, content: bytes, fin: bool) -> bytes:
        before = len(self._seen)
        if not before and content and content[:1] not in _STARTS:
            self._may_be = False
            return content
        seen = self._seen + content[:_MAX_PACKET_BYTES]
        if not self._is_packet:
            self._is_packet = _PACKET.match(seen) is not None
        limit = _MAX_PACKET_BYTES if self._is_packet else _START_BYTES
        self._may_be = not fin and len(seen) < limit
        self._seen = seen if self._may_be else b""
        if not self._is_packet:
            return content
        hidden = _overwrite(seen, before)
        return hidden + content[len(hidden) :]


def hide_tokens(text: str) -> str:
    """Return a whole text message, without what it has of a token."""
    content = text[:_MAX_PACKET_BYTES].encode("utf-8", "surrogatepass")
    if content[:1] not in _STARTS or _PACKET.match(content) is None:
        return text
    hidden = _overwrite(content, 0).decode("utf-8", "surrogatepass")
    return hidden + text[_MAX_PACKET_BYTES:]


def _overwrite(seen: bytes, start: int) -> bytes:
    """Return what is from ``start`` on, tokens overwritten."""
    out = bytearray(seen)
    for match in _TOKEN.finditer(seen):
        begin, end = match.span(2)
        hidden = _FILLER[: end - begin]
        # One that is cut in two has no mark: that would be another than the whole one's.
        if match[1] == b"sid" and not start and seen[end : end + 1] == b'"' and match[2].isascii():
            hidden = hide_session(match[2].decode("ascii"), end - begin).encode("ascii")
        out[begin:end] = hidden
    return bytes(out[start:])


def _rewritten(frame: Frame, content: bytes, wbits: int) -> Frame:
    carry = frame.carry if content[:1] == frame.content[:1] else b""
    payload = _deflated(content, frame, wbits) if frame.compressed else content
    header, key = frame.header, frame.mask_key
    if len(payload) != len(frame.payload_raw):
        whole = encode_frame(
            frame.opcode, payload, fin=frame.fin, rsv1=frame.rsv1, rsv2=frame.rsv2,
            rsv3=frame.rsv3, mask_key=key, length_form=_length_form(frame, len(payload)),
        )  # fmt: skip
        header = whole[: len(whole) - len(payload)]
    return replace(
        frame,
        header=header,
        payload_raw=payload if key is None else apply_mask(payload, key),
        inflated=content if frame.compressed else None,
        carry=carry,
        _payload=payload,
    )


def _length_form(frame: Frame, size_bytes: int) -> int | None:
    """Return a form wider than needed where the frame's was: that is a rule broken, and shown."""
    short, size_before = frame.header[1] & 0x7F, len(frame.payload_raw)
    if short == 127 and size_before < 2**16 and size_bytes < 2**16:
        return 64
    if short == 126 and size_before < 126:
        return 16 if size_bytes < 126 else 64
    return None


def _deflated(content: bytes, frame: Frame, wbits: int) -> bytes:
    """Compress what was changed, to as many bytes as it had where that can be."""
    size = len(frame.payload_raw)
    smallest: bytes | None = None
    for payload in _encodings(content, wbits):
        data = payload[: -len(_TAIL)] if frame.fin else payload
        padding = _padding(size - len(data))
        if padding is not None:
            return padding + data
        if smallest is None or len(data) < len(smallest):
            smallest = data
    assert smallest is not None
    return smallest


def _encodings(content: bytes, wbits: int) -> Iterator[bytes]:
    strategies = (
        zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FILTERED,
    )  # fmt: skip
    for level in (6, 1, 9, 0):
        for strategy in strategies:
            stream = zlib.compressobj(level, wbits=-max(9, wbits), strategy=strategy)
            yield stream.compress(content) + stream.flush(zlib.Z_SYNC_FLUSH)


# Blocks of DEFLATE that hold nothing: k of Huffman's fixed code (10 bits each), then a stored one,
# which fills up the byte. By how many bytes they take, modulo five.
_SIX, _SEVEN, _NINE = b"\x02\x00" + _TAIL, b"\x02\x08\x00" + _TAIL, b"\x02\x08\x20\x00\x00" + _TAIL
_NOTHING = (b"", _SIX, _SEVEN, _SIX + _SEVEN, _NINE)


def _padding(size: int) -> bytes | None:
    """Return DEFLATE that says nothing and takes so many bytes; None for 1 to 4 and for 8."""
    block = _NOTHING[size % 5]
    if size < len(block):
        return None
    return block + (b"\x00" + _TAIL) * ((size - len(block)) // 5)

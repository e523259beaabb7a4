"""HTTP bodies: where they end, and what they carry.

Its rule: what breaks the form of a body makes it one without an end, never an exception.
Left out: heads, which say how long a body is.
"""

from __future__ import annotations

import re
import zlib

from .field_values import parse_token_list
from .heads import Head, Request, Response

__all__ = ["ChunkedReader", "body_length", "content_of", "is_chunked"]

MAX_CONTENT_BYTES = 16 * 2**20
_MAX_LINE_BYTES = 4 * 2**10
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class ChunkedReader:
    """Find the end of a body in chunks, from bytes cut anywhere (RFC 9112 §7.1).

    What breaks the form is taken as a body without end: nobody can tell where it would end.

    Attributes:
        ended: whether the last chunk and the blank line after it have come.
    """

    __slots__ = ("_is_broken", "_is_last", "_left", "_line", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._is_broken = False
        self._is_last = False
        self._left = 0  # of a chunk's data and the CR LF after it
        self._line = b""

    def copy(self) -> ChunkedReader:
        """Return an independent reader in the same state."""
        twin = object.__new__(ChunkedReader)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def split(self, data: bytes, patience: int | None = None) -> tuple[list[bytes], int]:
        """Take the next bytes; return the content in them and how many belong to the body.

        ``patience``: how many lines may be looked into; more break the form.
        """
        content: list[bytes] = []
        pos = 0
        lines = 0
        while pos < len(data) and not self.ended:
            if self._is_broken:
                return content, len(data)
            if self._left:
                step = data[pos : pos + self._left]
                kept = max(0, min(len(step), self._left - 2))
                if kept:
                    content.append(step[:kept])
                self._left -= len(step)
                pos += len(step)
                continue
            lines += 1
            if lines == patience:
                self._is_broken = True
                continue
            end = data.find(b"\n", pos)
            self._line += data[pos : end + 1] if end >= 0 else data[pos:]
            pos = end + 1 if end >= 0 else len(data)
            if end < 0:
                self._is_broken = len(self._line) > _MAX_LINE_BYTES
                continue
            line, self._line = self._line.strip(b"\r\n"), b""
            if self._is_last:
                self.ended = not line  # else it is a trailer
                continue
            size = line.partition(b";")[0].strip()
            if _CHUNK_SIZE.fullmatch(size) is None:
                self._is_broken = True
            elif int(size, 16):
                self._left = int(size, 16) + 2
            else:
                self._is_last = True
        return content, pos


def is_chunked(head: Head) -> bool:
    """Tell whether a head announces a body in chunks (RFC 9112 §6.1)."""
    codings = [part for value in head.get_all("Transfer-Encoding") for part in value.split(",")]
    return bool(codings) and codings[-1].strip().lower() == "chunked"


def body_length(head: Request | Response, request: Request | None = None) -> int | None:
    """Return how long a head's body is: in bytes, or None where its end must be looked for.

    Args:
        head: a request or a response.
        request: what a response answers, where that is known.

    RFC 9112 §6.3.
    """
    if isinstance(head, Response):
        is_to_head = request is not None and request.method == "HEAD"
        if is_to_head or head.status < 200 or head.status in (204, 304):
            return 0
    if head.get("Transfer-Encoding") is not None:
        return None
    value = (head.get("Content-Length") or "").strip()
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0") or "0"
        # Python refuses to read a number of more than 4,300 digits, and no body is as long as one
        # of 19 digits says: its end is never found.
        return int(digits) if len(digits) < 19 else None
    return 0 if isinstance(head, Request) else None


def content_of(head: Head, body: bytes) -> bytes:
    """Return what a body carries, without its chunks and its compression.

    Where that cannot be undone (another coding, a body cut off, too big) it stays as it is.
    """
    if is_chunked(head):
        body = b"".join(ChunkedReader().split(body)[0])
    for value in reversed(head.get_all("Content-Encoding")):
        for coding in reversed(parse_token_list(value)):
            if coding.lower() not in ("gzip", "x-gzip", "deflate"):
                return body
            stream = zlib.decompressobj(47)
            try:
                plain = stream.decompress(body, MAX_CONTENT_BYTES)
            except zlib.error:
                return body
            if stream.unconsumed_tail:
                return body
            body = plain
    return body

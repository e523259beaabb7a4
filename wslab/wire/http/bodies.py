"""HTTP bodies: where they end, and what they carry.

Its rule: what breaks the form of a body makes it one without an end, never an exception.
Left out: heads, which say how long a body is.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

from .field_values import parse_token_list
from .heads import Head, Request, Response

__all__ = ["BodyReader", "ChunkedReader", "body_length", "content_of", "is_chunked"]

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

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> ChunkedReader:
        """Return a reader that goes on from what :meth:`snapshot` has returned."""
        reader = cls()
        for name in cls.__slots__:
            setattr(reader, name, state[name])
        return reader

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


class BodyReader:
    """Tell the bytes of a body from those after it.

    Attributes:
        left: bytes still to come; None where the end must be looked for: until TCP ends, or the
            last chunk comes.
    """

    __slots__ = ("_chunks", "left")

    def __init__(self) -> None:
        self.left: int | None = 0
        self._chunks: ChunkedReader | None = None

    def copy(self) -> BodyReader:
        """Return an independent reader in the same state."""
        twin = BodyReader()
        twin.left = self.left
        twin._chunks = self._chunks.copy() if self._chunks is not None else None
        return twin

    def expect(self, length: int | None, is_chunked: bool) -> None:
        """Expect a body of so many bytes; None for one whose end must be looked for."""
        self.left = length
        self._chunks = ChunkedReader() if is_chunked and length is None else None

    @property
    def is_unfinished(self) -> bool:
        """Whether more is sure to come of it; of one until TCP ends nobody knows."""
        return bool(self.left) or self._chunks is not None

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of the bytes belongs to the body, and what comes after it."""
        if self._chunks is not None:
            # One read of a socket; in chunks so tiny a body serves only to cost time.
            size = self._chunks.split(data, 2_000 + len(data) // 64)[1]
            if self._chunks.ended:
                self._chunks, self.left = None, 0
        elif self.left is None:
            size = len(data)
        else:
            size = min(self.left, len(data))
            self.left -= size
        return data[:size], data[size:]

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values."""
        state: dict[str, Any] = {"body_left": self.left}
        if self._chunks is not None:
            state["chunked"] = self._chunks.snapshot()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        self.left = state["body_left"]
        if "chunked" in state:
            self._chunks = ChunkedReader.restore(state["chunked"])


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

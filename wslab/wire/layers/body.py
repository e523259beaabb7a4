"""Body: an HTTP body put together from the pieces that events bring, up to a bound.

Its rule: what is beyond the bound is dropped, and that is known. Left out: secrets, which the
events have hidden already.
"""

from __future__ import annotations

from typing import Final

from ..http.bodies import BodyReader, body_length, content_of, is_chunked
from ..http.heads import Request, Response

__all__ = ["MAX_BODY", "Body"]

MAX_BODY: Final = 256 * 2**10  # bytes that are held of one


class Body:
    """One body.

    Args:
        head: of the request or response that it belongs to.
        request: what a response answers.

    Attributes:
        held: bytes that are held of it.
        is_whole: whether all of it has come.
        content: what it carries, once it is whole; None where it was too large.
    """

    __slots__ = ("_head", "_parts", "_reader", "content", "held", "is_whole")

    def __init__(self, head: Request | Response, request: Request | None = None) -> None:
        self._head = head
        self._reader = BodyReader()
        self._reader.expect(body_length(head, request), is_chunked(head))
        self._parts: list[bytes] | None = []
        self.held = 0
        self.content: bytes | None = None
        self.is_whole = False

    def add(self, data: bytes) -> bool:
        """Take the next bytes, as they are on the wire; return whether all has come."""
        own, _ = self._reader.split(data)
        if self._parts is not None:
            self._parts.append(own)
            self.held += len(own)
            if self.held > MAX_BODY:
                self.let_go()
        if self._reader.left == 0 and not self.is_whole:
            self.is_whole = True
            if self._parts is not None:
                content = content_of(self._head, b"".join(self._parts))
                self.content = content if len(content) <= MAX_BODY else None
                self.let_go()
        return self.is_whole

    def let_go(self) -> None:
        """Hold nothing of it any more."""
        self._parts, self.held = None, 0

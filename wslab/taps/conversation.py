"""Conversation: what of a tapped connection's bytes goes on, and when: its requests and answers.

Pure: bytes in, bytes out. Its rule: a request's head is handed to whoever may change it, and
nothing else is changed. From a 101 on, or from an answer on that cannot be read as HTTP, bytes are
carried as they come. What the client sends behind a request to upgrade waits for the answer, since
nobody can tell before whether it is frames or another request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..wire.frames.message_counter import MessageCounter
from ..wire.http.bodies import BodyReader, body_length, is_chunked
from ..wire.http.head_reader import HeadReader
from ..wire.http.heads import Problem, Request, Response

__all__ = ["Conversation", "Unfit"]

COUNTED_AT_ONCE = 2_000  # frames: of tiny ones, one read of a socket has a hundred thousand
MAX_UNANSWERED = 16  # requests that a client may have under way at once


class Unfit(Exception):
    """A request that does not go on.

    Args:
        status: of the answer that the client gets.
        reason: its text.
        read: the bytes of the request, as far as they were read.
    """

    def __init__(self, status: int, reason: str, read: bytes = b"") -> None:
        super().__init__(reason)
        self.status, self.reason, self.read = status, reason, read


class Conversation:
    """One connection's bytes, from its first request on.

    Args:
        let_in: takes a request's head and returns the bytes that go on in its place; it raises
            Unfit where none shall.

    Attributes:
        request: the latest request that went on.
        answer: the 101 that made frames of what follows; None before.
        is_carried: whether bytes go on as they come, both ways.
        unfit: the request that did not go on; nothing that comes after it does.
        counted: the messages of the client's and of the server's frames.
    """

    def __init__(self, let_in: Callable[[Request], bytes]) -> None:
        self._let_in = let_in
        self.request: Request | None = None
        self.answer: Response | None = None
        self.is_carried = False
        self.unfit: Unfit | None = None
        self.counted = (MessageCounter(), MessageCounter())
        self._has_frames = False
        self._uncounted = [b"", b""]
        self._requests, self._body = HeadReader("client"), BodyReader()
        self._answers, self._answer_body = HeadReader("server"), BodyReader()
        self._unanswered: deque[Request] = deque()
        self._read = b""  # of a request's head that is not complete
        self._held = bytearray()  # behind a request that must be answered first

    @property
    def has_begun(self) -> bool:
        """Whether a whole head of a request has come."""
        return self.request is not None or self.unfit is not None

    @property
    def awaits_answer(self) -> bool:
        """Whether a request that went on has not been answered."""
        return bool(self._unanswered)

    @property
    def held_bytes(self) -> int:
        """How much of what the client sent waits for an answer."""
        return len(self._held)

    def from_client(self, data: bytes) -> bytes:
        """Take the client's next bytes; return what goes on to the server."""
        if self.is_carried:
            self._count(0, data)
            return data
        out: list[bytes] = []
        while data and self.unfit is None:
            if self._body.left != 0:
                body, data = self._body.split(data)
                out.append(body)
            elif self._must_wait:
                self._held += data
                break
            else:
                data = self._ask(out, data)
        return b"".join(out)

    @property
    def _must_wait(self) -> bool:
        asked = self._unanswered
        return bool(asked) and (len(asked) >= MAX_UNANSWERED or _upgrades(asked[-1]))

    def _ask(self, out: list[bytes], data: bytes) -> bytes:
        """Read on in a request's head; return the bytes behind it."""
        read = self._read + data
        head, data = self._requests.feed(data)
        read = read[: len(read) - len(data)]
        self._read = read if head is None else b""
        if isinstance(head, Problem):
            self.unfit = Unfit(400, f"{head.message} ({head.section})\n", read)
        elif isinstance(head, Request):
            try:
                out.append(self._let_in(head))
            except Unfit as unfit:
                unfit.read = read
                self.unfit = unfit
                return b""
            self.request = head
            self._unanswered.append(head)
            self._body.expect(body_length(head), is_chunked(head))
        return data

    def from_server(self, data: bytes) -> bytes:
        """Look at the server's next bytes, which all go on; return what the client's may now."""
        while data and not self.is_carried:
            if self._answer_body.left != 0:
                _, data = self._answer_body.split(data)
                continue
            head, data = self._answers.feed(data)
            if isinstance(head, Response):
                self._answered(head)
            elif isinstance(head, Problem):
                self.is_carried = True  # nobody can tell any more what is what
        self._count(1, data)
        if self._held and (self.is_carried or not self._must_wait):
            held, self._held = bytes(self._held), bytearray()
            return self.from_client(held)
        return b""

    def _count(self, side: int, data: bytes) -> None:
        if self._has_frames:
            left = self._uncounted[side]
            self._uncounted[side] = self.counted[side].feed(left + data, COUNTED_AT_ONCE)

    def count_on(self) -> bool:
        """Count a few more frames of those that came; whether more are left."""
        for side, left in enumerate(self._uncounted):
            if left:
                self._count(side, b"")
        return self.is_behind

    @property
    def is_behind(self) -> bool:
        """Whether frames have come that are not counted yet: they should wait that still come."""
        return bool(self._uncounted[0] or self._uncounted[1])

    def _answered(self, head: Response) -> None:
        if head.status == 101:
            self.is_carried, self.answer = True, head
            self._has_frames = any(request.asks_for_websocket for request in self._unanswered)
        elif head.status >= 200:
            request = self._unanswered.popleft() if self._unanswered else None
            self._answer_body.expect(body_length(head, request), is_chunked(head))


def _upgrades(request: Request) -> bool:
    return request.asks_for_websocket or request.get("Upgrade") is not None

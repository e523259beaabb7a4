"""Half: what one side of a connection has sent, and how far it has been read.

Its rule: it holds where one side's reading stands and can be copied, saved and taken up again at
any byte; what the bytes of the two sides mean together is for the reader to say.
"""

from __future__ import annotations

from typing import Any

from ..frames.decoder import FrameDecoder
from ..frames.deflate import Deflate
from ..frames.violations import UNREADABLE
from ..http.bodies import BodyReader
from ..http.head_reader import HeadReader
from ..http.redaction import redact_body
from ..sender import Sender
from .messages import MessageAssembler
from .token_redaction import TokenRedactor

__all__ = ["Half"]

_MAX_PINGS = 64  # unanswered ones that are remembered, for each side
_TAIL_BYTES = 2**10
_NO_SECRETS: frozenset[str] = frozenset()


class Half:
    """What one side has sent: how far it has been read.

    Attributes:
        heads: reads heads; None once frames follow, or nobody can tell where a head would begin.
        decoder: reads frames; None before the handshake is over.
        head: as much as has come of the head that is not complete.
        body: where the HTTP body under way ends.
        secrets: texts that a body may repeat.
        messages: puts frames together.
        pings: the unanswered ones with their times, oldest first.
        tokens: takes session tokens out of frames.
        bytes, frames: what has been read or skipped.
        close_seen: whether it has sent a close frame.
    """

    __slots__ = (
        "_tail", "body", "bytes", "close_seen", "decoder", "frames", "head", "heads", "messages",
        "pings", "secrets", "sender", "tokens",
    )  # fmt: skip

    def __init__(self, connection_id: str, sender: Sender) -> None:
        self.sender = sender
        self.heads: HeadReader | None = HeadReader(sender)
        self.decoder: FrameDecoder | None = None
        self.head = b""
        self.body = BodyReader()
        self.secrets = _NO_SECRETS
        self._tail = b""  # of the body so far, where a secret may begin
        self.messages = MessageAssembler(connection_id, sender)
        self.pings: list[tuple[bytes, float]] = []
        self.tokens = TokenRedactor()
        self.bytes = 0
        self.frames = 0
        self.close_seen = False

    def copy(self) -> Half:
        """Return an independent half at the same point."""
        twin = object.__new__(Half)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.heads = self.heads.copy() if self.heads is not None else None
        twin.decoder = self.decoder.copy() if self.decoder is not None else None
        twin.body = self.body.copy()
        twin.tokens = self.tokens.copy()
        twin.messages = self.messages.copy()
        twin.pings = self.pings.copy()
        return twin

    def begin_body(self, length: int | None, is_chunked: bool, secrets: frozenset[str]) -> None:
        """Expect a body; ``length`` is None where its end must be looked for."""
        self.body.expect(length, is_chunked)
        self.secrets, self._tail = secrets, b""

    def redact_body(self, body: bytes) -> bytes:
        """Return the next bytes of the body without secrets; its length stays."""
        before, self._tail = self._tail, (self._tail + body)[-_TAIL_BYTES:]
        return redact_body(body, self.secrets, before)

    def begin_frames(self, deflate: Deflate | None) -> None:
        """Read frames from here on."""
        self.heads, self.decoder = None, FrameDecoder(self.sender, deflate)
        self.secrets = _NO_SECRETS
        if deflate is not None:
            self.tokens.wbits = deflate.max_window_bits(self.sender)

    def skip_frames(self, data: bytes, patience: int | None) -> int:
        """Pass over bytes of frames; return how many frames they complete."""
        assert self.decoder is not None
        crossed = self.decoder.skip(data, patience)
        self.bytes += len(data)
        self.frames += crossed
        self.close_seen = self.decoder.messages.close_seen
        self.forget()
        self.tokens.reset()
        return crossed

    def forget(self) -> None:
        """Forget the message and the pings under way: what belongs to them is passed over."""
        self.messages.forget()
        self.pings.clear()

    def give_up(self) -> None:
        """Read no more: whatever comes is counted."""
        self.heads, self.head = None, b""
        self.body.expect(0, False)
        self.forget()
        if self.decoder is not None:
            self.decoder.stop(UNREADABLE, is_told=True)

    def add_ping(self, payload: bytes, at_s: float) -> None:
        """Remember a ping."""
        self.pings.append((payload, at_s))
        del self.pings[:-_MAX_PINGS]

    def answer_ping(self, payload: bytes) -> float | None:
        """Return when the ping was sent that a pong answers, and forget those before it, too."""
        for nth, (sent, at_s) in enumerate(self.pings):
            if sent == payload:
                del self.pings[: nth + 1]
                return at_s
        return None

    @property
    def held(self) -> int:
        """How many bytes are held of what is not complete."""
        held = 2 * len(self.head) + self.messages.held  # the head's reader has it, too
        return held if self.decoder is None else held + self.decoder.pending.held

    @property
    def is_between(self) -> bool:
        """Whether no head and no body is under way; one until TCP ends may be."""
        return self.heads is not None and not self.head and not self.body.is_unfinished

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, without the bytes of what is not complete."""
        state: dict[str, Any] = {
            "bytes": self.bytes,
            "frames": self.frames,
            "close_seen": self.close_seen,
            "is_broken": self.heads is None,
            **self.body.snapshot(),
        }
        if self.decoder is not None:
            state["decoder"] = self.decoder.snapshot()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        self.bytes, self.frames = state["bytes"], state["frames"]
        self.close_seen = state["close_seen"]
        if state["is_broken"]:
            self.heads = None
        self.body.restore(state)
        if "decoder" in state:
            self.decoder = FrameDecoder.restore(self.sender, state["decoder"])

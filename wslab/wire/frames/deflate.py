"""permessage-deflate: what was agreed on, and inflating one sender's messages (RFC 7692).

The one rule: never more memory than the bound, whatever the stream says; what cannot be inflated
becomes a Fault. The window is carried from message to message as negotiated.
Left out: which frames are compressed, which is for the decoder to know.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..sender import Sender
from .violations import CONTEXT_LOST, Fault, make_fault

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["Deflate", "Inflater"]

MAX_INFLATED_BYTES = 16 * 1024 * 1024
_WINDOW_BYTES = 32 * 1024
_MAX_STREAMS_A_MESSAGE = 32
_EMPTY_BLOCK = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Deflate:
    """What client and server agreed on for permessage-deflate (RFC 7692 section 7.1).

    Attributes:
        server_no_context_takeover: the server starts afresh with every message it compresses.
        client_no_context_takeover: the client does.
        server_max_window_bits: 8 to 15: how far back the server's compressor refers, as a power
            of two.
        client_max_window_bits: the same for the client's.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if not 8 <= getattr(self, name) <= 15:
                raise ValueError(
                    f"Expected {name} from 8 to 15, got {getattr(self, name)}."
                    " Leave it out to have 15."
                )

    def max_window_bits(self, sender: Sender) -> int:
        """Return how far back a side's compressor refers, as a power of two."""
        return self.client_max_window_bits if sender == "client" else self.server_max_window_bits

    def no_context_takeover(self, sender: Sender) -> bool:
        """Tell whether a side starts afresh with every message it compresses."""
        if sender == "client":
            return self.client_no_context_takeover
        return self.server_no_context_takeover

    @classmethod
    def parse(cls, extension_header: str) -> Deflate | None:
        """Read the value of the *response's* Sec-WebSocket-Extensions.

        Args:
            extension_header: for example ``"permessage-deflate; server_max_window_bits=12"``.

        Returns:
            None if permessage-deflate was not agreed on, or with parameters that RFC 7692 does not
            allow in a response (a client then fails the connection).
        """
        for extension in extension_header.split(","):
            name, *parameters = (part.strip() for part in extension.split(";"))
            if name == "permessage-deflate":
                return cls._from_parameters(parameters)
        return None

    @classmethod
    def _from_parameters(cls, parameters: list[str]) -> Deflate | None:
        agreed: dict[str, int] = {}
        for parameter in parameters:
            name, equals, value = (part.strip() for part in parameter.partition("="))
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if name in agreed:
                return None
            if name in ("server_no_context_takeover", "client_no_context_takeover"):
                if equals:
                    return None
                agreed[name] = True
            elif name in ("server_max_window_bits", "client_max_window_bits"):
                if value not in {"8", "9", "10", "11", "12", "13", "14", "15"}:
                    return None
                agreed[name] = int(value)
            else:
                return None
        return cls(
            bool(agreed.get("server_no_context_takeover")),
            bool(agreed.get("client_no_context_takeover")),
            agreed.get("server_max_window_bits", 15),
            agreed.get("client_max_window_bits", 15),
        )


class Inflater:
    """Inflate the messages of one sender, never beyond a bound (RFC 7692 section 7.2.2)."""

    __slots__ = (
        "_bound", "_is_lost", "_keeps_context", "_recent", "_recent_size", "_room", "_stream",
        "_streams", "_wbits",
    )  # fmt: skip

    def __init__(self, wbits: int, keeps_context: bool, bound: int) -> None:
        self._wbits = -wbits
        self._keeps_context = keeps_context
        self._bound = bound
        self._is_lost = False
        self._recent: list[bytes] = []
        self._recent_size = 0
        self._room = bound
        self._streams = 0
        self._stream: _Decompress = zlib.decompressobj(self._wbits)

    def copy(self) -> Inflater:
        """Return an independent inflater in the same state."""
        twin = object.__new__(Inflater)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._recent = self._recent.copy()
        twin._stream = self._stream.copy()
        return twin

    def snapshot(self) -> dict[str, Any]:
        """Return its state between two messages as plain values."""
        return {
            "is_lost": self._is_lost,
            "window": b"".join(self._recent)[-_WINDOW_BYTES:],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        window = state["window"]
        self._is_lost = state["is_lost"]
        self._stream = zlib.decompressobj(self._wbits, zdict=window)
        self._remember(window)

    def lose(self) -> None:
        """Give up: what came last leaves no known state to go on from."""
        self._is_lost = True

    def inflate(self, data: bytes, begins: bool, ends: bool) -> bytes | Fault:
        """Inflate one frame's share of a message; a Fault if that cannot be done."""
        if begins:
            self._room = self._bound
            self._streams = 0
            if not self._keeps_context:
                self._stream = zlib.decompressobj(self._wbits)
                self._recent.clear()
                self._recent_size = 0
                self._is_lost = False
        if self._is_lost:
            return CONTEXT_LOST
        try:
            # The sender took these four bytes off the end of the message; they go back on.
            out = self._run(data + _EMPTY_BLOCK if ends else data)
        except zlib.error as error:
            self._is_lost = True
            return make_fault(
                "bad-deflate", "7.2.2",
                f"a DEFLATE stream for a window of 2^{-self._wbits} bytes",
                f"something else ({error})", 1007, rfc=7692,
            )  # fmt: skip
        if out is None:
            self._is_lost = True
            return make_fault(
                "inflated-beyond-bound", "10.4",
                f"a message of at most {self._bound} bytes once inflated",
                "more, and the rest was not inflated", 1009,
            )  # fmt: skip
        self._room -= len(out)
        self._remember(out)
        return out

    def _run(self, data: bytes) -> bytes | None:
        room = self._room
        # One byte more than there is room for: zlib then stops early, and we see that it did.
        out = self._stream.decompress(data, room + 1)
        # A block marked as final ends zlib's stream, but not the message (RFC 7692, 7.2.3.4): go on
        # with a new stream that still sees the same window.
        while len(out) <= room and self._stream.eof:
            self._streams += 1
            if self._streams > _MAX_STREAMS_A_MESSAGE:
                # Each costs a copy of the rest, so many would take time beyond all proportion.
                raise zlib.error(f"more than {_MAX_STREAMS_A_MESSAGE} final blocks in a message")
            rest = self._stream.unused_data
            window = b"".join((*self._recent, out))[-_WINDOW_BYTES:]
            self._stream = zlib.decompressobj(self._wbits, zdict=window)
            out += self._stream.decompress(rest, room + 1 - len(out))
        return out if len(out) <= room else None

    def _remember(self, out: bytes) -> None:
        # zlib hides its window; only a final block needs this one, so keeping it must be cheap.
        if len(out) >= _WINDOW_BYTES:
            self._recent = [out[-_WINDOW_BYTES:]]
            self._recent_size = _WINDOW_BYTES
        elif out:
            self._recent.append(out)
            self._recent_size += len(out)
            if self._recent_size > 4 * _WINDOW_BYTES:
                self._recent = [b"".join(self._recent)[-_WINDOW_BYTES:]]
                self._recent_size = _WINDOW_BYTES

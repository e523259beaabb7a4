"""What a network does to the bytes that come to one end of a connection, and to the end itself.

Settings, for any thread. Their rule: they change when bytes come and in which pieces, never which
bytes come nor their order. Who moves the bytes asks here before each move; nothing is moved here.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BUFFER_BYTES", "Conditions"]

BUFFER_BYTES = 2**18
_MAY_BE_NONE = ("bytes_per_s", "max_chunk_bytes")
_EXPECTED = {
    "delay_s": (0, "seconds, 0 or more"),
    "jitter_s": (0, "seconds, 0 or more"),
    "bytes_per_s": (1, "bytes a second, 1 or more, or None"),
    "max_chunk_bytes": (1, "a number of bytes, 1 or more, or None"),
    "buffer_bytes": (0, "a number of bytes, 0 or more"),
}


class Conditions:
    """The conditions at one end of a connection.

    Attributes:
        delay_s: seconds from a write at the other end until this end can read it.
        jitter_s: up to so many seconds more, at random; the order is kept.
        bytes_per_s: how fast bytes pass, one after the other; None: at once.
        max_chunk_bytes: cut what this end reads at random, into pieces of 1 to so many bytes; None
            joins what is there, as TCP does.
        buffer_bytes: how much may lie in the two sockets before the other end's writes wait.
        is_cut: whether nothing passes from the other end, not even that it has ended.
        is_stopped: whether this end reads nothing, so that the other's writes pile up.
        changed: called after each verb, on its caller's thread.
    """

    delay_s: float
    jitter_s: float
    bytes_per_s: float | None
    max_chunk_bytes: int | None
    buffer_bytes: int

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        max_chunk_bytes: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.delay_s = delay_s
        self.jitter_s = jitter_s
        self.bytes_per_s = bytes_per_s
        self.max_chunk_bytes = max_chunk_bytes
        self.buffer_bytes = buffer_bytes
        self.is_cut = self.is_stopped = False
        self.changed: Callable[[], object] = lambda: None

    def __setattr__(self, name: str, value: object) -> None:
        if name in _EXPECTED and not (name in _MAY_BE_NONE and value is None):
            least, what = _EXPECTED[name]
            if not isinstance(value, int | float) or not value >= least:
                raise ValueError(f"expected {name} to be {what}, got {value!r}")
        super().__setattr__(name, value)

    @property
    def lets_all_pass(self) -> bool:
        """Whether bytes pass at once, as they are."""
        return not (
            self.is_cut
            or self.delay_s
            or self.jitter_s
            or self.bytes_per_s is not None
            or self.max_chunk_bytes is not None
        )

    def cut(self) -> None:
        """Let nothing pass from the other end any more, and say nothing of it: no FIN, no RST."""
        self.is_cut = True

    def restore(self) -> None:
        """Let all pass again that was sent meanwhile, in order."""
        self.is_cut = False
        self.changed()

    def stop_reading(self) -> None:
        """Read nothing, whatever the program wants: be the slow reader."""
        self.is_stopped = True

    def resume_reading(self) -> None:
        """Read again, as the program wants."""
        self.is_stopped = False
        self.changed()

    def __repr__(self) -> str:
        rate = "" if self.bytes_per_s is None else f", {self.bytes_per_s:g} B/s"
        pieces = (
            "" if self.max_chunk_bytes is None else f", pieces of 1 to {self.max_chunk_bytes} B"
        )
        state = ", cut" * self.is_cut + ", not reading" * self.is_stopped
        return f"<Conditions delay {self.delay_s:g} s + {self.jitter_s:g} s{rate}{pieces}{state}>"

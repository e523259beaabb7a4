"""PendingFrame: the frame of which only the beginning has come.

The one rule: never more than a bound is held of it, whatever length its header claims; its end is
found all the same. Each byte is moved once.
"""

from __future__ import annotations

from typing import Any

from .layout import MAX_LENGTH, header_size
from .violations import Fault, make_fault, say_bytes

__all__ = ["PendingFrame"]

_KEPT_BYTES = 4 * 2**10


class PendingFrame:
    """What has come of a frame that is not complete.

    Args:
        limit: the longest payload, in bytes, whose end is looked for.
        max_held: in bytes; of a longer frame only the beginning is kept.

    Attributes:
        buffer: what is held; empty where no frame has begun.
        need: the size at which more is known about it.
        cut: of one that is too long to be held: how much is left out of it.
    """

    __slots__ = ("_left", "buffer", "cut", "limit", "max_held", "need")

    def __init__(self, limit: int, max_held: int) -> None:
        self.limit = limit
        self.max_held = max_held
        self.buffer = bytearray()
        self.need = 2
        self.cut = 0
        self._left = 0  # still to come of what is cut

    def copy(self) -> PendingFrame:
        """Return an independent one in the same state."""
        twin = PendingFrame(self.limit, self.max_held)
        twin.buffer, twin.need = self.buffer.copy(), self.need
        twin.cut, twin._left = self.cut, self._left
        return twin

    @property
    def came(self) -> int:
        """How many bytes have come of it."""
        return len(self.buffer) + self.cut - self._left

    @property
    def size(self) -> int:
        """Its whole size, as far as it is known; 0 where no frame has begun."""
        return self.need + self.cut if self.buffer else 0

    @property
    def held(self) -> int:
        """How many bytes of it are held."""
        return len(self.buffer)

    def begin(self, head: bytes) -> Fault | None:
        """Begin with the first bytes of a header; see :meth:`_learn`."""
        self.buffer += head
        return self._learn()

    def complete(self, data: bytes) -> tuple[int, bytes | None, Fault | None]:
        """Take what belongs to it.

        Returns:
            How much of the data is used up, the frame if it is complete (``cut`` tells how much of
            it is left out), and why its end can't be found.
        """
        buffer, size, pos = self.buffer, len(data), 0
        # Grows to the next size at which more is known.
        while len(buffer) < self.need:
            missing = self.need - len(buffer)
            buffer += data[pos : pos + missing]
            pos = min(pos + missing, size)
            if len(buffer) < self.need:
                return pos, None, None
            fault = self._learn()
            if fault is not None:
                return pos, None, fault
        if self._left:
            step = min(self._left, size - pos)
            self._left -= step
            pos += step
            if self._left:
                return pos, None, None
        whole = bytes(buffer)
        buffer.clear()
        return pos, whole, None

    def _learn(self) -> Fault | None:
        """Work out how many bytes it needs; return a fault if that cannot be followed."""
        buffer = self.buffer
        size = header_size(buffer)
        self.need = size
        if len(buffer) < 2:
            return None
        length = buffer[1] & 0x7F
        if length > 125:
            extended = 4 if length == 126 else 10
            if len(buffer) < extended:
                self.need = extended
                return None
            length = int.from_bytes(buffer[2:extended], "big")
        if length <= self.limit:
            self.need = size + length
            if length > self.max_held:
                self.cut = self._left = max(0, length - _KEPT_BYTES)
                self.need -= self.cut
            return None
        if length > MAX_LENGTH:
            return make_fault(
                "length-top-bit", "5.2", "a 64-bit length with its highest bit 0",
                f"0x{length:016X}", fatal=True,
            )  # fmt: skip
        return make_fault(
            "payload-too-big", "10.4", f"a payload of at most {say_bytes(self.limit)}",
            f"a frame of {say_bytes(length)}", 1009, fatal=True,
        )  # fmt: skip

    def let_go(self) -> None:
        """Keep only its beginning: for whoever must bound what very many decoders hold together."""
        size = header_size(self.buffer)
        if self.cut or len(self.buffer) < size or self.need - size <= _KEPT_BYTES:
            return  # it is done already, or there is little of it
        self.cut = self.need - size - _KEPT_BYTES
        self.need = size + _KEPT_BYTES
        self._left = self.cut - max(0, len(self.buffer) - self.need)
        del self.buffer[self.need :]

    def clear(self) -> None:
        """Forget it."""
        self.buffer.clear()
        self.cut = self._left = 0

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, where part of it is gone for good."""
        if not self.cut:
            return {}  # its bytes are kept elsewhere
        return {
            "cut": {
                "buffer": bytes(self.buffer),
                "need": self.need,
                "cut": self.cut,
                "left": self._left,
            }
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        if "cut" in state:
            cut = state["cut"]
            self.buffer += cut["buffer"]
            self.need, self.cut, self._left = cut["need"], cut["cut"], cut["left"]

"""Bytes to frames: RFC 6455 section 5, with permessage-deflate (RFC 7692).

The one rule: any chunking gives the same frames. Input that breaks a rule becomes a Fault that
names the rule; nothing here raises on bad input, waits, or opens anything. What a frame means for
the next is in `message_state`, one that is not complete in `pending_frame`. Left out: the opening
handshake, putting messages together, and who has to answer what.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from ..sender import Sender
from .deflate import MAX_INFLATED_BYTES, Deflate, Inflater
from .frame import Frame
from .layout import MAX_LENGTH, BytesLike, header_size
from .message_state import MessageState
from .opcodes import BINARY, CLOSE, TEXT
from .pending_frame import PendingFrame
from .violations import (
    TOO_COSTLY,
    TOO_MANY_FAULTS,
    UNFINISHED_MESSAGE,
    UNREADABLE,
    Fault,
    header_rules,
    length_faults,
    make_fault,
    say_bytes,
)

__all__ = ["FrameDecoder"]


MAX_HELD_BYTES = 16 * 2**20
_MAX_FAULTY_FRAMES = 4_096
_NOTHING_CLEAN = bytes(512)


@functools.cache
def _clean_heads(sender: str, deflated: bool) -> tuple[bytes, bytes]:
    """Mark the first nine bits of frames without fault that leave the decoder's state as it is.

    Returns:
        Two tables of 512 flags, by first byte + 256 if MASK is set: for when no message is open,
        and for when one is.
    """
    outside = bytearray(512)
    inside = bytearray(512)
    for index, faults in enumerate(header_rules(sender, deflated)):
        first = index & 0xFF
        opcode = first & 0x0F
        whole = opcode in (TEXT, BINARY) and first >= 0x80 and not (deflated and first & 0x40)
        inside[index] = not faults and opcode > BINARY and opcode != CLOSE
        outside[index] = not faults and (inside[index] or whole)
    return bytes(outside), bytes(inside)


class FrameDecoder:
    """Turn the bytes that one side sent, after its handshake, into frames.

    Takes any chunking and linear time. A frame that breaks a rule is returned with its faults as
    long as its end is known, and decoding goes on after it. A fatal Fault ends it: it is returned
    once, and the bytes from that frame on only counted. Very many faulty frames are one, too: a
    receiver reads on after none, and a flood of garbage must not cost more than its bytes.

    Args:
        sender: "client" or "server": who must mask, and whose compression parameters apply.
        deflate: what was agreed for permessage-deflate; None if nothing was.
        max_payload: in bytes; a longer frame is a fatal Fault. None for no limit.
        max_inflated: in bytes, for a whole message; what is longer is not inflated.
        max_held: in bytes; of a longer frame only the beginning is kept while the rest comes, and
            its ``cut_bytes`` are counted.

    Attributes:
        frames_seen: complete frames.
        opcode_counts: complete frames by opcode, 16 numbers.
        bytes_seen: all bytes: of frames, pending and undecodable.
        undecodable_bytes: from the frame of a fatal Fault on.
        stopped: the fatal Fault, or None.
        pending: what has come of a frame that is not complete.
        messages: what the frames so far mean for the next one.

    RFC 6455 section 5 and RFC 7692 section 7.2.
    """

    __slots__ = (
        "_faulty", "_patience", "_rules", "_stop_is_told", "_tables", "_whole_limit", "bytes_seen",
        "deflate", "frames_seen", "messages", "opcode_counts", "pending", "sender", "stopped",
        "undecodable_bytes",
    )  # fmt: skip

    def __init__(
        self,
        sender: Sender,
        deflate: Deflate | None = None,
        max_payload: int | None = None,
        *,
        max_inflated: int = MAX_INFLATED_BYTES,
        max_held: int = MAX_HELD_BYTES,
    ) -> None:
        if sender not in ("client", "server"):
            raise ValueError(f'Expected sender "client" or "server", got {sender!r}.')
        self.sender = sender
        self.deflate = deflate
        self.frames_seen = 0
        self.bytes_seen = 0
        self.undecodable_bytes = 0
        self.stopped: Fault | None = None
        self._stop_is_told = False
        self.opcode_counts = [0] * 16
        self._rules = header_rules(sender, deflate is not None)
        self._tables = _clean_heads(sender, deflate is not None)
        self._faulty = 0
        self._patience = -1
        limit = MAX_LENGTH if max_payload is None else min(max_payload, MAX_LENGTH)
        self._whole_limit = min(limit, max_held)
        self.pending = PendingFrame(limit, max_held)
        inflater: Inflater | None = None
        if deflate is not None:
            keeps_context = not deflate.no_context_takeover(sender)
            inflater = Inflater(deflate.max_window_bits(sender), keeps_context, max_inflated)
        self.messages = MessageState(inflater)

    def copy(self) -> FrameDecoder:
        """Make an independent decoder in the same state."""
        return self._copy(self.pending.copy(), self.messages.copy())

    def counting_copy(self) -> FrameDecoder:
        """Make a decoder that goes on from here, and only counts: it holds and inflates nothing."""
        twin = self._copy(self.pending.copy(), self.messages.copy(inflates=False))
        twin.pending.max_held, twin._whole_limit = 0, twin.pending.limit
        twin.pending.let_go()
        return twin

    def _copy(self, pending: PendingFrame, messages: MessageState) -> FrameDecoder:
        twin = object.__new__(FrameDecoder)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.pending, twin.messages = pending, messages
        twin.opcode_counts = self.opcode_counts.copy()
        return twin

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, without the bytes of a frame that is not complete.

        Of a message under way that is compressed it can't be saved: see ``messages.is_settled``.
        """
        held = 0 if self.pending.cut else len(self.pending.buffer)
        state: dict[str, Any] = {
            "deflate": dataclasses.asdict(self.deflate) if self.deflate is not None else None,
            "frames_seen": self.frames_seen,
            "bytes_seen": self.bytes_seen - held,
            "faulty": self._faulty,
            "undecodable_bytes": self.undecodable_bytes,
            "stopped": dataclasses.asdict(self.stopped) if self.stopped is not None else None,
            "counts": self.opcode_counts.copy(),
            "stop_is_told": self._stop_is_told,
        }
        return state | self.messages.snapshot() | self.pending.snapshot()

    @classmethod
    def restore(cls, sender: Sender, state: dict[str, Any]) -> FrameDecoder:
        """Return a decoder that goes on from what :meth:`snapshot` has returned."""
        deflate = Deflate(**state["deflate"]) if state["deflate"] is not None else None
        decoder = cls(sender, deflate)
        decoder.frames_seen, decoder.bytes_seen = state["frames_seen"], state["bytes_seen"]
        decoder.undecodable_bytes = state["undecodable_bytes"]
        decoder.stopped = Fault(**state["stopped"]) if state["stopped"] is not None else None
        decoder.opcode_counts = list(state["counts"])
        decoder._stop_is_told = state["stop_is_told"]
        decoder._faulty = state.get("faulty", 0)
        decoder.messages.restore(state)
        decoder.pending.restore(state)
        return decoder

    def feed(self, data: BytesLike) -> list[Frame | Fault]:
        """Take the next bytes and return the frames that they complete.

        Args:
            data: any number of bytes, cut anywhere.

        Returns:
            Frames in order, and at most one Fault: the fatal one, at the end.
        """
        found: list[Frame | Fault] = []
        rest: bytes | None = self._count(data)
        while rest is not None:
            data, pos, whole = rest, *self._enter(rest)
            if whole is not None:
                start, cut = header_size(whole), self._taken_cut()
                found.append(self._frame(whole[:start], whole[start:], cut))
            end = len(data)
            limit = self._whole_limit
            while end - pos >= 2 and self._faulty <= _MAX_FAULTY_FRAMES:
                second = data[pos + 1]
                length = second & 0x7F
                start = pos + 2
                if length > 125:
                    start = pos + (4 if length == 126 else 10)
                    if start > end:
                        break
                    length = int.from_bytes(data[pos + 2 : start], "big")
                if length > limit:
                    break
                if second > 127:
                    start += 4
                stop = start + length
                if stop > end:
                    break
                found.append(self._frame(data[pos:start], data[start:stop]))
                pos = stop
            rest = self._keep(data, pos)
        if self.stopped is not None and not self._stop_is_told:
            self._stop_is_told = True
            found.append(self.stopped)
        return found

    def skip(self, data: BytesLike, patience: int | None = None) -> int:
        """Take the next bytes without making frames of them; leave the state that feed() would.

        The way past bytes that nobody will look at. Faults of skipped frames are not reported; a
        fatal one is, by the next feed().

        Args:
            data: any number of bytes, cut anywhere.
            patience: how many frames may be looked into, such as fragments; beyond it decoding
                stops with a fatal Fault. Most frames need no look.

        Returns:
            How many frames these bytes completed.
        """
        self._patience = -1 if patience is None else patience
        seen_before = self.frames_seen
        rest: bytes | None = self._count(data)
        try:
            while rest is not None:
                rest = self._skip(rest)
        except Exception:  # a fault of ours; what is recorded beside this must not feel it
            self.stop(UNREADABLE)
        return self.frames_seen - seen_before

    def _skip(self, data: bytes) -> bytes | None:
        pos, whole = self._enter(data)
        counts = self.opcode_counts
        if whole is not None:
            start, cut = header_size(whole), self._taken_cut()
            self.frames_seen += 1
            counts[whole[0] & 0x0F] += 1
            self._pass(whole[:start], whole[start:], cut)
        end = len(data)
        last = end - 1
        limit = self._whole_limit
        clean = self._clean()
        crossed = 0
        # Everything in this loop is paid for each frame: locals only, and no object for most.
        while pos < last:
            first = data[pos]
            second = data[pos + 1]
            length = second & 0x7F
            start = pos + 2
            if length > 125:
                start = pos + (4 if length == 126 else 10)
                if start > end:
                    break
                length = int.from_bytes(data[pos + 2 : start], "big")
            if length > limit:
                break
            if second > 127:
                start += 4
                is_clean = clean[first + 256]
            else:
                is_clean = clean[first]
            stop = start + length
            if stop > end:
                break
            if not is_clean:
                if self._faulty > _MAX_FAULTY_FRAMES or not self._patience:
                    break
                self._patience -= 1
                self._pass(data[pos:start], data[start:stop])
                clean = self._clean()
            counts[first & 0x0F] += 1
            crossed += 1
            pos = stop
        self.frames_seen += crossed
        return self._keep(data, pos)

    def _clean(self) -> bytes:
        if self.messages.close_seen or self._faulty > _MAX_FAULTY_FRAMES:
            return _NOTHING_CLEAN  # what comes after a close frame is looked at one by one
        outside, inside = self._tables
        return inside if self.messages.opcode else outside

    def _pass(self, header: bytes, payload_raw: bytes, cut: int = 0) -> None:
        """Take a frame into account of which nobody asks more."""
        if self.messages.close_seen or self._rules[header[0] | (header[1] & 0x80) << 1]:
            self._faulty += 1
        self.messages.advance(header, payload_raw, cut)

    def stop(self, fault: Fault, *, is_told: bool = False) -> None:
        """Find no more frames, for a reason of the caller's; what comes is only counted.

        Args:
            fault: the reason, which the next feed() tells.
            is_told: the caller tells it.
        """
        self._stop_is_told = self._stop_is_told or is_told
        if self.stopped is None:
            self.stopped = fault
            self.undecodable_bytes += self.pending.came
            self.pending.clear()
            self.messages.forget()

    def eof(self) -> list[Fault]:
        """Say what is missing if no more bytes come. Changes nothing."""
        if self.stopped is not None:
            return []
        faults = []
        came = self.pending.came
        if came:
            is_known = came >= header_size(self.pending.buffer)
            size = f"{'' if is_known else 'at least '}{say_bytes(self.pending.size)}"
            what = "a whole frame of" if is_known else "a frame header of"
            faults.append(
                make_fault("truncated-frame", "5.2", f"{what} {size}", f"{say_bytes(came)}", 1006)
            )
        if self.messages.opcode and not self.messages.close_seen:
            faults.append(UNFINISHED_MESSAGE)
        return faults

    def _count(self, data: BytesLike) -> bytes | None:
        """Count the bytes; return them as long as frames are looked for."""
        if not isinstance(data, bytes):
            data = bytes(memoryview(data))
        self.bytes_seen += len(data)
        if self.stopped is not None:
            self.undecodable_bytes += len(data)
            return None
        return data

    def _taken_cut(self) -> int:
        """Return how much is left out of the frame that has just been completed."""
        cut, self.pending.cut = self.pending.cut, 0
        return cut

    def _enter(self, data: bytes) -> tuple[int, bytes | None]:
        """Complete the pending frame first, if there is one.

        Returns:
            How much of the data is used up, and the completed frame or None.
        """
        if not self.pending.buffer:
            return 0, None
        pos, whole, fault = self.pending.complete(data)
        if fault is not None:
            self.undecodable_bytes += len(data) - pos
            self.stop(fault)
            return len(data), None
        return pos, whole

    def _keep(self, data: bytes, pos: int) -> bytes | None:
        """Keep the rest, which is no complete frame; return what is to be looked at once more."""
        if self._faulty > _MAX_FAULTY_FRAMES and self.stopped is None:
            self.undecodable_bytes += len(data) - pos
            self.stop(TOO_MANY_FAULTS)
            return None
        if not self._patience and self.stopped is None:
            self._patience = -1
            self.undecodable_bytes += len(data) - pos
            self.stop(TOO_COSTLY)
            return None
        if pos >= len(data):
            return None
        start = pos + header_size(data[pos : pos + 2])
        fault = self.pending.begin(data[pos:start])
        if fault is not None:
            self.undecodable_bytes += max(0, len(data) - start)
            self.stop(fault)
            return None
        return data[start:] if start < len(data) else None

    def _frame(self, header: bytes, payload_raw: bytes, cut: int = 0) -> Frame:
        first, second = header[0], header[1]
        opcode = first & 0x0F
        self.frames_seen += 1
        self.opcode_counts[opcode] += 1
        faults = self._rules[first | (second & 0x80) << 1]
        if faults or self.messages.close_seen:
            self._faulty += 1
        if second & 0x7F > 125:
            faults += tuple(length_faults(opcode, second & 0x7F, len(payload_raw) + cut))
        more, payload, inflated, carry, message, compressed = self.messages.advance(
            header, payload_raw, cut
        )
        if more:
            faults += more
        return Frame(
            header, payload_raw, inflated, faults, message, compressed, carry, cut, payload
        )

"""RedactedCopy: what may be saved of a connection's bytes while a reader reads them.

Its rule: heads come whole and redacted, with the bytes that complete them; what can be neither read
nor redacted is overwritten. All that is saved reads as the same events again.
"""

from __future__ import annotations

from ..frames.decoder import FrameDecoder
from ..frames.frame import Frame
from ..frames.layout import header_size
from ..frames.opcodes import CLOSE
from ..frames.violations import Fault
from ..sender import SENDERS, Sender

__all__ = ["RedactedCopy"]

_MAX_HIDING_BYTES = 64 * 2**10  # of a frame; the packets that hand tokens over are far shorter


class RedactedCopy:
    """Collects by sender what may be saved."""

    __slots__ = ("_kept", "_saved_ahead", "_unsaved")

    def __init__(self) -> None:
        self._kept: dict[Sender, bytes] = dict.fromkeys(SENDERS, b"")
        # What came of the frame that is not complete, and how much of it has been saved already,
        # since it is too long to have anything to hide.
        self._unsaved: dict[Sender, bytes] = dict.fromkeys(SENDERS, b"")
        self._saved_ahead: dict[Sender, int] = dict.fromkeys(SENDERS, 0)

    def begin_at(self, sender: Sender, decoder: FrameDecoder) -> None:
        """Go on where a decoder is: what has come of a frame that is not complete counts in."""
        pending, is_cut = decoder.pending, decoder.pending.cut > 0
        # Where it is cut, what has come of it is gone, and not saved.
        self._unsaved[sender] = b"" if is_cut else bytes(pending.buffer)
        self._saved_ahead[sender] = pending.came if is_cut else 0

    def add(self, sender: Sender, data: bytes) -> None:
        """Add bytes that may be saved."""
        self._kept[sender] += data

    def add_frames(
        self,
        sender: Sender,
        decoder: FrameDecoder,
        data: bytes,
        found: list[Frame | Fault],
        redacted: list[Frame | Fault],
    ) -> None:
        """Add whole frames, and of a long one what has come.

        Args:
            data: what the decoder has taken.
            found: what it has made of that.
            redacted: the same without secrets; a frame may have another size.
        """
        raw, ahead = self._unsaved[sender] + data, self._saved_ahead[sender]
        parts: list[bytes] = []
        pos = 0
        for frame, shown in zip(found, redacted, strict=True):
            if isinstance(frame, Fault) or isinstance(shown, Fault):
                continue
            is_whole = not ahead and not frame.cut_bytes
            end = pos + frame.size_bytes - ahead
            parts.append(shown.raw if is_whole else raw[pos:end])
            pos, ahead = end, 0
        rest = raw[pos:]
        if decoder.stopped is not None or decoder.pending.size > _MAX_HIDING_BYTES:
            parts.append(rest)
            ahead += len(rest)
            rest = b""
        self._unsaved[sender], self._saved_ahead[sender] = rest, ahead
        self._kept[sender] += b"".join(parts)

    def take(self) -> dict[Sender, bytes]:
        """Return what may be saved by now, and forget it."""
        kept, self._kept = self._kept, dict.fromkeys(SENDERS, b"")
        return kept

    def unfinished(self, sender: Sender, decoder: FrameDecoder | None) -> bytes:
        """Return what may be saved of a frame that is not complete."""
        raw = self._unsaved[sender]
        if decoder is None or len(raw) < (size := header_size(raw)):
            return raw
        # A token in it is cut, too, and if it is compressed nobody can tell.
        return raw[:size] + bytes(len(raw) - size) if raw[0] & 0x0F < CLOSE else raw

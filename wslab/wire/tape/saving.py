"""What is saved of a recorder: a snapshot, secrets taken out, of what it holds at one moment.

Its rule: of a connection whose beginning was dropped, the state is saved that its bytes go on from,
as soon as it can be; all other bytes come as they were, or redacted.
"""

from __future__ import annotations

from typing import Any

from ..connection.reader import ConnectionReader
from ..connection.redacted_copy import RedactedCopy
from ..sender import SENDERS, Sender
from .recorder import Recorder
from .segment import ENDED, OPENED
from .snapshot import SavedChunk, Snapshot, TrackSnapshot
from .track import Position

__all__ = ["take_snapshot"]


def take_snapshot(
    recorder: Recorder, *, name: str | None, began_at: float, reveal: bool
) -> Snapshot:
    """Return what is to be saved of a recorder, as it is at this moment.

    Args:
        recorder: it may be recording.
        name, began_at: of the tape; seconds of the epoch.
        reveal: leave cookies, credentials and tokens in the heads.
    """
    batch = recorder.take(Position(), reveal=reveal)
    snapshot = Snapshot(name, began_at, reveal, kept_from_s=batch.kept_from_s)
    if batch.begun is not None:
        dropped = batch.dropped
        snapshot.dropped = [dropped.size_bytes, dropped.frames, dropped.connections]
    savers: dict[int, _TrackSaver] = {}
    for index, (number, track) in enumerate(batch.tracks.items()):
        begun = batch.begun[number] if batch.begun is not None else None
        reader = begun or ConnectionReader(track.connection_id, reveal=reveal)
        savers[number] = saver = _TrackSaver(index, reader, snapshot.chunks)
        if track.opened_at < batch.first:
            saver.settle(batch.kept_from_s)
        else:
            saver.begin()
    for segment in batch.segments:
        for at_s, number, kind, data in segment.chunks():
            if number in savers:
                savers[number].add(at_s, kind, data)
    last_s = snapshot.chunks[-1][0] if snapshot.chunks else 0.0
    for saver in savers.values():
        saver.end(last_s)
    snapshot.tracks = [
        TrackSnapshot(
            track.connection_id, track.side, track.label, track.client_address,
            track.server_address, track.opened_s, savers[number].state, track.is_secure,
            track.unread_bytes, track.tells_end,
        )
        for number, track in batch.tracks.items()
    ]  # fmt: skip
    return snapshot


class _TrackSaver:
    """Copies one connection's chunks; first makes sure of the state that they go on from.

    Attributes:
        state: what came before the first saved byte, if that was dropped.
    """

    __slots__ = ("_chunks", "_copy", "_has_ended", "_index", "_reader", "state")

    def __init__(self, index: int, reader: ConnectionReader, chunks: list[SavedChunk]) -> None:
        self._index = index
        self._reader = reader
        self._chunks = chunks
        self._copy: RedactedCopy | None = None  # None as long as the state cannot be saved
        self._has_ended = False
        self.state: dict[str, Any] | None = None

    def begin(self) -> RedactedCopy:
        """Save all that comes from here on."""
        self._copy = RedactedCopy()
        self._reader.save_to(self._copy)
        return self._copy

    def settle(self, at_s: float) -> None:
        """Save the state of a connection whose beginning was dropped, as soon as that can be."""
        reader = self._reader
        if not reader.is_settled:
            return
        self.state = reader.snapshot()
        copy = self.begin()
        if reader.reveal:
            self._put(at_s, reader.unfinished_frames())
            return
        for sender in SENDERS:
            decoder = reader.decoder(sender)
            if decoder is not None:
                copy.begin_at(sender, decoder)

    def add(self, at_s: float, kind: int, data: bytes) -> None:
        """Save a chunk."""
        reader = self._reader
        if kind == OPENED:
            self._chunks.append((at_s, self._index, kind, b""))
        elif kind == ENDED:
            self.end(at_s)
            self._chunks.append((at_s, self._index, kind, b""))
        elif self._copy is None:
            reader.skip(at_s, SENDERS[kind], data)
            self.settle(at_s)
        elif reader.reveal and reader.is_upgraded:
            self._put(at_s, {SENDERS[kind]: data})
        else:
            reader.feed(at_s, SENDERS[kind], data)
            self._put(at_s, self._copy.take())

    def end(self, at_s: float) -> None:
        """Save what still waits for more; idempotent."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._copy is None:
            self.state = self._reader.snapshot()
            return
        rest = self._reader.unfinished_heads()
        for sender in SENDERS:
            rest[sender] += self._copy.unfinished(sender, self._reader.decoder(sender))
        self._put(at_s, rest)

    def _put(self, at_s: float, parts: dict[Sender, bytes]) -> None:
        for sender, data in parts.items():
            if data:
                self._chunks.append((at_s, self._index, SENDERS.index(sender), data))

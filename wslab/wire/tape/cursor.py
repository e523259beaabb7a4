"""TapeCursor: how far a reader has come on a tape, and on each of its connections.

Its rule: where the tape dropped bytes before they were read, it says how many and takes up behind
them; and what all connections hold together of what is not complete has a bound.
"""

from __future__ import annotations

from ..connection.reader import ConnectionReader
from ..events import DroppedEvent, Event, OpenedEvent
from ..sender import SENDERS
from .held_bytes import HeldBytes
from .recorder import Batch, Recorder
from .track import Position, Track

__all__ = ["TapeCursor", "opened"]

MAX_HELD_BYTES = 32 * 2**20  # of frames and messages that are not complete, on all connections


class TapeCursor:
    """A place on a tape, and what reads each connection from there on.

    Attributes:
        readers: by the track's number.
    """

    def __init__(self, recorder: Recorder, *, reveal: bool) -> None:
        self._recorder = recorder
        self._reveal = reveal
        self._position = Position()
        self._held = HeldBytes(MAX_HELD_BYTES)
        self.readers: dict[int, ConnectionReader] = {}

    @property
    def is_at_end(self) -> bool:
        """Whether nothing has come since."""
        return self._position == self._recorder.end

    def advance(self, max_chunks: int | None = None) -> tuple[Batch, Position]:
        """Return what has come since, at most about ``max_chunks``, and where that begins.

        Where bytes were dropped unread (``begun`` is not None), call :meth:`resume` next.
        """
        since = self._position
        batch = self._recorder.take(since, reveal=self._reveal, max_chunks=max_chunks)
        self._position = batch.end
        return batch, since

    def resume(self, batch: Batch, since: Position) -> list[Event]:
        """Go on where the tape's oldest bytes begin; say what was dropped before."""
        assert batch.begun is not None
        events: list[Event] = []
        readers, self.readers = self.readers, batch.begun
        self._held = HeldBytes(MAX_HELD_BYTES)
        for number, reader in batch.begun.items():
            track, mine = batch.tracks[number], readers.get(number)
            if since <= track.opened_at < batch.first:
                events.append(opened(track, track.opened_s))
            # The handshake's heads outlive their bytes: all that follows is read by them.
            events += reader.handover_events(mine)
            for sender in SENDERS:
                size_bytes, frames = reader.seen(sender)
                if mine is not None:
                    mine_bytes, mine_frames = mine.seen(sender)
                    size_bytes, frames = size_bytes - mine_bytes, frames - mine_frames
                if size_bytes:
                    events.append(
                        DroppedEvent(
                            at_s=batch.kept_from_s,
                            connection_id=track.connection_id,
                            sender=sender,
                            size_bytes=size_bytes,
                            frames=frames,
                        )
                    )
            self._held.note(number, reader)
        return events

    def reader(self, track: Track) -> ConnectionReader:
        """Return what reads a connection."""
        reader = self.readers.get(track.number)
        if reader is None:
            reader = ConnectionReader(track.connection_id, reveal=self._reveal)
            self.readers[track.number] = reader
        return reader

    def note(self, number: int) -> None:
        """Take note of what a connection's reader holds now."""
        self._held.note(number, self.readers[number])

    def trim(self) -> None:
        """Have the readers let go where all together hold too much."""
        self._held.trim(self.readers.__getitem__)

    def end(self, track: Track, at_s: float) -> list[Event]:
        """Return the events of a connection's end, and forget it."""
        events: list[Event] = []
        if track.left_out_bytes:
            events.append(
                DroppedEvent(
                    at_s=at_s,
                    connection_id=track.connection_id,
                    sender="client" if track.side == "server" else "server",
                    size_bytes=track.left_out_bytes,
                    is_unread=True,
                )
            )
        events += self.reader(track).end(at_s, track.side, tells_end=track.tells_end)
        del self.readers[track.number]
        self._held.forget(track.number)
        return events


def opened(track: Track, at_s: float) -> OpenedEvent:
    """Return the event of a connection's beginning."""
    return OpenedEvent(
        at_s=at_s,
        connection_id=track.connection_id,
        sender="client",
        label=track.label,
        side=track.side,
        client_address=track.client_address,
        server_address=track.server_address,
    )

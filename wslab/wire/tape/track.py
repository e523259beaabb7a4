"""Track: one connection on a tape, and the way to record onto it.

Its rule: it knows whose bytes they are, and not where they are kept; what comes after the end of
TCP is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..sender import Sender
from .segment import ENDED

if TYPE_CHECKING:  # loaded when somebody first asks what bytes mean: recording does without
    from ..connection.reader import ConnectionReader

__all__ = ["Position", "Track"]

_MAX_UNREAD_BYTES = 64 * 2**10  # kept of what comes when the receiver has stopped reading


class Position(NamedTuple):
    """A place on a tape: a segment (they are numbered in order for ever) and a chunk in it."""

    segment: int = 0
    chunk: int = 0


# Takes a track, a kind of chunk, its data and its time (None for now); returns the time.
Record = Callable[["Track", int, bytes, float | None], float]


class Track:
    """One connection on a tape, and the way to record onto it; made by :meth:`Tape.open`."""

    __slots__ = (
        "_begun", "_count_dropped", "_record", "client_address", "connection_id", "ended_s",
        "is_secure", "label", "mark", "number", "opened_at", "opened_s", "server_address", "side",
        "tells_end", "unread_bytes",
    )  # fmt: skip

    def __init__(
        self,
        record: Record,
        count_dropped: Callable[[int], None],
        number: int,
        connection_id: str,
        side: Sender,
        label: str | None,
        client_address: str,
        server_address: str,
        is_secure: bool,
    ) -> None:
        self._record = record
        self._count_dropped = count_dropped
        self._begun: ConnectionReader | None = None
        self.number = number
        self.mark = number << 2  # how its chunks are marked, without their kind
        self.opened_at = Position()
        self.connection_id = connection_id
        self.side = side
        self.label = label
        self.client_address = client_address
        self.server_address = server_address
        self.is_secure = is_secure
        self.unread_bytes = 0
        self.tells_end = True  # False where another program's file does not say how it ended
        self.opened_s = 0.0
        self.ended_s: float | None = None

    @property
    def begun(self) -> ConnectionReader:
        """The connection read up to where the oldest bytes that are kept begin."""
        if self._begun is None:
            from ..connection.reader import ConnectionReader

            self._begun = ConnectionReader(self.connection_id)
        return self._begun

    @begun.setter
    def begun(self, reader: ConnectionReader) -> None:
        self._begun = reader

    def client(self, data: bytes, at_s: float | None = None) -> None:
        """Record bytes that the client sent; what comes after the end of TCP is left out.

        Args:
            at_s: when, in seconds since the tape began; now by default.
        """
        if self.ended_s is None:
            self._record(self, 0, data, at_s)

    def server(self, data: bytes, at_s: float | None = None) -> None:
        """Record bytes that the server sent; see :meth:`client`."""
        if self.ended_s is None:
            self._record(self, 1, data, at_s)

    def unread(self, data: bytes) -> None:
        """Count bytes that came when the receiver had stopped reading; only the first are kept."""
        room = max(0, _MAX_UNREAD_BYTES - self.unread_bytes)
        self.unread_bytes += len(data)
        kept = data[:room]
        if kept:
            (self.client if self.side == "server" else self.server)(kept)
        self._count_dropped(len(data) - len(kept))

    @property
    def left_out_bytes(self) -> int:
        """How much came that nobody read any more, and that is not kept."""
        return max(0, self.unread_bytes - _MAX_UNREAD_BYTES)

    def end(self) -> None:
        """Record the end of TCP; idempotent."""
        if self.ended_s is None:
            self.ended_s = self._record(self, ENDED, b"", None)

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Track {self.connection_id}{label}, {self.side} side>"

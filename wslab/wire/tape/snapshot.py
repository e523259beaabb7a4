"""Snapshot: a tape as it is saved: its connections and their bytes, with the secrets taken out.

Its rule: what is saved reads as the same events again. Both file formats hold this, each in its own
way; what else they hold is drawn from it. Left out: the formats, in `files`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..connection.reader import ConnectionReader
from ..events import EndedEvent, Event
from ..sender import SENDERS, Sender
from .segment import ENDED, OPENED

__all__ = ["BadFile", "SavedChunk", "Snapshot", "TrackSnapshot"]

FORMAT = 1  # of what to_json gives; another one is refused
# What is bytes in the state of a connection.
_BYTES = frozenset({"request", "response", "_line", "carry", "buffer", "window"})

# at_s, the connection's index, its kind, bytes
SavedChunk = tuple[float, int, int, bytes]


class BadFile(ValueError):
    """This file is not what it should be: the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class TrackSnapshot:
    """One connection.

    ``state``: what came before its first saved byte, if that was dropped. ``tells_end``: whether
    its bytes say how it ended; another program's file may say only when.
    """

    connection_id: str
    side: Sender
    label: str | None
    client_address: str
    server_address: str
    opened_s: float
    state: dict[str, Any] | None = None
    is_secure: bool = False
    unread_bytes: int = 0
    tells_end: bool = True

    def reader(self, *, reveal: bool = False) -> ConnectionReader:
        """Return what reads its saved bytes."""
        if self.state is not None:
            return ConnectionReader.restore(self.state, self.connection_id, reveal=reveal)
        return ConnectionReader(self.connection_id, reveal=reveal)


@dataclass(slots=True)
class Snapshot:
    """A tape as it is saved. ``chunks``: (at_s, index in tracks, kind, bytes)."""

    name: str | None
    began_at: float
    is_revealed: bool
    tracks: list[TrackSnapshot] = field(default_factory=list)
    chunks: list[SavedChunk] = field(default_factory=list)
    dropped: list[int] | None = None  # bytes, frames, connections; None if nothing was
    kept_from_s: float = 0.0
    notes: list[str] = field(default_factory=list)  # what a file's reader had to leave out

    def events(self) -> Iterator[tuple[int, Event]]:
        """Give the events one by one, each with its connection's index in ``tracks``."""
        readers = self._readers()
        for index, (track, reader) in enumerate(zip(self.tracks, readers, strict=True)):
            if track.state is not None:
                for event in reader.handover_events(None):
                    yield index, event
        for at_s, index, kind, data in self.chunks:
            if kind == ENDED:
                track = self.tracks[index]
                for event in readers[index].end(at_s, track.side, tells_end=track.tells_end):
                    yield index, event
            elif kind != OPENED:
                for event in readers[index].each(at_s, SENDERS[kind], data):
                    yield index, event

    def ends(self) -> dict[int, bool]:
        """Return the connections whose TCP has ended, as far as is known, and whether clean."""
        readers = self._readers()
        found: dict[int, bool] = {}
        for at_s, index, kind, data in self.chunks:
            if kind == ENDED:
                *_, ended = readers[index].end(at_s, self.tracks[index].side)
                if self.tracks[index].tells_end:
                    found[index] = isinstance(ended, EndedEvent) and ended.is_clean
            elif kind != OPENED:
                readers[index].skip(at_s, SENDERS[kind], data)
        return found

    def _readers(self) -> list[ConnectionReader]:
        return [track.reader(reveal=self.is_revealed) for track in self.tracks]

    def to_json(self) -> dict[str, Any]:
        """Return all but the chunks as plain values."""
        return {
            "format": FORMAT,
            "name": self.name,
            "began_at": self.began_at,
            "is_revealed": self.is_revealed,
            "dropped": self.dropped,
            "kept_from_s": self.kept_from_s,
            "connections": [
                {name: _as_text(getattr(track, name)) for name in TrackSnapshot.__slots__}
                for track in self.tracks
            ],
        }

    @classmethod
    def from_json(cls, values: Any, where: str) -> Snapshot:
        """Return what :meth:`to_json` gave, still without chunks.

        Raises:
            BadFile: if it is something else.
        """
        number = values.get("format") if isinstance(values, dict) else None
        if number != FORMAT:
            raise BadFile(
                f"expected wslab's own data of format {FORMAT} in {where}, got format {number!r}: "
                "a newer wslab wrote it, so read it with that one"
            )
        try:
            return cls(
                name=values["name"],
                began_at=float(values["began_at"]),
                is_revealed=bool(values["is_revealed"]),
                tracks=[
                    TrackSnapshot(**track | {"state": _as_bytes(track.get("state"))})
                    for track in values["connections"]
                ],
                dropped=values["dropped"],
                kept_from_s=float(values["kept_from_s"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadFile(
                f"expected wslab's own data in {where} as it was written, got something changed "
                f"({error!r}): load the original file"
            ) from error


def _as_text(value: Any) -> Any:
    """Write bytes as base64 in the state of a connection."""
    if isinstance(value, dict):
        return {name: _as_text(each) for name, each in value.items()}
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _as_bytes(value: Any, name: str = "") -> Any:
    """Undo :func:`_as_text`."""
    if isinstance(value, dict):
        return {key: _as_bytes(each, key) for key, each in value.items()}
    return base64.b64decode(value, validate=True) if name in _BYTES else value

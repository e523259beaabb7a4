"""What is saved of a tape: its connections and their bytes, with the secrets taken out.

Its rule: what is saved reads as the same events again. Both file formats hold this, each in its own
way; what else they hold is drawn from it. Left out: the formats, in `har` and `pcapng`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ..connection import Story
from ..events import EndedEvent, Event
from ..sender import SENDERS, Sender
from ..tape.resume import is_settled, state_of, story_from, unfinished_frames
from ..tape.tape import (
    _CHUNK_BYTES,
    _ENDED,
    _OPENED,
    _SEGMENT_BYTES,
    _TRACK_BYTES,
    DEFAULT_MAX_BYTES,
    Tape,
    Track,
    _chunks,
    _copy_of,
)

__all__ = ["WHATS", "BadFile", "Saved", "SavedTrack", "replacing", "restore", "take"]

WHATS = (*"opened", "ended")
FORMAT = 1  # of what to_json gives; another one is refused

# at_s, the connection's index, what (an index of WHATS), bytes
SavedChunk = tuple[float, int, int, bytes]


class BadFile(ValueError):
    """This file is not what it should be: the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class SavedTrack:
    """One connection. ``state``: what came before its first saved byte, if that was dropped."""

    connection_id: str
    side: Sender
    label: str | None
    client_address: str
    server_address: str
    opened_s: float
    state: dict[str, Any] | None = None
    is_secure: bool = False
    unread_bytes: int = 0


@dataclass(slots=True)
class Saved:
    """A tape as it is saved. ``chunks``: (at_s, index in tracks, index in WHATS, bytes)."""

    name: str | None
    began_at: float
    is_revealed: bool
    tracks: list[SavedTrack] = field(default_factory=list)
    chunks: list[SavedChunk] = field(default_factory=list)
    dropped: list[int] | None = None  # bytes, frames, connections; None if nothing was
    kept_from_s: float = 0.0
    notes: list[str] = field(default_factory=list)  # what a file's reader had to leave out

    def events(self) -> Iterator[tuple[int, Event]]:
        """Give the events one by one, each with its connection's index in ``tracks``."""
        stories = [self._story(track) for track in self.tracks]
        for index, (track, story) in enumerate(zip(self.tracks, stories, strict=True)):
            if track.state is not None:
                for event in story.retell(None):
                    yield index, event
        for at_s, index, what, data in self.chunks:
            if what == _ENDED:
                found = stories[index].end(at_s, self.tracks[index].side)
            elif what == _OPENED:
                continue
            else:
                yield from (
                    (index, event) for event in stories[index].each(at_s, SENDERS[what], data)
                )
                continue
            for event in found:
                yield index, event

    def ends(self) -> dict[int, bool]:
        """Return the connections whose TCP has ended, each with whether it ended clean."""
        stories = [self._story(track) for track in self.tracks]
        found: dict[int, bool] = {}
        for at_s, index, what, data in self.chunks:
            if what == _ENDED:
                *_, ended = stories[index].end(at_s, self.tracks[index].side)
                found[index] = isinstance(ended, EndedEvent) and ended.is_clean
            elif what != _OPENED:
                stories[index].skip(at_s, SENDERS[what], data)
        return found

    def _story(self, track: SavedTrack) -> Story:
        if track.state is not None:
            return story_from(track.state, track.connection_id).copy(reveal=self.is_revealed)
        return Story(track.connection_id, reveal=self.is_revealed)

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
                {name: getattr(track, name) for name in SavedTrack.__slots__}
                for track in self.tracks
            ],
        }

    @classmethod
    def from_json(cls, values: Any, where: str) -> Saved:
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
                tracks=[SavedTrack(**track) for track in values["connections"]],
                dropped=values["dropped"],
                kept_from_s=float(values["kept_from_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadFile(
                f"expected wslab's own data in {where} as it was written, got something changed "
                f"({error!r}): load the original file"
            ) from error


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to be written whole or not at all: it takes the path's place when that is done.

    Args:
        path: of a file; what was there before stays until then, and for good where writing fails.
            What is no file, such as a pipe, is written to as it is.

    Raises:
        OSError: it cannot be written.
    """
    target = os.path.realpath(path)  # a link stays one
    try:
        mode: int | None = os.stat(target).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as file:
            yield file
        return
    folder, name = os.path.split(target)
    part = os.path.join(folder, f".{name[:64]}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(part, stat.S_IMODE(mode))
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def take(tape: Tape, *, reveal: bool) -> Saved:
    """Return what is to be saved of a tape, as it is at this moment.

    Args:
        tape: it may be recording.
        reveal: leave cookies, credentials and tokens in the heads.
    """
    with tape._lock:
        tracks = list(tape._tracks.values())
        stories = [track._story.copy(reveal=reveal) for track in tracks]
        segments = [_copy_of(segment, 0) for segment in tape._segments]
        saved = Saved(tape.name, tape.began_at, reveal, kept_from_s=tape._kept_from_s)
        first = (tape._first_serial, 0)
        if tape._first_serial:
            saved.dropped = list(tape._gone)
    taking = _Taking(saved, stories)
    for index, track in enumerate(tracks):
        if track._opened_at < first:
            taking.settle(index, saved.kept_from_s)
    index_of = {track._number: index for index, track in enumerate(tracks)}
    for segment in segments:
        for at_s, number, what, data in _chunks(segment):
            if number in index_of:
                taking.add(at_s, index_of[number], what, data)
    taking.finish()
    saved.tracks = [
        SavedTrack(
            track.connection_id, track.side, track.label, track.client_address,
            track.server_address, track.opened_s, taking.states.get(index), track.is_secure,
            track.unread_bytes,
        )
        for index, track in enumerate(tracks)
    ]  # fmt: skip
    return saved


class _Taking:
    """Copy a tape's chunks, redacted; first make sure of the state that they go on from."""

    def __init__(self, saved: Saved, stories: list[Story]) -> None:
        self.states: dict[int, dict[str, Any]] = {}
        self._chunks = saved.chunks
        self._stories = stories
        self._unsettled: set[int] = set()
        self._ended: set[int] = set()

    def settle(self, index: int, at_s: float) -> None:
        """Save the state of a connection whose beginning was dropped, as soon as that can be."""
        story = self._stories[index]
        if not is_settled(story):
            self._unsettled.add(index)
            return
        self._unsettled.discard(index)
        self.states[index] = state_of(story)
        if story.reveal:
            self._put(at_s, index, unfinished_frames(story))
        else:
            story.begin_saving()

    def add(self, at_s: float, index: int, what: int, data: bytes) -> None:
        story = self._stories[index]
        if what == _OPENED:
            self._chunks.append((at_s, index, what, b""))
        elif what == _ENDED:
            self._end(at_s, index)
            self._chunks.append((at_s, index, what, b""))
        elif index in self._unsettled:
            story.skip(at_s, SENDERS[what], data)
            self.settle(index, at_s)
        else:
            self._put(at_s, index, story.scrub(at_s, SENDERS[what], data))

    def finish(self) -> None:
        last_s = self._chunks[-1][0] if self._chunks else 0.0
        for index in range(len(self._stories)):
            self._end(last_s, index)

    def _end(self, at_s: float, index: int) -> None:
        if index in self._ended:
            return
        self._ended.add(index)
        if index in self._unsettled:
            self.states[index] = state_of(self._stories[index])
        else:
            self._put(at_s, index, self._stories[index].scrub_rest())

    def _put(self, at_s: float, index: int, parts: dict[Sender, bytes]) -> None:
        for sender, data in parts.items():
            if data:
                self._chunks.append((at_s, index, SENDERS.index(sender), data))


def restore(saved: Saved) -> Tape:
    """Return a tape with what was saved; nothing is dropped of it, however big it is."""
    size = sum(len(chunk[3]) + _CHUNK_BYTES for chunk in saved.chunks)
    size += _TRACK_BYTES * len(saved.tracks)
    tape = Tape(max_bytes=max(DEFAULT_MAX_BYTES, size + 2 * _SEGMENT_BYTES), name=saved.name)
    last_s = saved.chunks[-1][0] if saved.chunks else 0.0
    tape.notes = tuple(saved.notes)
    tape.began_at, tape._began_s = saved.began_at, time.monotonic() - last_s
    if saved.dropped is not None:
        tape._first_serial, tape._gone = 1, list(saved.dropped)
        tape._kept_from_s = saved.kept_from_s
    tracks = []
    for number, old in enumerate(saved.tracks):
        track = Track(
            tape, number, old.connection_id, old.side, old.label, old.client_address,
            old.server_address, old.is_secure,
        )  # fmt: skip
        track.opened_s, track.unread_bytes = old.opened_s, int(old.unread_bytes)
        if old.state is not None:
            track._story = story_from(old.state, old.connection_id)
        tape._tracks[number] = track
        if saved.dropped is None:
            tape._gone[0] += track.left_out_bytes
        tracks.append(track)
    tape._next_track = len(tracks)
    for at_s, index, what, data in saved.chunks:
        tape._record(tracks[index], what, data, at_s)
        if what == _ENDED:
            tracks[index].ended_s = at_s
    return tape

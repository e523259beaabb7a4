"""TapeReader: a tape's bytes read as events, and read on as more are recorded.

Its rule: it holds the tape's lock only while it copies, and decodes afterwards, so that recording
never waits for reading. Where bytes were dropped unread it says so and takes up behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ..connection import Story
from ..events import DroppedEvent, Event, FaultEvent, FrameEvent, MessageEvent, OpenedEvent
from ..http.heads import Problem
from ..sender import SENDERS, Sender
from .tape import _ENDED, _OPENED, Held, Tape, Track, _chunks, _copy_of

__all__ = ["TapeReader"]

MAX_INFLATED_BYTES = 64 * 2**20  # of what one call returns
_MIN_EVENTS = 100_000  # that one call may return, whatever the tape's size
MAX_HELD_BYTES = 32 * 2**20  # of frames and messages that are not complete, on all connections


class TapeReader:
    """Reads a tape from its oldest byte on, and goes on with each :meth:`poll`.

    Where the tape drops bytes before they were read, the reader takes up after them and says so
    with a DroppedEvent for each side of each connection.
    """

    def __init__(self, tape: Tape, *, reveal: bool = False) -> None:
        self._tape = tape
        self._reveal = reveal
        self._stories: dict[int, Story] = {}
        self._held = Held(MAX_HELD_BYTES)
        self._serial = 0
        self._chunk = 0
        self._writes_seen = -1

    def poll(self) -> list[Event]:
        """Return what has happened since the last call, oldest first.

        Of more than could be held, the oldest are left out; a DroppedEvent says how much that is.
        Beyond 64 MiB of content that was compressed, frames come without it (``inflated`` is None)
        and in a message's place a FaultEvent. :meth:`each` leaves nothing out.
        """
        return _held_at_once(self.each(), max(_MIN_EVENTS, self._tape.max_bytes // 11))

    def each(self) -> Iterator[Event]:
        """Give what has happened since the last call one by one, decoded as they are taken.

        To be gone through to its end before the next call.
        """
        tape = self._tape
        if tape._writes == self._writes_seen:
            return
        events: list[Event] = []
        with tape._lock:
            self._writes_seen = tape._writes
            tracks = dict(tape._tracks)
            if self._serial < tape._first_serial:
                self._take_up(tracks, events)
            nth = self._serial - tape._first_serial
            segments = [
                _copy_of(tape._segments[i], self._chunk if i == nth else 0)
                for i in range(nth, len(tape._segments))
            ]
            self._serial = tape._first_serial + len(tape._segments) - 1
            self._chunk = len(tape._last.times)
        yield from events
        for segment in segments:
            touched: dict[int, Story] = {}
            for at_s, number, what, data in _chunks(segment):
                track = tracks.get(number)
                if track is None:
                    continue
                if what == _OPENED:
                    yield _opened(track, at_s)
                    continue
                story = self._stories.get(number)
                if story is None:
                    story = Story(track.connection_id, reveal=self._reveal)
                    self._stories[number] = story
                if what == _ENDED:
                    yield from _left_out(track, at_s)
                    yield from story.end(at_s, track.side)
                    self._stories.pop(number)
                    self._held.forget(number)
                    touched.pop(number, None)
                else:
                    yield from story.each(at_s, SENDERS[what], data)
                    touched[number] = story
            for number, story in touched.items():
                self._held.note(number, story)
            self._held.trim(self._stories.__getitem__)

    def _take_up(self, tracks: dict[int, Track], events: list[Event]) -> None:
        """Go on where the tape's oldest bytes begin; called with the tape's lock held."""
        tape = self._tape
        at_s = tape._kept_from_s
        read_to = (self._serial, self._chunk)
        self._serial, self._chunk = tape._first_serial, 0
        stories: dict[int, Story] = {}
        for number, track in tracks.items():
            story = track._story.copy(reveal=self._reveal)
            mine = self._stories.get(number)
            if read_to <= track._opened_at < (tape._first_serial, 0):
                events.append(_opened(track, track.opened_s))
            # The handshake's heads outlive their bytes: all that follows is read by them.
            events += story.retell(mine)
            for sender in SENDERS:
                size_bytes, frames = story.seen(sender)
                if mine is not None:
                    mine_bytes, mine_frames = mine.seen(sender)
                    size_bytes, frames = size_bytes - mine_bytes, frames - mine_frames
                if size_bytes:
                    events.append(
                        DroppedEvent(
                            at_s=at_s,
                            connection_id=track.connection_id,
                            sender=sender,
                            size_bytes=size_bytes,
                            frames=frames,
                        )
                    )
            stories[number] = story
        self._stories = stories
        self._held = Held(MAX_HELD_BYTES)
        for number, story in stories.items():
            self._held.note(number, story)


def _held_at_once(events: Iterator[Event], limit: int) -> list[Event]:
    """Return events as a list that takes no more memory than is reasonable."""
    kept: deque[Event] = deque()
    inflated_bytes = 0
    sides: dict[tuple[str, Sender], list[int]] = {}
    for event in events:
        if isinstance(event, FrameEvent) and event.frame.inflated is not None:
            inflated_bytes += len(event.frame.inflated)
            if inflated_bytes > MAX_INFLATED_BYTES:
                event = replace(event, frame=replace(event.frame, inflated=None))
        elif isinstance(event, MessageEvent) and event.compressed:
            inflated_bytes += len(event.data)
            if inflated_bytes > MAX_INFLATED_BYTES:
                event = FaultEvent(
                    at_s=event.at_s,
                    connection_id=event.connection_id,
                    sender=event.sender,
                    fault=_TOO_MUCH,
                )
        kept.append(event)
        if len(kept) > limit:
            oldest = kept.popleft()
            side = sides.setdefault((oldest.connection_id, oldest.sender), [0, 0])
            if isinstance(oldest, FrameEvent):
                side[0] += oldest.frame.size_bytes
                side[1] += 1
    at_s = kept[0].at_s if kept else 0.0
    dropped: list[Event] = [
        DroppedEvent(
            at_s=at_s, connection_id=connection_id, sender=sender,
            size_bytes=size_bytes, frames=frames,
        )
        for (connection_id, sender), (size_bytes, frames) in sides.items()
    ]  # fmt: skip
    return dropped + list(kept)


_TOO_MUCH = Problem(
    "content is held up to a bound",
    "wslab",
    f"Expected at most {MAX_INFLATED_BYTES:,} bytes of messages once they are inflated; this one "
    "is beyond. Go through tape.iter_events(), which holds one at a time.",
    MAX_INFLATED_BYTES,
)


def _left_out(track: Track, at_s: float) -> list[Event]:
    """Say at a connection's end what was not kept of it because nobody read it."""
    if not track.left_out_bytes:
        return []
    return [
        DroppedEvent(
            at_s=at_s,
            connection_id=track.connection_id,
            sender="client" if track.side == "server" else "server",
            size_bytes=track.left_out_bytes,
            is_unread=True,
        )
    ]


def _opened(track: Track, at_s: float) -> OpenedEvent:
    return OpenedEvent(
        at_s=at_s,
        connection_id=track.connection_id,
        sender="client",
        label=track.label,
        side=track.side,
        client_address=track.client_address,
        server_address=track.server_address,
    )

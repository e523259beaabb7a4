"""TapeReader: a tape's bytes read as events, and read on as more are recorded.

Its rule: bytes are decoded as their events are taken, so that recording never waits for reading.
Where bytes were dropped unread it says so and takes up behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ..events import DroppedEvent, Event, FaultEvent, FrameEvent, MessageEvent
from ..http.heads import Problem
from ..sender import SENDERS, Sender
from .cursor import TapeCursor, opened
from .recorder import Recorder
from .segment import ENDED, OPENED

__all__ = ["TapeReader"]

MAX_INFLATED_BYTES = 64 * 2**20  # of what one call returns
_MIN_EVENTS = 100_000  # that one call may return, whatever the tape's size


class TapeReader:
    """Reads a tape from its oldest byte on, and goes on with each :meth:`poll`.

    Where the tape drops bytes before they were read, the reader takes up after them and says so
    with a DroppedEvent for each side of each connection.
    """

    def __init__(self, recorder: Recorder, *, reveal: bool = False) -> None:
        self._max_events = max(_MIN_EVENTS, recorder.max_bytes // 11)
        self._cursor = TapeCursor(recorder, reveal=reveal)

    def poll(self) -> list[Event]:
        """Return what has happened since the last call, oldest first.

        Of more than could be held, the oldest are left out; a DroppedEvent says how much that is.
        Beyond 64 MiB of content that was compressed, frames come without it (``inflated`` is None)
        and in a message's place a FaultEvent. :meth:`each` leaves nothing out.
        """
        return _held_at_once(self.each(), self._max_events)

    def each(self) -> Iterator[Event]:
        """Give what has happened since the last call one by one, decoded as they are taken.

        To be gone through to its end before the next call.
        """
        cursor = self._cursor
        if cursor.is_at_end:
            return
        batch, since = cursor.advance()
        if batch.begun is not None:
            yield from cursor.resume(batch, since)
        for segment in batch.segments:
            touched: set[int] = set()
            for at_s, number, kind, data in segment.chunks():
                track = batch.tracks.get(number)
                if track is None:
                    continue
                if kind == OPENED:
                    yield opened(track, at_s)
                elif kind == ENDED:
                    yield from cursor.end(track, at_s)
                    touched.discard(number)
                else:
                    yield from cursor.reader(track).each(at_s, SENDERS[kind], data)
                    touched.add(number)
            for number in touched:
                cursor.note(number)
            cursor.trim()


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

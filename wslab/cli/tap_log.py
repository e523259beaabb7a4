"""The lines that `wslab tap` prints: who comes, what each side says, how it ends.

Its rule: they are read from the tape, on the main thread, a few times a second: the tap never waits
for the terminal, and what the tape had to drop meanwhile is said.
"""

from __future__ import annotations

import collections
import sys
import threading
import time
from collections.abc import Callable
from http.client import responses
from types import FrameType
from typing import Any

from ..calls.waiting import is_set_within
from ..server.refusals import Refusal
from ..taps.tap import Tap
from ..wire.events import (
    BodyEvent,
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    OpenedEvent,
    RequestEvent,
    ResponseEvent,
)  # fmt: skip
from ..wire.frames.close_codes import close_code_meaning
from .serve_log import printable

__all__ = ["TapLog", "line_of"]

LOOK_S = 0.1
MAX_TEXT = 100  # characters of a message
MAX_BYTES = 24  # of a binary one
_ARROWS = {"client": "-->", "server": "<--"}


class TapLog:
    """The lines of one tap.

    Args:
        is_quiet: print none of them.
        reveal: show secrets in heads.
    """

    def __init__(self, *, is_quiet: bool, reveal: bool) -> None:
        self._is_quiet, self._reveal = is_quiet, reveal
        self._ended = threading.Event()
        self._refused: collections.deque[Refusal] = collections.deque(maxlen=1_000)
        self._reader: Any = None

    def end(self, signum: int, frame: FrameType | None) -> None:
        """Take a signal: what is printed ends here."""
        self._ended.set()

    def watch(self, tap: Tap) -> None:
        """Take note of all that comes from now on."""
        assert tap.tape is not None
        self._reader = tap.tape.reader(reveal=self._reveal)
        tap.refusal_listeners.append(self._refused.append)

    def print_until_end(self, tap: Tap) -> None:
        """Print what comes until a signal does."""
        while not is_set_within(self._ended, LOOK_S):
            self.print_new(tap)

    def print_new(self, tap: Tap) -> None:
        """Print what has come since the last look."""
        if self._is_quiet or self._reader is None or tap.tape is None:
            return
        for event in self._reader.poll():
            if (text := line_of(event)) is not None:
                at = tap.tape.began_at + event.at_s
                self._print(at, event.connection_id, text)
        while self._refused:
            refusal = self._refused.popleft()
            said = f"{refusal.status} {responses.get(refusal.status, '')}: {refusal.reason.strip()}"
            self._print(refusal.at, refusal.connection_id, f"by the tap  {printable(said)}")
        sys.stdout.flush()

    def _print(self, at: float, connection_id: str, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        print(f"{clock}.{int(at % 1 * 1000):03}  {connection_id}  {text}")


def line_of(event: Event) -> str | None:
    """Return what is printed of an event; None for what another event says."""
    for kind, say in _SAID:
        if isinstance(event, kind):
            said: str | None = say(event)
            return said
    return None


def _arrow(event: Event, kind: str, size: int | None, text: str) -> str:
    amount = "" if size is None else f"{size:,} B"
    return f"{_ARROWS[event.sender]}  {kind:8}  {amount:>11}  {printable(text)}".rstrip()


def _message(event: MessageEvent) -> str:
    data, wire = event.data, f" ({event.wire_bytes:,} B on the wire)" if event.compressed else ""
    if isinstance(data, str):
        text = data if len(data) <= MAX_TEXT else f"{data[:MAX_TEXT]}..."
        return _arrow(event, "text", len(data.encode()), text + wire)
    text = data[:MAX_BYTES].hex(" ") + ("..." if len(data) > MAX_BYTES else "")
    return _arrow(event, "binary", len(data), text + wire)


def _frame(event: FrameEvent) -> str | None:
    if event.opcode not in (9, 10):
        return None  # a message's, or a close event's
    return _arrow(event, event.label, len(event.payload), event.payload[:MAX_BYTES].hex(" "))


def _close(event: CloseEvent) -> str:
    if event.code is None:
        return _arrow(event, "close", None, "without a code")
    meaning = close_code_meaning(event.code).partition(":")[0]
    return _arrow(event, "close", None, f"{event.code} {meaning} {event.reason}".rstrip())


def _dropped(event: DroppedEvent) -> str:
    why = "nobody read any more" if event.is_unread else "came faster than could be shown"
    return _arrow(event, "left out", event.size_bytes, why)


def _answer(event: ResponseEvent) -> str:
    return _arrow(event, "answer", None, f"{event.response.status} {event.response.reason}")


def _ended(event: EndedEvent) -> str:
    return "disconnect" if event.is_clean else "disconnect  without a close frame"


_SAID: tuple[tuple[type[Event], Callable[[Any], str | None]], ...] = (
    (OpenedEvent, lambda e: f"connect     {e.client_address}"),
    (RequestEvent, lambda e: _arrow(e, "request", None, f"{e.request.method} {e.request.target}")),
    (
        ResponseEvent,
        lambda e: _arrow(e, "answer", None, f"{e.response.status} {e.response.reason}"),
    ),
    (BodyEvent, lambda e: _arrow(e, "body", len(e.data), "")),
    (MessageEvent, _message),
    (FrameEvent, _frame),
    (CloseEvent, _close),
    (FaultEvent, lambda e: _arrow(e, "fault", None, e.fault.rule)),
    (DroppedEvent, _dropped),
    (EndedEvent, _ended),
)

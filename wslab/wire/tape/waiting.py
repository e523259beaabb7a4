"""Waiting for something to come on a tape, from a test or a cell.

Its rule: it waits by `calls.waiting`, with a bound, and what is on the tape already counts. The one
file of this room that waits; it is loaded when somebody does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...calls.waiting import deadline_after, is_set_within, left_until
from .. import events as kinds_of_events
from ..events import Event, MessageEvent
from .conversation import conversation
from .reader import TapeReader
from .recorder import Recorder
from .sent import check_sender, ids_of, labels_of

__all__ = ["Wanted", "wait_for"]

Wanted = str | bytes | Callable[[Event], object] | None

KINDS = frozenset(
    getattr(kinds_of_events, name).kind for name in kinds_of_events.__all__ if name != "Event"
)


def wait_for(
    recorder: Recorder,
    wanted: Wanted,
    *,
    kind: str | None,
    sender: str | None,
    connection: str | None,
    count: int,
    timeout: float | None,
) -> Event:
    """Return the first event that fits, when it is there; see :meth:`Tape.wait_for`."""
    _check(wanted, kind, sender, count)
    # A reader of its own, which decodes each byte once; woken by what is recorded.
    reader, bell, left = TapeReader(recorder), threading.Event(), count
    deadline_s = deadline_after(timeout)
    recorder.listeners.append(bell.set)
    try:
        while True:
            bell.clear()
            for event in reader.each():
                if _fits(event, wanted, kind, sender) and (
                    connection is None or event.connection_id in ids_of(recorder, connection)
                ):
                    left -= 1
                    if not left:
                        return event
            if not is_set_within(bell, left_until(deadline_s)):
                break
    finally:
        recorder.listeners.remove(bell.set)
    assert timeout is not None
    seen = f", and saw {count - left} of {count}" if count > 1 else ""
    raise TimeoutError(
        f"expected {_described(wanted, kind, sender, connection)} on the tape within {timeout:g} "
        f"s{seen}. What is there:\n"
        + conversation(TapeReader(recorder).each(), labels_of(recorder))
    )


def _check(wanted: Wanted, kind: str | None, sender: str | None, count: int) -> None:
    if wanted is None and kind is None and sender is None:
        raise TypeError(
            "expected what to wait for: a text, bytes, a function of an event, or kind=..."
        )
    if not (wanted is None or isinstance(wanted, str | bytes) or callable(wanted)):
        raise TypeError(
            f"expected a text, bytes or a function of an event, got {type(wanted).__name__}"
        )
    if kind is not None and kind not in KINDS:
        raise ValueError(f"expected kind to be one of {', '.join(sorted(KINDS))}, got {kind!r}")
    if sender is not None:
        check_sender(sender)
    if count < 1:
        raise ValueError(f"expected count of at least 1, got {count}")


def _fits(event: Event, wanted: Wanted, kind: str | None, sender: str | None) -> bool:
    if kind is not None and event.kind != kind:
        return False
    if sender is not None and event.sender != sender:
        return False
    if wanted is None:
        return True
    if isinstance(wanted, str | bytes):
        return isinstance(event, MessageEvent) and event.data == wanted
    return bool(wanted(event))


def _described(wanted: Wanted, kind: str | None, sender: str | None, connection: str | None) -> str:
    if wanted is None:
        what = f"an event of kind {kind!r}" if kind else "an event"
    elif isinstance(wanted, str | bytes):
        what = f"the message {wanted[:80]!r}"
    else:
        name = getattr(wanted, "__name__", type(wanted).__name__)
        what = f"an event{f' of kind {kind!r}' if kind else ''} that fits {name}"
    return (
        what
        + (f" from the {sender}" if sender else "")
        + (f" on the connection {connection!r}" if connection else "")
    )

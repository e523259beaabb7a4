"""A conversation as lines of text: who sent what and when, for errors, tests and terminals.

Its rule: a line a frame, a head, a close frame, a fault or an end, each of one line and cut short;
of many the last ones, with how many came before. What messages are made of is in their frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from ..events import CloseEvent, Event, FrameEvent
from ..files.rows import to_rows
from ..frames.close_codes import close_code_meaning

__all__ = ["conversation"]

MAX_LINES = 40
_MAX_CHARS = 88  # of what one line says
_LEFT_OUT = ("opened", "message", "pong", "body")


def conversation(
    events: Iterable[Event], labels: Mapping[str, str | None], *, max_lines: int = MAX_LINES
) -> str:
    """Return what was said, a line each, such as ``0.003 s  alice -> text "hello"``.

    Args:
        events: of a tape, in order.
        labels: what views call the clients of its connections, by id.
        max_lines: how many of the last ones.
    """
    kept: deque[Event] = deque(maxlen=max_lines)
    count = 0
    for event in events:
        is_close_frame = isinstance(event, FrameEvent) and event.opcode == 8
        if event.kind not in _LEFT_OUT and not is_close_frame:
            kept.append(event)
            count += 1
    if not count:
        return "  (nothing yet)"
    lines = [f"  ... {count - len(kept):,} before these"] if count > len(kept) else []
    for event, row in zip(kept, to_rows(kept, labels), strict=True):
        who = row["label"] or event.connection_id
        arrow = "->" if event.sender == "client" else "<-"
        if event.kind in ("ended", "over"):  # whose transport told is not who ended it
            arrow = "--"
        lines.append(f"  {event.at_s:7.3f} s  {who} {arrow} {_cut(_said(event, row))}")
    return "\n".join(lines)


def _said(event: Event, row: Mapping[str, object]) -> str:
    if isinstance(event, FrameEvent):
        more = "" if event.fin else ", more follows"
        content = repr(event.text) if event.text is not None else event.frame.content[:64].hex(" ")
        return f"{event.label} {content}{more}".rstrip()
    if isinstance(event, CloseEvent):
        code = 1005 if event.code is None else event.code
        reason = f" {event.reason!r}" if event.reason else ""
        return f"close {code} ({close_code_meaning(code).partition(':')[0]}){reason}"
    if event.kind in ("request", "response"):
        return str(row["text"])
    if event.kind == "over":
        return "over; how it ended is not on the record"
    if event.kind == "dropped":
        return f"dropped: {row['size_bytes']} bytes, {row['text']}"
    return f"{event.kind}: {row['text']}"


def _cut(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."

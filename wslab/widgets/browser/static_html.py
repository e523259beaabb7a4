"""A Browser where no script runs: what happened so far, as a table of text or of HTML.

For a saved notebook, GitHub, nbconvert and a terminal. Its rule: inline styles and nothing else; it
shows one moment, and says that the sockets live only in a page.
"""

from __future__ import annotations

import time

from ..panels import model
from ..static_html import MONO, columns, drawn_now, escape, soft, table
from .page_sockets import PageSockets
from .record import BrowserEvent

__all__ = ["html", "text"]

MAX_ROWS = 30
EMPTY = "Nothing has happened yet: its socket is made by the page that shows it."


def text(page_sockets: PageSockets) -> str:
    """Return a few lines of plain text."""
    head, rows, more = _table(page_sockets)
    lines = [repr(page_sockets).strip("<>")]
    if page_sockets.routes.taken:
        lines.append(f"  route: {page_sockets.routes.label or page_sockets.routes.taken}")
    if page_sockets.routes.asks:
        lines.append(f"  it waits for an answer: {page_sockets.routes.asks}")
    if not rows:
        return "\n".join([*lines, f"  {EMPTY}"])
    if more:
        lines.append(f"  {more}")
    lines += columns([head, *rows])
    lines += [f"  a callback raised {error}" for error in list(page_sockets.callbacks.errors)[-3:]]
    return "\n".join(lines)


def html(page_sockets: PageSockets) -> str:
    """Return HTML that needs no script and no style sheet."""
    head, rows, more = _table(page_sockets)
    parts = [
        f"<p><b>{escape(page_sockets.name)}</b>, a WebSocket of the page, to "
        f'<code style="{MONO}">{escape(page_sockets.routes.shown)}</code> {drawn_now()}</p>'
    ]
    states = [socket.ready_state or "no socket yet" for socket in page_sockets.states]
    if page_sockets.ended:
        parts.append(f"<p>It has ended: {escape(page_sockets.ended)}.</p>")
    elif page_sockets.commands:
        parts.append(
            f"<p>{len(page_sockets.commands):,} command(s) wait for a page to show it.</p>"
        )
    if page_sockets.routes.asks:
        parts.append(f"<p>It waits for an answer: {escape(page_sockets.routes.asks)}</p>")
    if not rows:
        parts.append(f"<p>{EMPTY}</p>")
    else:
        parts.append(f"<p>readyState: {escape(', '.join(states))}</p>")
        if more:
            parts.append(soft(more))
        parts.append(table(head, rows, wraps="detail"))
    for error in list(page_sockets.callbacks.errors)[-3:]:
        parts.append(f"<p><b>A callback raised</b> {escape(str(error))}</p>")
    return "".join(parts)


def _table(page_sockets: PageSockets) -> tuple[list[str], list[list[str]], str]:
    events = page_sockets.record.events
    shown = events[-MAX_ROWS:]
    before = page_sockets.record.seen - len(shown)
    more = f"the last {len(shown)} of {page_sockets.record.seen:,} events" if before else ""
    head = ["time", "socket", "state", "what", "detail"]
    rows = [_row(event) for event in shown]
    if len(page_sockets.states) == 1:
        head.pop(1)
        for row in rows:
            row.pop(1)
    return head, rows, more


def _row(event: BrowserEvent) -> list[str]:
    at = time.strftime("%H:%M:%S", time.localtime(event.at)) + f".{int(event.at % 1 * 1000):03d}"
    return [
        at,
        str(event.socket),
        event.ready_state or "",
        event.type,
        model.one_line(event.detail),
    ]

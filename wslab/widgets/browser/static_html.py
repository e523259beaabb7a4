"""A Browser where no script runs: what happened so far, as a table of text or of HTML.

For a saved notebook, GitHub, nbconvert and a terminal. Its rule: inline styles and nothing else; it
shows one moment, and says that the sockets live only in a page.
"""

from __future__ import annotations

import html as escaping
import time

from ..panels import model
from .page_sockets import PageSockets
from .record import BrowserEvent

__all__ = ["html", "text"]

MAX_ROWS = 30
EMPTY = "Nothing has happened yet: its socket is made by the page that shows it."
_CELL = (
    "text-align:left;vertical-align:top;padding:2px 16px 2px 0;background:none;"
    "border-bottom:1px solid var(--jp-border-color2,#d5dae1)"
)
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
_SOFT = "color:var(--jp-ui-font-color2,#5f6775)"


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
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines += [
        "  " + "  ".join(map(str.ljust, row, widths)).rstrip()  # cells of one column line up
        for row in (head, *rows)
    ]
    lines += [f"  a callback raised {error}" for error in list(page_sockets.callbacks.errors)[-3:]]
    return "\n".join(lines)


def html(page_sockets: PageSockets) -> str:
    """Return HTML that needs no script and no style sheet."""
    head, rows, more = _table(page_sockets)
    drawn = time.strftime("as of %H:%M:%S on %Y-%m-%d")
    parts = [
        f"<p><b>{_e(page_sockets.name)}</b>, a WebSocket of the page, to "
        f'<code style="{_MONO}">{_e(page_sockets.routes.shown)}</code> '
        f'<span style="{_SOFT}">{drawn}</span></p>'
    ]
    states = [socket.ready_state or "no socket yet" for socket in page_sockets.states]
    if page_sockets.ended:
        parts.append(f"<p>It has ended: {_e(page_sockets.ended)}.</p>")
    elif page_sockets.commands:
        parts.append(
            f"<p>{len(page_sockets.commands):,} command(s) wait for a page to show it.</p>"
        )
    if page_sockets.routes.asks:
        parts.append(f"<p>It waits for an answer: {_e(page_sockets.routes.asks)}</p>")
    if not rows:
        parts.append(f"<p>{EMPTY}</p>")
    else:
        parts.append(f"<p>readyState: {_e(', '.join(states))}</p>")
        if more:
            parts.append(f'<p style="{_SOFT}">{_e(more)}</p>')
        cells = "".join(
            f'<th style="{_CELL};{_SOFT};font-weight:400">{_e(name)}</th>' for name in head
        )
        lines = "".join(
            '<tr style="background:none">'
            + "".join(f'<td style="{_CELL};{_MONO}">{_e(cell)}</td>' for cell in row)
            + "</tr>"
            for row in rows
        )
        parts.append(
            f'<table style="border-collapse:collapse;margin:0"><thead><tr>{cells}</tr></thead>'
            f"<tbody>{lines}</tbody></table>"
        )
    for error in list(page_sockets.callbacks.errors)[-3:]:
        parts.append(f"<p><b>A callback raised</b> {_e(str(error))}</p>")
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


def _e(words: str) -> str:
    return escaping.escape(words)

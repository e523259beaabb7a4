"""Draw a view as text and as HTML that stands alone: for a terminal, for GitHub, for print.

The HTML's rule: tables with inline styles and nothing else, in JupyterLab's own colours where they
are known. Where a page strips the styles it still reads well, as plain markup. It shows one moment
and says which.
"""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["WORDS", "to_html", "to_text"]

WORDS = {
    "listening": "listening",
    "stopping": "stopping",
    "stopped": "stopped",
    "replaced": "stopped: its cell ran again, and a new server took its place",
    "connecting": "connecting",
    "open": "open",
    "closing": "closing",
    "closed": "closed",
    "broken": "closed",
}
"""State to words."""

MAX_MESSAGES = 12

_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
_SOFT = "color:var(--jp-ui-font-color2,#5f6775)"
_LINE = "1px solid var(--jp-border-color2,#d5dae1)"
_CELL = (
    "text-align:left;vertical-align:top;white-space:nowrap;padding:2px 16px 2px 0;"
    f"background:none;border-bottom:{_LINE}"
)
_LAST = ";white-space:normal;overflow-wrap:anywhere"  # a message may be long


def to_text(view: dict[str, Any], trouble: Sequence[dict[str, Any]], rows: Sequence[Any]) -> str:
    """Return a few lines of plain text.

    Args:
        view: of a server or a client.
        trouble: what went wrong with it.
        rows: a client's messages.
    """
    state = f"{WORDS[view['state']]} {view['since']}".rstrip()
    where = "at" if view["kind"] == "server" else "to"
    lines = [f"{view['kind']} {view['name']!r}, {state}, {where} {view['url']}"]
    if view.get("browser_url"):
        lines.append(f"  in a browser: {view['browser_url']} ({view['reach']})")
    if view.get("note"):
        lines.append(f"  {view['note']}")
    head, table = _table(view, rows)
    if table:
        lines += _columns([head, *table])
    if view.get("more"):
        lines.append(f"  {view['more']}")
    lines += [f"  {sentence}" for sentence in _sums(view)]
    for item in trouble:
        lines.append(f"  {item['title']}{_when(item)}: {item['text']}")
        lines += [f"    {line}" for line in item["details"].splitlines()]
    return "\n".join(lines)


def to_html(view: dict[str, Any], trouble: Sequence[dict[str, Any]], rows: Sequence[Any]) -> str:
    """Return HTML that needs no script and no style sheet; the arguments are as in `to_text`."""
    state = f"{WORDS[view['state']]} {view['since']}".rstrip()
    drawn = time.strftime("as of %H:%M:%S on %Y-%m-%d")
    parts = [
        f"<p><b>{_e(view['name'])}</b>, a WebSocket {view['kind']}, {_e(state)} "
        f'<span style="{_SOFT}">{drawn}</span><br>'
        f'<code style="{_MONO}">{_e(view["url"])}</code></p>'
    ]
    if view.get("browser_url"):
        parts.append(
            f'<p>In a browser: <code style="{_MONO}">{_e(view["browser_url"])}</code> '
            f'<span style="{_SOFT}">{_e(view["reach"])}</span></p>'
        )
    if view.get("note"):
        parts.append(f'<p style="{_SOFT}">{_e(view["note"])}</p>')
    head, table = _table(view, rows)
    if table:
        parts.append(_html_table(head, table))
    sums = [view["more"]] if view.get("more") else []
    parts.append(f'<p style="{_SOFT}">{"; ".join(map(_e, sums + _sums(view)))}</p>')
    for item in trouble:
        text = f"<p><b>{_e(item['title'])}</b>{_when(item)}: {_e(item['text'])}</p>"
        if item["details"]:
            details = f'<pre style="{_MONO}">{_e(item["details"])}</pre>'
            summary = f"<summary>{text[3:-4]}</summary>"
            text = f'<details style="margin:0 0 1em">{summary}{details}</details>'
        parts.append(text)
    style = "color:var(--jp-ui-font-color1,inherit);line-height:1.5"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _table(view: dict[str, Any], rows: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return head and body of a server's connections, or of a client's latest messages."""
    if view["kind"] == "server":
        head = ["client", "id", "path", "open for"]
        return [*head, "messages in", "bytes in", "messages out", "bytes out"], [
            [
                row["label"] or "(no name)",
                row["id"],
                row["path"],
                row["open"],
                row["received"],
                row["received_size"],
                row["sent"],
                row["sent_size"],
            ]
            for row in view["rows"]
        ]
    return ["direction", "type", "size", "message"], [
        [row["direction"], row["type"], row["size"], row["text"]] for row in rows[-MAX_MESSAGES:]
    ]


def _sums(view: dict[str, Any]) -> list[str]:
    came, went = _amount(view["received"]), _amount(view["sent"])
    if view["kind"] == "server":
        sums = [f"{view['now']} connected now, {view['seen']} since it was made"]
        if view["rows"]:
            sums += [f"in: {came}", f"out: {went}"]
    else:
        sums = [f"received {came}", f"sent {went}"]
    if view.get("waiting"):
        sums.append(f"{view['waiting']} waiting for recv()")
    return sums


def _amount(amount: dict[str, str]) -> str:
    noun = "message" if amount["messages"] == "1" else "messages"
    return f"{amount['messages']} {noun}, {amount['size']}"


def _when(item: dict[str, Any]) -> str:
    if item["at"] is None:
        return ""
    return time.strftime(", %H:%M:%S", time.localtime(item["at"]))


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(map(str.ljust, row, widths)).rstrip()  # cells of one column line up
        for row in rows
    ]


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f'<th style="{_CELL};{_SOFT};font-weight:400">{_e(name)}</th>' for name in head)
    lines = []
    for row in rows:
        styles = [f"{_CELL};{_MONO}"] * (len(row) - 1) + [f"{_CELL};{_MONO}{_LAST}"]
        cells = "".join(
            f'<td style="{style}">{_e(cell)}</td>' for style, cell in zip(styles, row, strict=True)
        )
        lines.append(f'<tr style="background:none">{cells}</tr>')
    return (
        f'<table style="border-collapse:collapse;margin:0"><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _e(text: str) -> str:
    return html.escape(text)

"""Draw a hub's view as text and as HTML that stands alone: for a terminal, for GitHub, for print.

The HTML's rule is that of `panels.static_html`: tables with inline styles and nothing else; where a
page strips the styles it still reads well. Outcomes are words in it; in the text they are signs
with a legend, so that columns stay narrow. Both show one moment.
"""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["to_html", "to_text"]

SIGNS = {
    "sent": "+",
    "queued": "~",
    "dropped": "x",
    "skipped": "-",
    "closing": "!",
    "": ".",
}
_UNNAMED = "hub"  # a Hub that was given no name
HEAD = ["client", "id", "rooms", "open for", "in", "out", "queued", "dropped"]
_KEYS = ("name", "id", "rooms", "open", "received", "sent", "queued", "dropped")
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
_SOFT = "color:var(--jp-ui-font-color2,#5f6775)"
_LINE = "1px solid var(--jp-border-color2,#d5dae1)"
_CELL = (
    "text-align:left;vertical-align:top;white-space:nowrap;padding:2px 16px 2px 0;"
    f"background:none;border-bottom:{_LINE}"
)
_LONG = ";white-space:normal;overflow-wrap:anywhere;min-width:12ch"

Json = dict[str, Any]
Table = list[list[str]]


def to_text(
    view: Json, trouble: Sequence[Json] = (), matrix: Json | None = None, **_more: Any
) -> str:
    """Return lines of plain text.

    Args:
        view: who is here.
        trouble: what handlers raised.
        matrix: what became of each message; None where that is not to be shown.
    """
    lines = [_title(view)]
    if view["rows"]:
        lines += _columns([HEAD, *_who(view)])
    lines += [f"  {part}" for part in _notes(view)]
    if matrix is not None:
        if matrix["rooms"]:
            lines += [
                f"  room {one['room']} ({one['count']}): {one['words']}" for one in matrix["rooms"]
            ]
        if matrix["rooms_more"]:
            lines.append(f"  {matrix['rooms_more']}")
        if matrix["before"]:
            lines.append(f"  messages: {matrix['before']}")
        if matrix["messages"]:
            lines += _columns(_messages(matrix, SIGNS))
            used = {cell for one in matrix["messages"] for cell in one["cells"]}
            lines.append(
                "  " + "   ".join(f"{SIGNS[word]} {_named(word)}" for word in SIGNS if word in used)
            )
    for one in view["left"]:
        who = f"{one['name']} ({one['id']})" if one["name"] else one["id"]
        lines.append(f"  left at {_clock(one['at'])}: {who}, {one['reason']}")
    if view["left_more"]:
        lines.append(f"  {view['left_more']}")
    for item in trouble:
        lines.append(f"  {item['title']}, {_clock(item['at'])}: {item['text']}")
        lines += [f"    {line}" for line in item["details"].splitlines()]
    return "\n".join(lines)


def to_html(
    view: Json, trouble: Sequence[Json] = (), matrix: Json | None = None, **_more: Any
) -> str:
    """Return HTML that needs no script and no style sheet; the arguments are as in `to_text`."""
    drawn = time.strftime("as of %H:%M:%S on %Y-%m-%d")
    kind = "" if view["name"] == _UNNAMED else ", a hub"
    parts = [
        f"<p><b>{_e(view['name'])}</b>{kind}, {_counts(view)} "
        f'<span style="{_SOFT}">{drawn}</span></p>'
    ]
    if view["rows"]:
        parts.append(_html_table([HEAD, *_who(view)]))
    parts += [f'<p style="{_SOFT}">{_e(part)}</p>' for part in _notes(view)]
    if matrix is not None:
        rooms = [[one["room"], one["count"], one["words"]] for one in matrix["rooms"]]
        if rooms:
            parts.append(_html_table([["room", "clients", "who"], *rooms]))
        if matrix["rooms_more"]:
            parts.append(f'<p style="{_SOFT}">{_e(matrix["rooms_more"])}</p>')
        if matrix["before"]:
            parts.append(f'<p style="{_SOFT}">Messages: {_e(matrix["before"])}</p>')
        if matrix["messages"]:
            parts.append(_html_table(_messages(matrix, {"": ""}), wraps="data"))
    if view["left"]:
        left = [
            [_clock(one["at"]), one["name"] or "(no name)", one["id"], one["reason"]]
            for one in view["left"]
        ]
        parts.append(_html_table([["left at", "client", "id", "why"], *left]))
    if view["left_more"]:
        parts.append(f'<p style="{_SOFT}">{_e(view["left_more"])}</p>')
    for item in trouble:
        parts.append(
            '<details style="margin:0 0 1em"><summary>'
            f"<b>{_e(item['title'])}</b>, {_clock(item['at'])}: {_e(item['text'])}</summary>"
            f'<pre style="{_MONO}">{_e(item["details"])}</pre></details>'
        )
    style = "color:var(--jp-ui-font-color1,inherit);line-height:1.5"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _title(view: Json) -> str:
    name = "hub" if view["name"] == _UNNAMED else f"hub {view['name']!r}"
    return f"{name}, {_counts(view)}"


def _counts(view: Json) -> str:
    now, rooms = view["now"], view["rooms"]
    return f"{now} client{'s' * (now != '1')} in {rooms} room{'s' * (rooms != '1')}"


def _who(view: Json) -> Table:
    return [[row[key] or _empty(key) for key in _KEYS] for row in view["rows"]]


def _empty(key: str) -> str:
    return {"name": "(no name)", "rooms": "none"}.get(key, "")


def _notes(view: Json) -> list[str]:
    notes = [view["more"]] if view["more"] else []
    if not view["rows"]:
        notes.append(f"nobody is connected; it handles {view['handles']}")
    if view["complaints"]:
        notes.append(f"errors told to senders: {', '.join(view['complaints'])}")
    if view["limited"]:
        notes.append(f"held by limits: {', '.join(view['limited'])}")
    return notes


def _messages(matrix: Json, signs: dict[str, str]) -> Table:
    columns = [
        (column["name"] or column["id"]) + (" (left)" if column["gone"] else "")
        for column in matrix["columns"]
    ]
    has_others = any(one["others"] for one in matrix["messages"])
    head = ["nr", "time", "event", "data", "from", "to", *columns, *["others"] * has_others]
    rows = [
        [
            one["key"],
            _clock(one["at"]),
            one["event"],
            one["preview"],
            one["sender"],
            one["to"],
            *(signs.get(cell, cell) for cell in one["cells"]),
            *[one["others"]] * has_others,
        ]
        for one in matrix["messages"]
    ]
    return [head, *rows]


def _named(word: str) -> str:
    return {"": "not meant for it", "skipped": "skipped (left out by skip=)"}.get(word, word)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _columns(rows: Table) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _html_table(rows: Table, wraps: str = "") -> str:
    """Return a table; ``wraps`` names the column whose cells may need several lines."""
    names = "".join(
        f'<th style="{_CELL};{_SOFT};font-weight:400">{_e(name)}</th>' for name in rows[0]
    )
    styles = [f"{_CELL};{_MONO}{_LONG if name == wraps else ''}" for name in rows[0]]
    lines = []
    for row in rows[1:]:
        cells = "".join(
            f'<td style="{style}">{_e(cell)}</td>' for style, cell in zip(styles, row, strict=True)
        )
        lines.append(f'<tr style="background:none">{cells}</tr>')
    return (
        f'<table style="border-collapse:collapse;margin:0 0 8px"><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _e(text: str) -> str:
    return html.escape(text)

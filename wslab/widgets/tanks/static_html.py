"""Tanks where no script runs: a row for each client, a column for each place."""

from __future__ import annotations

from typing import Any

from ..static_html import columns, drawn_now, escape, soft, table, whole
from .model import PLACES

__all__ = ["LEGEND", "to_html", "to_text"]

LEGEND = "sent: messages, as the server counts them. In brackets: the most that was seen there"
HEAD = ["client", "sent", *PLACES.values(), "read"]
_NOBODY = "no client to look at"

Json = dict[str, Any]


def to_text(view: Json) -> str:
    """Return lines of plain text."""
    if not view["rows"]:
        return f"tanks: {_NOBODY}"
    lines = ["where the bytes are", *columns([HEAD, *_rows(view)])]
    return "\n".join([*lines, *_more(view), f"  {LEGEND}"])


def to_html(view: Json) -> str:
    """Return HTML that needs no script and no style sheet."""
    parts = [f"<p><b>{escape('Where the bytes are')}</b> {drawn_now()}</p>"]
    parts.append(table(HEAD, _rows(view)) if view["rows"] else soft(_NOBODY))
    return whole([*parts, *map(soft, _more(view)), soft(f"{LEGEND}.")])


def _more(view: Json) -> list[str]:
    return [f"  {view['more']}"] if view["more"] else []


def _rows(view: Json) -> list[list[str]]:
    return [
        [
            row["name"],
            row["sent"] or row["state"],
            *(f"{tank['words']} ({tank['peak_words']})" for tank in row["tanks"]),
            row["read"],
        ]
        for row in view["rows"]
    ]

"""The picture of the machines where no script runs: a line for each thing that was said."""

from __future__ import annotations

from typing import Any

from ..static_html import columns, drawn_now, escape, soft, table, whole

__all__ = ["to_html", "to_text", "way"]

HEAD = ["at", "way", "what"]

Json = dict[str, Any]


def way(view: Json, row: Json) -> str:
    """Say from where to where a row goes: "node one > Redis"."""
    names = [lane["name"] for lane in view["lanes"]]
    for clients, node in ((0, 1), (4, 3)):
        names[clients] = f"clients of {names[node]}"
    start, end = names[row["from"]], names[row["to"]]
    return start if start == end else f"{start} > {end}"


def to_text(view: Json) -> str:
    """Return lines of plain text."""
    lines = ["machines", *columns(_lanes(view))]
    rows = [[row["at"], way(view, row), row["label"]] for row in view["rows"]]
    lines += columns([HEAD, *rows]) if rows else ["  nothing was said yet"]
    return "\n".join([*lines, *(f"  {note}" for note in view["notes"])])


def to_html(view: Json) -> str:
    """Return HTML that needs no script and no style sheet."""
    rows = [[row["at"], way(view, row), row["label"]] for row in view["rows"]]
    parts = [f"<p><b>{escape('Machines')}</b> {drawn_now()}</p>"]
    parts.append(table(["", "", ""], _lanes(view)))
    parts.append(table(HEAD, rows, wraps="what") if rows else soft("Nothing was said yet."))
    return whole([*parts, *(soft(f"{note}.") for note in view["notes"])])


def _lanes(view: Json) -> list[list[str]]:
    words = {"open": "runs", "broken": "is down", "": ""}
    return [
        [lane["name"], words[lane["state"]], lane["note"]] for lane in view["lanes"] if lane["name"]
    ]

"""A hub's view where no script runs: as text, and as HTML that stands alone.

Outcomes are words in the HTML; in the text they are signs with a legend, so that columns stay
narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..static_html import (
    clock,
    columns,
    drawn_now,
    escape,
    soft,
    table,
    trouble_html,
    trouble_lines,
    whole,
)

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
HEAD = ["client", "id", "state", "rooms", "open for", "in", "out", "queued", "dropped"]
_KEYS = ("name", "id", "state", "rooms", "open", "received", "sent", "queued", "dropped")

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
        lines += columns([HEAD, *_who(view)])
    lines += [f"  {part}" for part in _notes(view)]
    if matrix is not None:
        for one in matrix["rooms"]:
            lines.append(f"  room {one['room']} ({one['count']}): {one['words']}")
        if matrix["rooms_more"]:
            lines.append(f"  {matrix['rooms_more']}")
        if matrix["before"]:
            lines.append(f"  messages: {matrix['before']}")
        if matrix["messages"]:
            lines += columns(_messages(matrix, SIGNS))
            used = {cell for one in matrix["messages"] for cell in one["cells"]}
            lines.append(
                "  " + "   ".join(f"{SIGNS[word]} {_named(word)}" for word in SIGNS if word in used)
            )
    for one in view["left"]:
        who = f"{one['name']} ({one['id']})" if one["name"] else one["id"]
        lines.append(f"  left at {clock(one['at'])}: {who}, {one['reason']}; {one['state']}")
    if view["left_more"]:
        lines.append(f"  {view['left_more']}")
    return "\n".join(lines + trouble_lines(trouble))


def to_html(
    view: Json, trouble: Sequence[Json] = (), matrix: Json | None = None, **_more: Any
) -> str:
    """Return HTML that needs no script and no style sheet; the arguments are as in `to_text`."""
    kind = "" if view["name"] == _UNNAMED else ", a hub"
    parts = [f"<p><b>{escape(view['name'])}</b>{kind}, {_counts(view)} {drawn_now()}</p>"]
    if view["rows"]:
        parts.append(table(HEAD, _who(view)))
    parts += map(soft, _notes(view))
    if matrix is not None:
        rooms = [[one["room"], one["count"], one["words"]] for one in matrix["rooms"]]
        if rooms:
            parts.append(table(["room", "clients", "who"], rooms))
        if matrix["rooms_more"]:
            parts.append(soft(matrix["rooms_more"]))
        if matrix["before"]:
            parts.append(soft(f"Messages: {matrix['before']}"))
        if matrix["messages"]:
            head, *rows = _messages(matrix, {"": ""})
            parts.append(table(head, rows, wraps="data"))
    if view["left"]:
        left = [
            [clock(one["at"]), one["name"] or "(no name)", one["id"], one["state"], one["reason"]]
            for one in view["left"]
        ]
        parts.append(table(["left at", "client", "id", "state", "why"], left))
    if view["left_more"]:
        parts.append(soft(view["left_more"]))
    return whole(parts + trouble_html(trouble))


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
            clock(one["at"]),
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

"""A chat panel where no script runs: as text, and as HTML that stands alone."""

from __future__ import annotations

from typing import Any

from ..static_html import MONO, clock, drawn_now, escape, soft, whole

__all__ = ["to_html", "to_text"]

Json = dict[str, Any]
MAX_LINES = 12
_PREPOSITIONS = {"sent": "to", "received": "in", "note": "in"}


def to_text(view: Json, lines: dict[str, Json]) -> str:
    """Return lines of plain text.

    Args:
        view: the players.
        lines: by player's name, what went and came.
    """
    shown = [view["name"] + (f", {view['ended']}" if view["ended"] else "")]
    for player in view["players"]:
        shown.append(f"  {_who(player)}")
        shown += [f"    {line}" for line in _lines(lines[player["key"]])]
    return "\n".join(shown)


def to_html(view: Json, lines: dict[str, Json]) -> str:
    """Return HTML that needs no script and no style sheet; the arguments are as in `to_text`."""
    parts = [f"<p><b>{escape(view['name'])}</b> {drawn_now()}</p>"]
    if view["ended"]:
        parts.append(soft(view["ended"]))
    for player in view["players"]:
        said = "<br>".join(map(escape, _lines(lines[player["key"]]))) or "nothing has come"
        parts.append(f"<p><b>{escape(_who(player))}</b></p>")
        parts.append(f'<p style="{MONO};overflow-wrap:anywhere">{said}</p>')
    return whole(parts)


def _who(player: Json) -> str:
    state = "closed" if player["state"] == "broken" else player["state"]
    id_ = f" ({player['id']})" if player["id"] else ""
    where = f"in {', '.join(player['rooms'])}" if player["rooms"] else "in no room"
    return f"{player['name']}{id_}, {state}, {where if state == 'open' else player['why']}"


def _lines(log: Json) -> list[str]:
    return [
        f"{clock(row['at'])} {'came' if row['direction'] == 'received' else row['direction']} "
        + " ".join(
            part
            for part in (
                row["event"],
                row["room"] and f"{_PREPOSITIONS[row['direction']]} {row['room']}",
                row["sender"] and f"from {row['sender']}",
                row["text"],
            )
            if part
        )
        for row in log["rows"][-MAX_LINES:]
    ]

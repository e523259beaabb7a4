"""Draw a chat panel as text and as HTML that stands alone, as `panels.static_html` does."""

from __future__ import annotations

import html
import time
from typing import Any

__all__ = ["to_html", "to_text"]

Json = dict[str, Any]
MAX_LINES = 12
_SOFT = "color:var(--jp-ui-font-color2,#5f6775)"
_PREPOSITIONS = {"sent": "to", "received": "in", "note": "in"}
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"


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
    drawn = time.strftime("as of %H:%M:%S on %Y-%m-%d")
    parts = [f'<p><b>{_e(view["name"])}</b> <span style="{_SOFT}">{drawn}</span></p>']
    if view["ended"]:
        parts.append(f'<p style="{_SOFT}">{_e(view["ended"])}</p>')
    for player in view["players"]:
        said = "<br>".join(map(_e, _lines(lines[player["key"]]))) or "nothing has come"
        parts.append(f"<p><b>{_e(_who(player))}</b></p>")
        parts.append(f'<p style="{_MONO};overflow-wrap:anywhere">{said}</p>')
    style = "color:var(--jp-ui-font-color1,inherit);line-height:1.5"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _who(player: Json) -> str:
    state = "closed" if player["state"] == "broken" else player["state"]
    id_ = f" ({player['id']})" if player["id"] else ""
    where = f"in {', '.join(player['rooms'])}" if player["rooms"] else "in no room"
    return f"{player['name']}{id_}, {state}, {where if state == 'open' else player['why']}"


def _lines(log: Json) -> list[str]:
    rows = log["rows"][-MAX_LINES:]
    return [
        f"{time.strftime('%H:%M:%S', time.localtime(row['at']))} "
        f"{ {'sent': 'sent', 'received': 'came', 'note': 'note'}[row['direction']] } "
        + " ".join(
            filter(
                None,
                [
                    row["event"],
                    f"{_PREPOSITIONS[row['direction']]} {row['room']}" if row["room"] else "",
                    f"from {row['sender']}" if row["sender"] else "",
                    row["text"],
                ],
            )
        )
        for row in rows
    ]


def _e(text: str) -> str:
    return html.escape(text)

"""Networks where no script runs: each connection's cable, settings and clocks, as text and HTML."""

from __future__ import annotations

from typing import Any

from ..static_html import columns, drawn_now, escape, soft, table, whole

__all__ = ["to_html", "to_text"]

_HEAD = ["client", "cable", "held", "delay", "jitter", "rate", "client's clock", "server's clock"]


def to_text(view: dict[str, Any]) -> str:
    """Return a line for each connection.

    Args:
        view: from `NetworkReader.look`.
    """
    lines = [f"network of {view['kind']} {view['name']!r}"]
    rows = _rows(view)
    lines += columns([_HEAD, *rows]) if rows else ["  nobody is connected"]
    return "\n".join([*lines, *(f"  {one}" for one in _more(view))])


def to_html(view: dict[str, Any]) -> str:
    """Return HTML that needs no script and no style sheet; the argument is as in `to_text`."""
    name = f"<b>{escape(view['name'])}</b>, the network of a {view['kind']}"
    parts = [f"<p>{name} {drawn_now()}</p>"]
    rows = _rows(view)
    parts.append(table(_HEAD, rows, wraps="cable") if rows else soft("Nobody is connected."))
    return whole(parts + [soft(one) for one in _more(view)])


def _rows(view: dict[str, Any]) -> list[list[str]]:
    return [
        [
            row["client"],
            row["words"],
            row["held"] or "nothing",
            *(row[name]["text"] for name in ("delay_s", "jitter_s", "bytes_per_s")),
            row["client_heard"] or "not known here",
            row["server_heard"] or "not known here",
        ]
        for row in view["rows"]
    ]


def _more(view: dict[str, Any]) -> list[str]:
    left = [f"gone: {one}" for one in (*view["left"], view["left_more"]) if one]
    new = view["new"]
    if new is not None and not new["is_plain"]:
        names = ("delay_s", "jitter_s", "bytes_per_s")
        delay, jitter, rate = (new[name]["text"] for name in names)
        left.append(f"connections to come: delay {delay}, jitter {jitter}, rate {rate}")
    return [one for one in (view["more"], *left) if one]

"""A panel where no script runs: a server or a client as text, and as HTML that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..static_html import (
    MONO,
    SOFT,
    columns,
    drawn_now,
    escape,
    soft,
    table,
    trouble_html,
    trouble_lines,
    whole,
)

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


def to_text(view: dict[str, Any], trouble: Sequence[dict[str, Any]], rows: Sequence[Any]) -> str:
    """Return a few lines of plain text.

    Args:
        view: of a server or a client.
        trouble: what went wrong with it.
        rows: a client's messages.
    """
    state = f"{WORDS[view['state']]} {view['since']}".rstrip()
    where = "at" if view["kind"] == "server" else "to"
    lines = [f"{view.get('noun', view['kind'])} {view['name']!r}, {state}, {where} {view['url']}"]
    if view.get("browser_url"):
        lines.append(f"  in a browser: {view['browser_url']} ({view['reach']})")
    if view.get("note"):
        lines.append(f"  {view['note']}")
    head, body = _table(view, rows)
    if body:
        lines += columns([head, *body])
    if view.get("more"):
        lines.append(f"  {view['more']}")
    lines += [f"  {sentence}" for sentence in _sums(view)]
    return "\n".join(lines + trouble_lines(trouble))


def to_html(view: dict[str, Any], trouble: Sequence[dict[str, Any]], rows: Sequence[Any]) -> str:
    """Return HTML that needs no script and no style sheet; the arguments are as in `to_text`."""
    state = f"{WORDS[view['state']]} {view['since']}".rstrip()
    noun = view.get("noun", view["kind"])
    parts = [
        f"<p><b>{escape(view['name'])}</b>, a WebSocket {noun}, {escape(state)} "
        f'{drawn_now()}<br><code style="{MONO}">{escape(view["url"])}</code></p>'
    ]
    if view.get("browser_url"):
        parts.append(
            f'<p>In a browser: <code style="{MONO}">{escape(view["browser_url"])}</code> '
            f'<span style="{SOFT}">{escape(view["reach"])}</span></p>'
        )
    if view.get("note"):
        parts.append(soft(view["note"]))
    head, body = _table(view, rows)
    if body:
        parts.append(table(head, body, wraps=head[-1]))
    sums = [view["more"]] if view.get("more") else []
    parts.append(soft("; ".join(sums + _sums(view))))
    return whole(parts + trouble_html(trouble))


def _table(view: dict[str, Any], rows: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return head and body of a server's connections, or of a client's latest messages."""
    if view["kind"] == "server":
        head = ["client", "id", "path", "open for"]
        head += ["messages in", "bytes in", "messages out", "bytes out"]
        keys = ["id", "path", "open", "received", "received_size", "sent", "sent_size"]
        return head, [
            [row["label"] or "(no name)", *(row[key] for key in keys)] for row in view["rows"]
        ]
    head = ["direction", "type", "size", "message"]
    return head, [
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

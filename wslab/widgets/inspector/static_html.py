"""The Inspector where no script runs: a picture for a saved notebook, lines for a terminal.

Its rule: the last rows only, and it says how many there are before them. The picture is an image
with its text beside it, since that much survives GitHub, nbviewer and nbconvert.
"""

from __future__ import annotations

import base64
import html as escaping
from typing import Any

from ..panels import model
from .keepalive import folded
from .words import moment, words

__all__ = ["html", "numbers_in_words", "svg", "text"]

MAX_ROWS = 40
MAX_LANES = 9
EMPTY = "Nothing has happened yet: connect a client."
_SILENCE_S = 1.0
_WIDTH, _ROW, _TIME = 760, 30, 74

Json = dict[str, Any]

_COLOURS = {
    "text": "#1d5fc4",
    "binary": "#6b3fc0",
    "ping": "#0b7268",
    "pong": "#0b7268",
    "close": "#9a5200",
    "reserved": "#b3261e",
    "http": "#4b5563",
}


def numbers_in_words(numbers: Json) -> list[str]:
    """Return the footer's figures, one after the other."""
    said = [
        f"{way} {numbers[sender]['frames']:,} frames, {model.size(numbers[sender]['size'])}"
        for way, sender in (("to the server", "client"), ("from the server", "server"))
    ]
    if numbers["bytes"]:
        about = "about " if numbers["about"] else ""
        said.append(f"headers {about}{100 * numbers['header'] / numbers['bytes']:.1f} %")
    before, after = numbers["inflated"]
    if after:
        said.append(f"compressed to {100 * before / after:.0f} %")
    if numbers["ping"] is not None:
        said.append(f"ping {model.round_trip(numbers['ping'])}")
    frames, size_bytes = numbers["dropped"]
    said.append(
        f"dropped {frames:,} frames, {model.size(size_bytes)}" if size_bytes else "nothing dropped"
    )
    return said


def text(title: str, lanes: dict[int, Json], rows: list[Json], numbers: Json) -> str:
    """Return the timeline as aligned lines."""
    lines = [f"Inspector of {title}"]
    if not rows:
        return "\n".join([*lines, EMPTY])
    shown, is_part = _shown(rows)
    if is_part:
        lines.append(is_part)
    clients = [lanes[row["lane"]]["name"] for row in shown if "lane" in row]
    width = min(20, max((len(name) for name in clients), default=6))
    before_s = _began_s(shown[0])
    for row in shown:
        if _began_s(row) - before_s > _SILENCE_S and row["what"] != "keepalive":
            lines.append(f"{'':>10}  ({_silence(row['at'] - before_s)} of silence)")
        before_s = row["at"]
        lines.append(f"{moment(row['at']):>10}  {_line(row, lanes, width)}")
    lines.append(" | ".join(numbers_in_words(numbers)))
    return "\n".join(lines)


def _shown(rows: list[Json]) -> tuple[list[Json], str]:
    """Return the last rows, or those around the chosen one, and in words what that leaves out."""
    lines = folded(rows)
    at = next((n for n, row in enumerate(lines) if row.get("chosen")), len(lines))
    end = len(lines) if at >= len(lines) - MAX_ROWS else at + MAX_ROWS // 2
    shown = lines[max(0, end - MAX_ROWS) : end]
    if len(shown) == len(lines):
        return shown, ""
    which = f"the last {len(shown)}" if end == len(lines) else f"{len(shown)} around the chosen one"
    return shown, f"{which} of {len(lines):,} events"


def _began_s(row: Json) -> float:
    return float(row["from"] if "from" in row else row["at"])


def _silence(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else model.duration(seconds)


def _line(row: Json, lanes: dict[int, Json], width: int) -> str:
    if "lane" not in row:
        return f"({words(row)})"
    lane = lanes[row["lane"]]
    name = lane["name"]
    chosen = "   <== chosen" if row.get("chosen") else ""
    name = name if len(name) <= width else name[: width - 1] + "…"
    if row["what"] in ("ended", "dropped", "fault", "differs"):
        arrow = " ×  " if row["what"] == "ended" else "    "
    elif row["what"] == "frame" and row["kind"] in ("ping", "pong"):
        arrow = "··> " if row["by"] == "client" else "<·· "
    else:
        arrow = "--> " if row["by"] == "client" else "<-- "
    return f"{name:<{width}} {arrow}{lanes[lane['server']]['name']}  {words(row)}{chosen}"


def html(title: str, lanes: dict[int, Json], rows: list[Json], numbers: Json) -> str:
    """Return an image of the timeline, with the same as text behind a fold."""
    plain = escaping.escape(text(title, lanes, rows, numbers))
    if not rows:
        return f"<p>{escaping.escape(f'Inspector of {title}')}. {EMPTY}</p>"
    picture = base64.b64encode(svg(title, lanes, rows, numbers).encode()).decode()
    alt = escaping.escape(f"Timeline of {title}; the same as text below", quote=True)
    return (
        f'<img alt="{alt}" width="{_WIDTH}" src="data:image/svg+xml;base64,{picture}">'
        f"<details><summary>The same as text</summary><pre>{plain}</pre></details>"
    )


def svg(title: str, lanes: dict[int, Json], rows: list[Json], numbers: Json) -> str:
    """Return the timeline as a sequence diagram: lanes across, time down."""
    shown, is_part = _shown(rows)
    used = sorted(list(dict.fromkeys(row["lane"] for row in shown if "lane" in row))[-MAX_LANES:])
    servers = list(dict.fromkeys(lanes[lane]["server"] for lane in used))
    order: list[int] = []
    for server in servers:
        mine = [lane for lane in used if lanes[lane]["server"] == server]
        half = (len(mine) + 1) // 2
        order += [*mine[:half], server, *mine[half:]]
    right = 250 if len(order) > 3 else 130
    step = (_WIDTH - _TIME - right - 60) / max(1, len(order) - 1)
    is_roomy = step > 70 or len(order) == 1
    x_of = {lane: _TIME + 50 + step * nth for nth, lane in enumerate(order)}
    out: list[str] = []
    y = 64.0
    if is_part:
        out.append(_text(_WIDTH / 2, y, is_part, "s m"))
        y += _ROW
    before_s = _began_s(shown[0])
    for row in shown:
        if _began_s(row) - before_s > _SILENCE_S and row["what"] != "keepalive":
            out.append(f'<path class="q" d="M{_TIME} {y}H{_WIDTH - 16}"/>')
            out.append(
                _text(
                    _WIDTH / 2,
                    y + 4,
                    _silence(row["at"] - before_s) + " of silence",
                    "s m",
                    backed=True,
                )
            )
            y += _ROW
        before_s = row["at"]
        out.append(_text(_TIME - 10, y + 4, moment(row["at"]), "s e"))
        if row.get("chosen"):
            out.append(f'<path class="c" d="M4 {y - _ROW / 2 + 3}v{_ROW - 4}"/>')
        out.append(_drawn(row, lanes, x_of, y, right, step))
        y += _ROW
    height = y + 26
    heads = "".join(
        f'<path class="l" d="M{x:.0f} 44V{y - 12:.0f}"/>'
        + _text(x, 24, _clip(lanes[lane]["name"], int(max(40, step) / 8)), "b m")
        + (_text(x, 38, _clip(lanes[lane]["sub"], int(step / 6)), "s m") if is_roomy else "")
        for lane, x in x_of.items()
    )
    figures = _text(16, height - 8, " \u00b7 ".join(numbers_in_words(numbers)), "s")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'font-family="system-ui,sans-serif" font-size="12"><style>{_STYLE}</style>'
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>'
        f"{heads}{''.join(out)}{figures}</svg>"
    )


_STYLE = (
    "text{fill:#1d2433}.s{fill:#5f6775;font-size:11px}.b{font-weight:600}.m{text-anchor:middle}"
    ".c{stroke:#1d5fc4;stroke-width:3}.e{text-anchor:end}.l{stroke:#d5d9df;stroke-width:1}"
    ".q{stroke:#d5d9df;stroke-dasharray:2 5}"
)


def _clip(text: str, size: int) -> str:
    return text if len(text) <= size else text[: max(1, size - 1)] + "…"


def _text(x: float, y: float, text: str, kind: str = "", *, backed: bool = False) -> str:
    back = ""
    if backed:
        wide = 6.2 * len(text) + 12
        back = (
            f'<rect x="{x - wide / 2:.0f}" y="{y - 12:.0f}" width="{wide:.0f}" height="16" '
            'fill="#fff"/>'
        )
    return f'{back}<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escaping.escape(text)}</text>'


def _drawn(
    row: Json, lanes: dict[int, Json], x_of: dict[int, float], y: float, right: float, step: float
) -> str:
    said = words(row)
    if "lane" not in row or row["lane"] not in x_of:
        return _text(_WIDTH / 2, y + 4, said, "s m", backed=True)
    client = x_of[row["lane"]]
    server = x_of[lanes[row["lane"]]["server"]]
    if row["what"] in ("ended", "fault", "dropped", "differs"):
        colour = _COLOURS["close"] if row.get("clean") else _COLOURS["reserved"]
        mark = f"M{client - 4} {y - 4}l8 8m0-8l-8 8"
        beside = client + 10 if client < _WIDTH / 2 else client - 10
        return f'<path d="{mark}" stroke="{colour}" stroke-width="2" fill="none"/>' + _text(
            beside, y + 4, _clip(said, 64), "s" if client < _WIDTH / 2 else "s e"
        )
    start, end = (client, server) if row["by"] == "client" else (server, client)
    kind = row.get("message") or row.get("kind") or "http"
    colour = _COLOURS.get(kind, _COLOURS["http"])
    thick = 3.5 if kind == "binary" else 1.5 if kind in ("ping", "pong", "http") else 2
    dash = ' stroke-dasharray="4 3"' if kind in ("ping", "pong") else ""
    turn = 1 if end > start else -1
    fill = "none" if kind in ("ping", "pong") else colour
    is_beside = len(x_of) > 3
    if is_beside:
        y -= 4  # nothing stands above it
    head = f"M{end - turn * 9:.0f} {y - 1}l{turn * 8} 5l{-turn * 8} 5"
    arrow = (
        f'<path d="M{start:.0f} {y + 4}H{end - turn * 4:.0f}" stroke="{colour}" '
        f'stroke-width="{thick}"{dash} fill="none"/>'
        f'<path d="{head}" stroke="{colour}" fill="{fill}"/>'
    )
    if is_beside:
        return arrow + _text(_WIDTH - right, y + 8, _clip(said, 40), "s")
    room = int(abs(end - start) / 6.6)
    label, _, rest = said.partition(", ") if len(said) > room else (said, "", "")
    beside = max(start, end) + 10
    return (
        arrow
        + _text((start + end) / 2, y - 2, _clip(label, room), "m")
        + (_text(beside, y + 8, _clip(rest, 24), "s") if rest else "")
    )

"""Draws lesson 05's figure of a client's life from the table that the hub goes by.

    python -m tests.learn.lessons.life_figure    # writes notebooks/figures/05_life.svg anew

Only where a state stands, and which arrow makes a bend, is said here.
"""

from __future__ import annotations

import html
import math
from pathlib import Path

from wslab.hub.protocol.life import MEANINGS, TRANSITIONS, LifeEvent, LifeState

FIGURE = Path(__file__).resolve().parents[3] / "notebooks" / "figures" / "05_life.svg"

PLACES = {
    LifeState.CONNECTING: (80, 52),
    LifeState.ADMITTED: (300, 52),
    LifeState.AWAY: (520, 52),
    LifeState.CLOSING: (300, 160),
    LifeState.GONE: (520, 256),
}
# How far an arrow bends aside, so that it passes what stands between, or the one that leads back.
BENDS = {
    (LifeState.CONNECTING, LifeState.GONE): -170,
    (LifeState.ADMITTED, LifeState.AWAY): 34,
    (LifeState.AWAY, LifeState.ADMITTED): 34,
}
WIDE, HIGH = 112, 40
INK, PAPER = "#1d2433", "#f7f8fa"


def figure() -> str:
    """Return the figure as SVG."""
    arrows, labels = [], []
    for state, row in TRANSITIONS.items():
        for event, after in row.items():
            arrow, label = _arrow(state, event, after)
            arrows.append(arrow)
            labels.append(label)
    boxes = [
        f'<rect x="{x - WIDE // 2}" y="{y - HIGH // 2}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        for x, y in PLACES.values()
    ]
    names = [f'<text x="{x}" y="{y + 5}">{state.value}</text>' for state, (x, y) in PLACES.items()]
    meanings = [
        f'<text x="24" y="{316 + 22 * nth}"><tspan font-weight="600">{state.value}</tspan>: '
        f"{html.escape(MEANINGS[state])}</text>"
        for nth, state in enumerate(LifeState)
    ]
    height = 316 + 22 * len(LifeState)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 {height}" width="600" '
            f'height="{height}" role="img" aria-labelledby="t d" font-family="system-ui, '
            'sans-serif" font-size="15">',
            '<title id="t">The life of a hub\'s client: its states, and what leads to the next'
            "</title>",
            f'<desc id="d">{_in_words()}</desc>',
            '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0 0 10 5 0 10z" fill="{INK}"/></marker>'
            "</defs>",
            f'<rect width="600" height="{height}" rx="8" fill="{PAPER}"/>',
            f'<g stroke="{INK}" stroke-width="1.5" fill="none">{"".join(arrows)}</g>',
            f'<g fill="#e8efff" stroke="#1d4ed8" stroke-width="1.5">{"".join(boxes)}</g>',
            f'<g fill="{INK}" text-anchor="middle" font-weight="600">{"".join(names)}</g>',
            f'<g fill="{INK}" text-anchor="middle">{"".join(labels)}</g>',
            f'<g fill="{INK}" font-size="14">{"".join(meanings)}</g>',
            "</svg>\n",
        ]
    )


def _in_words() -> str:
    said = [
        f"{state.value}: "
        + ("; ".join(f"{event.value} leads to {after.value}" for event, after in row.items()))
        if row
        else f"from {state.value} nothing leads on"
        for state, row in TRANSITIONS.items()
    ]
    return html.escape(". ".join(said) + ".")


def _arrow(before: LifeState, event: LifeEvent, after: LifeState) -> tuple[str, str]:
    (x1, y1), (x2, y2) = PLACES[before], PLACES[after]
    bend = BENDS.get((before, after), 0)
    length = math.hypot(x2 - x1, y2 - y1)
    # The point that the arrow is drawn towards: beside the middle, to the left of who walks it.
    middle = ((x1 + x2) / 2 + bend * (y2 - y1) / length, (y1 + y2) / 2 - bend * (x2 - x1) / length)
    start, end = _edge((x1, y1), middle), _edge((x2, y2), middle)
    dash = ' stroke-dasharray="5 4"' if event is LifeEvent.END else ""
    path = (
        f'<path d="M{start[0]:.0f} {start[1]:.0f}Q{middle[0]:.0f} {middle[1]:.0f} '
        f'{end[0]:.0f} {end[1]:.0f}"{dash} marker-end="url(#a)"/>'
    )
    x = (start[0] + 2 * middle[0] + end[0]) / 4
    y = (start[1] + 2 * middle[1] + end[1]) / 4
    wide = 7.5 * len(event.value) + 8
    back = f'<rect x="{x - wide / 2:.0f}" y="{y - 9:.0f}" width="{wide:.0f}" height="18" '
    text = f'<text x="{x:.0f}" y="{y + 5:.0f}">{html.escape(event.value)}</text>'
    return path, f'{back}fill="{PAPER}"/>{text}'


def _edge(centre: tuple[int, int], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where the line from a box's centre leaves the box, and a little air."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    share = min(
        (WIDE / 2 + 3) / abs(dx) if dx else math.inf, (HIGH / 2 + 3) / abs(dy) if dy else math.inf
    )
    return centre[0] + dx * share, centre[1] + dy * share


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")

"""What views are drawn with where no script runs: text in columns, and HTML that stands alone.

For a terminal, for GitHub, for print. Its rule: tables and paragraphs with inline styles and
nothing else, in JupyterLab's own colours where they are known; where a page strips the styles it
still reads well. What is drawn shows one moment, and says which.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "MONO",
    "SOFT",
    "SVG",
    "TEXT",
    "clock",
    "columns",
    "drawn_now",
    "escape",
    "same_as_text",
    "soft",
    "table",
    "trouble_html",
    "trouble_lines",
    "whole",
]

MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
SOFT = "color:var(--jp-ui-font-color2,#5f6775)"
TEXT = (
    "max-width:860px;padding:2px 4px 4px;color:var(--jp-ui-font-color1,#1d2433);"
    "font:var(--jp-ui-font-size1,13px)/1.5 var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-variant-numeric:tabular-nums"
)
SVG = 'width="100%" style="display:block;max-width:none;overflow:visible"'
_PRE = (
    "margin:4px 0;overflow-x:auto;background:none;color:inherit;"
    "font:var(--jp-code-font-size,13px)/1.4 var(--jp-code-font-family,ui-monospace,monospace)"
)
_CELL = (
    "text-align:left;vertical-align:top;white-space:nowrap;padding:2px 16px 2px 0;background:none;"
    "border-bottom:1px solid var(--jp-border-color2,#d5dae1)"
)
_LONG = ";white-space:normal;overflow-wrap:anywhere;min-width:12ch"

escape = html.escape


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line a row, in which the cells of one column line up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], wraps: str = "") -> str:
    """Return a table; ``wraps`` names the column whose cells may need several lines."""
    names = "".join(
        f'<th style="{_CELL};{SOFT};font-weight:400">{escape(name)}</th>' for name in head
    )
    styles = [f"{_CELL};{MONO}{_LONG if name == wraps else ''}" for name in head]
    lines = []
    for row in rows:
        cells = (
            f'<td style="{style}">{escape(cell)}</td>'
            for style, cell in zip(styles, row, strict=True)
        )
        lines.append(f'<tr style="background:none">{"".join(cells)}</tr>')
    return (
        f'<table style="border-collapse:collapse;margin:0 0 8px"><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def soft(text: str) -> str:
    """Return a paragraph in the softer colour."""
    return f'<p style="{SOFT}">{escape(text)}</p>'


def same_as_text(text: str) -> str:
    """Return what stands below a picture, for whoever reads rather than looks."""
    return (
        '<details><summary style="cursor:pointer">the same as text</summary>'
        f'<pre style="{_PRE}">{escape(text)}</pre></details>'
    )


def drawn_now() -> str:
    """Say which moment is shown."""
    return f'<span style="{SOFT}">{time.strftime("as of %H:%M:%S on %Y-%m-%d")}</span>'


def whole(parts: Iterable[str]) -> str:
    """Return all parts of a view as one."""
    style = "color:var(--jp-ui-font-color1,inherit);line-height:1.5"
    return f'<div style="{style}">{"".join(parts)}</div>'


def clock(at: float) -> str:
    """Return the time of day of so many seconds since the epoch."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def _when(item: dict[str, Any]) -> str:
    return "" if item["at"] is None else f", {clock(item['at'])}"


def trouble_lines(trouble: Iterable[dict[str, Any]]) -> list[str]:
    """Return what went wrong, each with its details below it."""
    lines = []
    for item in trouble:
        lines.append(f"  {item['title']}{_when(item)}: {item['text']}")
        lines += [f"    {line}" for line in item["details"].splitlines()]
    return lines


def trouble_html(trouble: Iterable[dict[str, Any]]) -> list[str]:
    """Return what went wrong, each with its details folded away."""
    parts = []
    for item in trouble:
        said = f"<b>{escape(item['title'])}</b>{_when(item)}: {escape(item['text'])}"
        parts.append(
            f'<details style="margin:0 0 1em"><summary>{said}</summary>'
            f'<pre style="{MONO}">{escape(item["details"])}</pre></details>'
            if item["details"]
            else f"<p>{said}</p>"
        )
    return parts

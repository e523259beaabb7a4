"""The pages of lesson 16's whiteboard: PAGE, which a server hands out, and two of them in a cell.

Its rule: a page keeps to the lesson's plan with any board, however unfinished: what the board does
not take is drawn here only, and the page says so. It is drawn on with a pointer or with keys, and
all strokes stand below it as text.
"""

from __future__ import annotations

import html
from importlib.resources import files
from urllib.parse import quote

from ..server.server import Server
from .page_look import PAGE_LOOK

__all__ = ["PAGE", "TwoPages", "two_pages"]

PAGE = (files(__package__) / "board.html").read_text(encoding="utf-8").replace("%LOOK%", PAGE_LOOK)
"""The page; it loads hub.js from the server that hands it out."""

HEIGHT = 400  # pixels
LEAST_WIDTH = 280  # pixels; where two have no place side by side, one stands below the other


class TwoPages:
    """A board's page, twice, side by side; as text, where they are.

    Args:
        server: of a hub; it hands the page out.
        names: what the people in front of them are called.
    """

    def __init__(self, server: Server, names: tuple[str, ...]) -> None:
        address = server.page_url
        self.urls = {name: f"{address}?name={quote(name)}" for name in names}

    def __repr__(self) -> str:
        return "\n".join(f"{name}'s page: {url}" for name, url in self.urls.items())

    def _repr_html_(self) -> str:
        frames = "".join(
            f'<iframe src="{html.escape(url)}" title="{html.escape(name)}\'s page" '
            f'style="flex:1 1 {LEAST_WIDTH}px;min-width:0;height:{HEIGHT}px;'
            'border:1px solid var(--jp-border-color2,#d5dae1)"></iframe>'
            for name, url in self.urls.items()
        )
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{frames}</div>'


def two_pages(server: Server, *names: str) -> TwoPages:
    """Show a board's page for two people at once.

    Args:
        server: it serves the board, with ``page=PAGE``.
        names: what they are called; "ana" and "ben" by default.
    """
    return TwoPages(server, names or ("ana", "ben"))

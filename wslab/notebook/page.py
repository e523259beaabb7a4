"""What the notebook's page has told: under which address it is looked at, and what answers it.

Its rule: only a page knows either, so until one has told, nobody guesses here. What is kept is
bounded, and any thread may tell or ask.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from .origins import checked_base_url, is_origin, is_webview

__all__ = ["note_page_origin", "note_routes", "noted_origins", "noted_page", "seen_by_page"]

_MAX_NOTED = 32  # a person looks from a few addresses; a loop that notes more must not grow this

_noted: dict[str, str] = {}  # origin -> base URL, the page seen last at the end
_tried: dict[str, str] = {}  # a route's kind -> what that page got in place of an answer, or ""
_noted_lock = threading.Lock()
_noted_lock = threading.Lock()


def note_page_origin(origin: str, base_url: str = "/") -> None:
    """Remember the address under which a notebook's page is being looked at.

    Called with what a widget read in the page: `location.origin` and Jupyter's base URL. The
    origin may connect to servers of ours from then on; a VS Code webview's may, too. The page
    noted last decides about URLs. Thread-safe; the oldest of more than 32 is forgotten.

    Args:
        origin: such as `https://hub.example.org` or `http://localhost:8888`.
        base_url: such as `/user/demo-abc/`.

    Raises:
        ValueError: one of the two is not what a page would send.
    """
    if not isinstance(origin, str) or not (is_origin(origin) or is_webview(origin)):
        raise ValueError(
            f"expected a page's location.origin, such as 'http://localhost:8888', got {origin!r}"
        )
    base_url = checked_base_url(base_url)
    with _noted_lock:
        if (origin, base_url) != next(reversed(_noted.items()), None):
            _tried.clear()  # another page may be somewhere else
        _noted.pop(origin, None)
        _noted[origin] = base_url
        while len(_noted) > _MAX_NOTED:
            del _noted[next(iter(_noted))]


def note_routes(seen: Mapping[str, str]) -> None:
    """Remember which routes to a server here the notebook's page has tried, and how that went.

    From then on `routes_to` and `browser_url` leave out what does not answer it. What is not named
    stays as it was; a page of another address begins anew. Thread-safe.

    Args:
        seen: by a route's kind, what came in place of an answer; "" where one came.
    """
    with _noted_lock:
        _tried.update({kind: seen[kind] for kind in ("direct", "tunnel", "proxy") if kind in seen})


def seen_by_page(kind: str) -> str | None:
    """Return what the notebook's page got by this route in place of an answer; "": one came.

    None where no page has tried it.
    """
    return _tried.get(kind)


def noted_origins() -> frozenset[str]:
    """Return the origins of all the pages that have told theirs."""
    with _noted_lock:
        return frozenset(_noted)


def noted_page() -> tuple[str, str] | None:
    """Return origin and base URL of the page noted last that is no VS Code webview."""
    with _noted_lock:
        pages = [page for page in _noted.items() if is_origin(page[0])]
    return pages[-1] if pages else None

"""What Servers and Clients look like: `views` says what there is to see, `plain` draws it as text
and HTML, `panels` as live widgets, and `live` keeps the widgets up to date.

None of them is imported here: a widget is loaded when something is shown first.
"""

import html
import re
from pathlib import Path

__all__ = ["read_static", "with_code"]


def read_static(*names: str) -> str:
    """Return files of static/ as one: what a widget is, as a module or as a style sheet."""
    folder = Path(__file__).parent / "static"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def with_code(text: str) -> str:
    """Return text as HTML, with what stands between backticks in a page's face for code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))

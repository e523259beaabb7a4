"""What Servers and Clients look like: a package for each view, its script and style beside it.
In each, `model` says what there is to see, `static_html` draws it as text and HTML, and the file of
the view's own name is the live widget, which `live` keeps up to date.

None of them is imported here: a widget is loaded when something is shown first.
"""

import html
import re
from pathlib import Path

__all__ = ["read_static", "with_code"]


def read_static(*names: str) -> str:
    """Return files below wslab/ as one: what a widget is, as a module or as a style sheet."""
    folder = Path(__file__).parent.parent
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def with_code(text: str) -> str:
    """Return text as HTML, with what stands between backticks in a page's face for code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))

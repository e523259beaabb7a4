"""What a view is made of besides Python: its scripts and style sheets, read from beside its .py.

Its rule: no bundler. The files of a view are joined in order into one module, with one scope: what
one of them declares, those after it may use, and no two declare the same name.
"""

from __future__ import annotations

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

"""Widget: what every view of ours is in a page, and what it is where no script runs.

Its rules: no bundler, so the files of a view (beside its .py) are joined in order into one module
with one scope, and no two declare the same name; and GitHub, nbconvert, a terminal and a notebook
opened later get the same as text and HTML.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import anywidget

from ..notebook.kernel_parent import keep_parent

__all__ = ["Widget", "read_static", "with_code"]


class Widget(anywidget.AnyWidget):
    """A widget that also shows itself as text and as HTML that needs no script."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        keep_parent()  # from now on a page may speak at any moment
        super().__init__(*args, **kwargs)

    def forms(self) -> dict[str, str]:
        """Return it as ``text/plain`` and ``text/html``, as it is at this moment."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, **self.forms()}, metadata

    def __str__(self) -> str:
        return self.forms()["text/plain"]

    __repr__ = __str__


def read_static(*names: str) -> str:
    """Return files below wslab/ as one: what a widget is, as a module or as a style sheet."""
    folder = Path(__file__).parent.parent
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def with_code(text: str) -> str:
    """Return text as HTML, with what stands between backticks in a page's face for code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))

"""Widget: what every view of ours is in a page, and what it is where no script runs.

Its rule: GitHub, nbconvert, a terminal and a notebook opened later get the same as text and HTML.
"""

from __future__ import annotations

from typing import Any

import anywidget

__all__ = ["Widget"]


class Widget(anywidget.AnyWidget):
    """A widget that also shows itself as text and as HTML that needs no script."""

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

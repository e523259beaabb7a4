"""SecondsSlider: a slider for how long something takes, which the next cell reads.

Its rule: from the browser comes a custom message, since a slider that syncs its own trait jams for
good where it is moved first while a cell awaits. What comes is rounded to the slider's step and
held to its ends.
"""

from __future__ import annotations

import html
import math
from typing import Any

import traitlets

from ..widget import Widget, read_static

__all__ = ["SecondsSlider"]

STEP_S = 0.5
_MAX_LABEL = 100


class SecondsSlider(Widget):
    """Let the learner set a duration.

    Args:
        label: what takes so long, such as ``time.sleep``.
        value_s: where it stands at first, in seconds.
        min_s, max_s: its ends, in seconds.

    Raises:
        ValueError: the ends are no range of at least one step, or ``value_s`` is not within them.
    """

    _esm = read_static("widgets/dom.js", "widgets/seconds/slider.js")
    _css = read_static("widgets/theme.css", "widgets/seconds/slider.css")

    # Kernel to browser only.
    label = traitlets.Unicode().tag(sync=True)
    at_s = traitlets.Float().tag(sync=True)
    min_s = traitlets.Float().tag(sync=True)
    max_s = traitlets.Float().tag(sync=True)
    step_s = traitlets.Float(STEP_S).tag(sync=True)

    def __init__(
        self, label: str, value_s: float = 2.0, *, min_s: float = 0.5, max_s: float = 4.0
    ) -> None:
        if not (min_s >= 0 and min_s + STEP_S <= max_s < math.inf):
            raise ValueError(
                f"expected min_s and max_s at least {STEP_S:g} s apart, got {min_s} and {max_s}"
            )
        if not min_s <= value_s <= max_s:
            raise ValueError(f"expected value_s from {min_s:g} to {max_s:g}, got {value_s}")
        super().__init__(label=label[:_MAX_LABEL], at_s=value_s, min_s=min_s, max_s=max_s)
        self.on_msg(self._take)

    @property
    def value_s(self) -> float:
        """Where it stands, in seconds."""
        return float(self.at_s)

    @value_s.setter
    def value_s(self, value_s: float) -> None:
        steps = round((value_s - self.min_s) / STEP_S)
        self.at_s = min(max(self.min_s + steps * STEP_S, self.min_s), self.max_s)

    def _take(self, _widget: Any, content: Any, _buffers: Any) -> None:
        value_s = content.get("value_s") if isinstance(content, dict) else None
        if not isinstance(value_s, int | float) or isinstance(value_s, bool):
            return
        if abs(value_s) < math.inf:  # which NaN is not, and neither is beyond what a float can be
            self.value_s = min(max(value_s, self.min_s), self.max_s)

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        said = f"{self.label}: {self.at_s:g} s, from {self.min_s:g} to {self.max_s:g} s"
        static = f"<p>{html.escape(said)}. To move it, run this cell again.</p>"
        return {"text/plain": said, "text/html": static}

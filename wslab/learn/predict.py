"""predict(): commit to an answer before the run, and see it beside what the wire said.

Its rule: it never blocks and never judges: a wrong prediction is worth as much as a right one, and
an unanswered one says "not answered". The answer stays in the widget that asked.
"""

from __future__ import annotations

import html
import pathlib
from collections.abc import Sequence
from typing import Any, Self

import anywidget
import traitlets

__all__ = ["Prediction", "predict"]

_STATIC = pathlib.Path(__file__).parent.parent / "widgets" / "static"
_MAX_CHARACTERS = 200


class Prediction(anywidget.AnyWidget):
    """A question with a place for the learner's answer; made by :func:`predict`."""

    _esm = _STATIC / "predict.js"
    _css = (_STATIC / "theme.css").read_text("utf-8") + (_STATIC / "predict.css").read_text("utf-8")

    # All of these go to the browser only: trait sync the other way jams while a cell awaits.
    question = traitlets.Unicode().tag(sync=True)
    options: Any = traitlets.List().tag(sync=True)
    answer = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    actual = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    because = traitlets.Unicode("").tag(sync=True)

    def __init__(self, question: str, options: Sequence[Any] = ()) -> None:
        super().__init__(question=question, options=[str(option) for option in options])
        self.on_msg(self._take)

    def _take(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # The message waited for the running cell to end, which may be the one that compared. The
        # page takes no answer once it has shown the outcome, so this one was given before.
        answer = content.get("answer") if isinstance(content, dict) else None
        if self.answer is None and isinstance(answer, str) and answer.strip():
            self.answer = answer.strip()[:_MAX_CHARACTERS]

    def compare(self, actual: Any, because: str = "") -> Self:
        """Put what really happened beside the answer, in the widget that asked.

        Args:
            actual: what the wire said; compared as text.
            because: why, in a sentence or two, also for who predicted something else.

        Returns:
            The widget itself: as a cell's last line it shows the same once more, where you look.
        """
        self.because = because
        self.actual = str(actual)
        return self

    @property
    def was_right(self) -> bool | None:
        """Whether answer and outcome are the same text; None while either is missing."""
        if self.answer is None or self.actual is None:
            return None
        return _plain(self.answer) == _plain(self.actual)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("you said", "not answered" if self.answer is None else self.answer)]
        if self.actual is not None:
            rows.append(("the wire says", self.actual))
            if self.because:
                rows.append(("because", self.because))
        return rows

    def __str__(self) -> str:
        lines = [self.question]
        if self.answer is None and self.actual is None:
            lines += [f"  ( ) {option}" for option in self.options]
        lines += [f"  {label:<14} {text}" for label, text in self._rows()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        # For where the widget does not reach: GitHub, nbconvert, a notebook opened later.
        rows = "<br>".join(f"{label}: {html.escape(text)}" for label, text in self._rows())
        static = f"<p><b>{html.escape(self.question)}</b><br>{rows}</p>"
        return {**data, "text/plain": str(self), "text/html": static}, meta


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def predict(question: str, options: Sequence[Any] = ()) -> Prediction:
    """Ask for a prediction before the run.

    Args:
        question: what will happen?
        options: the possible answers; without any the learner types one.

    Returns:
        The widget. Show it as the cell's last line; after the run call its ``compare(actual)``.
    """
    return Prediction(question, options)

"""predict(): commit to an answer before the run, and see it beside what the wire said.

Its rule: it never blocks and never judges: a wrong prediction is worth as much as a right one, and
an unanswered one says "not answered". The answer stays in the widget that asked, and is there again
when the same cell asks the same question again: until the kernel restarts, nothing is lost by
running a cell twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import traitlets

from ..notebook import owners
from ..widgets.widget import Widget, read_static, with_code

__all__ = ["Prediction", "predict"]

_MAX_CHARACTERS = 200
RIGHT, WRONG = "\N{CHECK MARK} right", "\N{BALLOT X} wrong"  # a sign and a word; as predict.js
_BUTTON = "That is my prediction"  # as predict.js writes it


@dataclass(slots=True)
class _Asked:
    """What is known of one question, however often its cell has asked it."""

    chosen: str | None = None
    answer: str | None = None
    is_known: bool = False  # the outcome
    latest: Prediction | None = None


_Key = tuple[tuple[str, str] | None, str, tuple[str, ...]]
_asked: dict[_Key, _Asked] = {}


class Prediction(Widget):
    """A question with a place for the learner's answer; made by :func:`predict`."""

    _esm = read_static("widgets/dom.js", "learn/predict.js")
    _css = read_static("widgets/theme.css", "learn/predict.css")

    # All of these go to the browser only: trait sync the other way jams while a cell awaits.
    question = traitlets.Unicode().tag(sync=True)
    options: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode(None, allow_none=True).tag(sync=True)  # and perhaps not committed to
    answer = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    is_final = traitlets.Bool(False).tag(sync=True)  # answered, and the outcome has been shown
    actual = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    because = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, question: str, options: Sequence[Any] = (), *, _asked: _Asked | None = None
    ) -> None:
        self._asked = _asked or _Asked()
        super().__init__(
            question=question,
            options=[str(option) for option in options],
            chosen=self._asked.chosen,
            answer=self._asked.answer,
            is_final=self._asked.is_known and self._asked.answer is not None,
        )
        self._asked.latest = self
        # What the page said meanwhile, heard on a subshell's thread, went to the one before.
        for name in ("chosen", "answer"):
            if getattr(self._asked, name) != getattr(self, name):
                setattr(self, name, getattr(self._asked, name))
        self.on_msg(self._take)

    def _take(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # The message waited for the running cell to end, which may be the one that compared, or
        # that asked again. The page takes no answer once it has shown the outcome, so what comes
        # was said before; and the latest word stands, for a mind may change until then.
        if not isinstance(content, dict):
            return
        for name in ("chosen", "answer"):
            text = content.get(name)
            if isinstance(text, str) and text.strip():
                said = text.strip()[:_MAX_CHARACTERS]
                setattr(self._asked, name, said)  # first: one that is being made looks here last
                for prediction in (self, self._asked.latest):
                    setattr(prediction, name, said)

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
        self._asked.is_known = True
        return self

    @property
    def was_right(self) -> bool | None:
        """Whether answer and outcome are the same text; None while either is missing."""
        if self.answer is None or self.actual is None:
            return None
        return _plain(self.answer) == _plain(self.actual)

    def _rows(self) -> list[tuple[str, str]]:
        if self.answer is not None:
            rows = [("you said", self.answer)]
        elif self.chosen is not None:
            rows = [("you chose", f'{self.chosen}, but did not press "{_BUTTON}"')]
        else:
            rows = [("you said", "not answered")]
        if self.actual is not None:
            rows.append(("the wire says", self.actual))
            verdict = {True: RIGHT, False: WRONG, None: "because"}[self.was_right]
            if self.because or self.was_right is not None:
                rows.append((verdict, self.because))
        return rows

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        lines = [self.question]
        if self.answer is None and self.actual is None:
            lines += [f"  ( ) {option}" for option in self.options]
        lines += [f"  {label:<14} {text}".rstrip() for label, text in self._rows()]
        rows = "<br>".join(f"{label}: {with_code(text)}" for label, text in self._rows())
        static = f"<p><b>{with_code(self.question)}</b><br>{rows}</p>"
        return {"text/plain": "\n".join(lines), "text/html": static}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def predict(question: str, options: Sequence[Any] = ()) -> Prediction:
    """Ask for a prediction before the run.

    A cell that runs again and asks the same question, with the same options, gets the answer that
    was given already. Until its outcome has been shown, the learner may change it. Outside of
    cells the question's text alone tells what is the same.

    Args:
        question: what will happen?
        options: the possible answers; without any the learner types one.

    Returns:
        The widget. Show it as the cell's last line; after the run call its ``compare(actual)``.
    """
    owner = owners.current_owner()
    key = (owner.key if owner else None, question, tuple(str(option) for option in options))
    return Prediction(question, options, _asked=_asked.setdefault(key, _Asked()))

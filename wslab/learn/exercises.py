"""Exercises: what a check is, what it says, and the hints on the way to a solution.

A lesson's checks stand in ``lessons/lesson_NN.py``, each a function under :func:`exercise` that
raises :class:`Miss` with what was expected and what was seen. Its rule: a check never raises at the
learner and never hangs: whatever the learner's code does becomes a verdict, within a bound
(``testbench`` has the means).
"""

from __future__ import annotations

import html
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..failures import in_words, users_traceback
from ..widgets.widget import with_code

__all__ = ["Exercise", "Hints", "Miss", "NotYet", "Verdict", "check", "exercise", "hint"]

_NOT_YET = (
    "Write the exercise's cell (take `raise NotYet` out, or put your code in place of `...`) and "
    "run it. Then run this one."
)


class NotYet(NotImplementedError):
    """Raised by an exercise's untouched stub: ``raise NotYet``."""


class Miss(Exception):
    """What a check found wrong: a finding, raised so that the check ends there.

    Args:
        expected: what should have been on the wire.
        seen: what was there instead: which frame, at what time.
        hint: one sentence on where to look.
        details: the traceback of what the learner's code raised, where no cause has it.
    """

    def __init__(self, expected: str, seen: str, hint: str = "", details: str = "") -> None:
        super().__init__(expected, seen, hint)
        self.details = details
        self.expected = expected
        self.seen = seen
        self.hint = hint

    def __str__(self) -> str:
        return f"expected {self.expected}; seen: {self.seen}"


@dataclass(frozen=True)
class Exercise:
    """One exercise: its check, and two hints before the solution's place."""

    name: str
    run: Callable[..., str | None]
    hints: tuple[str, str]
    solution: str


@dataclass(frozen=True)
class Verdict:
    """What a check found. ``passed`` is None where nothing has been written yet.

    It is true only when passed, and shows itself as text and as HTML.
    """

    name: str
    passed: bool | None
    took_s: float
    expected: str = ""
    seen: str = ""
    hint: str = ""
    details: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return self.passed is True

    @property
    def word(self) -> str:
        """The outcome: "passed", "not right yet" or "not yet"."""
        return {True: "passed", False: "not right yet", None: "not yet"}[self.passed]

    def _rows(self) -> dict[str, str]:
        if self.passed is None:
            return {"next": _NOT_YET}
        rows = {"expected": self.expected, "seen": self.seen, "hint": self.hint}
        return {label: text for label, text in rows.items() if text}

    def __str__(self) -> str:
        took = f" in {self.took_s:.2f} s" if self.passed else ""
        lines = [f"{self.name}: {self.word}{took}"]
        lines += [f"  {label:<9} {text}" for label, text in self._rows().items()]
        if self.details:
            lines.append("\n" + self.details.rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Told by sign and word; the colour of the line only helps.
        sign, colour = {
            True: ("\N{CHECK MARK}", "var(--jp-success-color1,#2e7d32)"),
            False: ("\N{MULTIPLICATION X}", "var(--jp-error-color1,#c62828)"),
            None: ("\N{WHITE CIRCLE}", "var(--jp-border-color0,#9e9e9e)"),
        }[self.passed]
        took = f" in {self.took_s:.2f} s" if self.passed else ""
        soft = "color:var(--jp-ui-font-color2,#616161)"
        rows = "".join(
            f'<div style="display:flex;gap:12px"><span style="flex:none;width:4.6em;{soft}">'
            f'{html.escape(label)}</span><span style="min-width:0;overflow-wrap:anywhere">'
            f"{with_code(text)}</span></div>"
            for label, text in self._rows().items()
        )
        details = (
            f'<details style="margin-top:4px"><summary style="cursor:pointer">what your code raised'
            f'</summary><pre style="margin:4px 0;white-space:pre-wrap">{html.escape(self.details)}'
            "</pre></details>"
            if self.details
            else ""
        )
        return (
            f'<div role="status" style="{_BOX};border-left-color:{colour}">'
            f'<div><span aria-hidden="true">{sign}</span> {html.escape(self.name)}: '
            f"<b>{self.word}</b>{took}</div>{rows}{details}</div>"
        )


_BOX = (
    "max-width:760px;padding:2px 0 4px 14px;border-left:3px solid var(--jp-brand-color1,#1976d2);"
    "color:var(--jp-ui-font-color1,inherit);"
    "font:var(--jp-ui-font-size1,13px)/1.5 var(--jp-ui-font-family,system-ui,sans-serif)"
)


@dataclass(frozen=True)
class Hints:
    """An exercise's hints, each behind a fold; as text, those up to the one asked for."""

    name: str
    texts: tuple[str, ...]
    open_to: int = 0

    def __repr__(self) -> str:
        labels = self._labels()
        lines = [f"{labels[i]}: {self.texts[i]}" for i in range(self.open_to)]
        if self.open_to < len(self.texts):
            lines.append(
                f"{labels[self.open_to]} is folded: "
                f"hint({self.name!r}, {self.open_to + 1}) opens it"
            )
        return "\n".join(lines)

    def _labels(self) -> list[str]:
        last = len(self.texts) - 1
        return [*(f"hint {i + 1} of {last}" for i in range(last)), "the solution"]

    def _repr_html_(self) -> str:
        folds = "".join(
            f'<details{" open" if i < self.open_to else ""}><summary style="cursor:pointer">'
            f'{label}</summary><div style="padding:0 0 4px 16px">'
            f"{with_code(text).replace(chr(10), '<br>')}</div></details>"
            for i, (label, text) in enumerate(zip(self._labels(), self.texts, strict=True))
        )
        return f'<div style="{_BOX}">{folds}</div>'


_exercises: dict[str, Exercise] = {}


def exercise(
    name: str, *, hints: tuple[str, str], solution: str
) -> Callable[[Callable[..., str | None]], Callable[..., str | None]]:
    """Register a check under ``name``, as a decorator.

    The function is called with what the learner wrote. It raises Miss where that is not right, and
    may return in a sentence what it saw where it is.

    Args:
        name: such as "00 greeting"; its first two characters are the lesson's number.
        hints: two, the second more telling than the first.
        solution: the file that holds it, from the notebooks' folder.
    """

    def register(run: Callable[..., str | None]) -> Callable[..., str | None]:
        _exercises[name] = Exercise(name, run, hints, solution)
        return run

    return register


def check(name: str, *things: Any) -> Verdict:
    """Check an exercise on the wire, with random data; show that it passed, or what is wrong.

    Args:
        name: the exercise's.
        things: what the learner wrote: a handler, a function.

    Raises:
        KeyError: there is no such exercise.
    """
    found = _find(name)
    began = time.perf_counter()

    def verdict(passed: bool | None, **more: str) -> Verdict:
        return Verdict(name, passed, time.perf_counter() - began, **more)

    if not things or any(thing is None or thing is ... for thing in things):
        return verdict(None)
    try:
        seen = found.run(*things)
    except NotImplementedError:
        return verdict(None)
    except Miss as miss:
        if isinstance(miss.__cause__, NotImplementedError):
            return verdict(None)
        details = users_traceback(miss.__cause__) if miss.__cause__ else miss.details
        return verdict(
            False, expected=miss.expected, seen=miss.seen, hint=miss.hint, details=details
        )
    except Exception as exc:
        return verdict(
            False,
            expected="your code to run to its end",
            seen=in_words(exc),
            details=users_traceback(exc),
        )
    return verdict(True, seen=seen or "")


def hint(name: str, number: int = 0) -> Hints:
    """Show an exercise's two hints and where its solution is, each behind a fold.

    Args:
        name: the exercise's.
        number: how many of them to show open.

    Raises:
        KeyError: there is no such exercise.
    """
    found = _find(name)
    where = f"It is in {found.solution}. Read it, close it, then write your own."
    texts = (*found.hints, where)
    return Hints(name, texts, max(0, min(number, len(texts))))


def _find(name: str) -> Exercise:
    if name not in _exercises and name[:2].isdigit():
        try:
            importlib.import_module(f".lessons.lesson_{name[:2]}", __package__)
        except ModuleNotFoundError as exc:
            if exc.name != f"{__package__}.lessons.lesson_{name[:2]}":
                raise
    if name not in _exercises:
        known = ", ".join(repr(one) for one in sorted(_exercises)) or "none yet"
        raise KeyError(f"expected the name of an exercise, got {name!r}; known here: {known}")
    return _exercises[name]

"""The lessons of a course's folder: what each asks, how long it takes, and what it needs.

Read from the notebooks themselves, so that a lesson that is added is listed. Its rule: what is no
lesson (a copy, a notebook of the user's) is left out, and never an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Lesson", "as_text", "lessons"]

_NAME = re.compile(r"(\d\d)_\w+\.ipynb")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_MINUTES = re.compile(r"^About (\d+) minutes\.", re.MULTILINE)
_BEFORE = re.compile(r"\bBefore it: ([^.]+)\.")
MAX_FILE_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        file: the notebook's name, such as "00_start_here.ipynb".
        title: the question that it answers.
        minutes: how long it takes, about.
        before: the lessons to take before it, such as "lessons 00 to 08"; "" for none.
        needs: what else it needs, beside Python and a browser; "" for nothing.
    """

    file: str
    title: str
    minutes: int
    before: str = ""
    needs: str = ""

    @property
    def number(self) -> str:
        """Its number, two digits."""
        return self.file[:2]

    @property
    def all_needs(self) -> str:
        """What has to be there or done before it, in words."""
        return "; ".join(filter(None, (self.before, self.needs))) or "nothing"


def lessons(folder: Path) -> list[Lesson]:
    """Return the lessons of a folder, in order.

    Args:
        folder: with the notebooks.
    """
    found = (_read(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")))
    return [lesson for lesson in found if lesson is not None]


def _read(path: Path) -> Lesson | None:
    if _NAME.fullmatch(path.name) is None:
        return None
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        first = document["cells"][0]["source"]
        text = first if isinstance(first, str) else "".join(first)
        needs = document["metadata"].get("wslab", {}).get("needs", "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    title, minutes = _TITLE.search(text), _MINUTES.search(text)
    if title is None or minutes is None:
        return None
    before = _BEFORE.search(text)
    return Lesson(
        path.name, title[1].strip(), int(minutes[1]), before[1] if before else "", str(needs)
    )


def as_text(lessons: Iterable[Lesson]) -> str:
    """Return a line a lesson, and below it what it needs."""
    lines = []
    for one in lessons:
        lines.append(f"{one.number}  {one.title}")
        lines.append(f"    {one.minutes} minutes; needs {one.all_needs}")
    return "\n".join(lines)

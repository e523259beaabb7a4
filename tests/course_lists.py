"""The lists of all lessons, in the README and in lesson 00, and each lesson's link to the next.

They are made from the notebooks: `python -m tests.course_lists` writes them anew. Its rule: what it
writes is what `tests/test_course_lists.py` expects, so that no list differs from the lessons.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from wslab.cli.lessons import Lesson, lessons

PROJECT = Path(__file__).resolve().parent.parent
COURSE = PROJECT / "notebooks"
COUNT = 17
HEAD = "| | question | minutes | needs |\n| --- | --- | --- | --- |\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n?)*")
NEXT = re.compile(r"\*\*Next:\*\* \[?lesson \d\d, \[?\*[^*]+\*\]?(?:\(\w+\.ipynb\))?\.?(?=\s|$)")


def table(folder: str) -> str:
    """Return the list as a table, with links from a place where the lessons are in ``folder``."""
    return HEAD + "".join(_row(one, folder) for one in lessons(COURSE))


def _row(one: Lesson, folder: str) -> str:
    question = f"[{one.title}]({folder}{one.file})"
    return f"| {one.number} | {question} | {one.minutes} | {one.all_needs} |\n"


def next_link(lesson: Lesson) -> str:
    """Return how a lesson's last text leads on; "" for the last lesson."""
    later = [one for one in lessons(COURSE) if one.file > lesson.file]
    if not later:
        return ""
    return f"**Next:** [lesson {later[0].number}, *{later[0].title}*]({later[0].file})"


def linked(text: str, link: str) -> str:
    """Return a cell's text with this link to the next lesson, or "", and with no other."""
    there = NEXT.search(text)
    if link and there:
        return text.replace(there[0], link)
    if there:
        before, after = text[: there.start()].rstrip(), text[there.end() :].strip()
        return "\n\n".join(filter(None, (before, after)))
    return f"{text}\n\n{link}" if link else text


def last_text(document: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook's last cell of text."""
    texts = [cell for cell in document["cells"] if cell["cell_type"] == "markdown"]
    return texts[-1]


def source(cell: dict[str, Any]) -> str:
    """Return a cell's text."""
    return "".join(cell["source"])


def write() -> None:
    """Write the lists and the links anew."""
    readme = PROJECT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(TABLE.sub(lambda _: table("notebooks/"), text), encoding="utf-8")
    for lesson in lessons(COURSE):
        path = COURSE / lesson.file
        document = json.loads(path.read_text(encoding="utf-8"))
        for cell in document["cells"]:
            text = TABLE.sub(lambda _: table(""), source(cell) + "\n").removesuffix("\n")
            if cell["cell_type"] == "markdown":
                text = linked(text, next_link(lesson) if cell is last_text(document) else "")
            cell["source"] = text.splitlines(keepends=True)
        said = json.dumps(document, indent=1, ensure_ascii=False)
        path.write_text(f"{said}\n", encoding="utf-8")


if __name__ == "__main__":
    write()

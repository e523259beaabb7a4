"""The course as a whole: 17 lessons, listed in the README and in lesson 00, each linking the next.

What is wrong here is put right by `python -m tests.course_lists`.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.course_lists import (
    COUNT,
    COURSE,
    HEAD,
    PROJECT,
    last_text,
    linked,
    next_link,
    source,
    table,
)
from tests.learn import rig
from wslab.cli.lessons import lessons

LESSONS = pytest.mark.parametrize("lesson", lessons(COURSE), ids=lambda one: one.file[:-6])
HOW = "run `python -m tests.course_lists`"


def document(file: str) -> dict:
    return json.loads((COURSE / file).read_text(encoding="utf-8"))


def test_there_are_all_lessons():
    assert [one.number for one in lessons(COURSE)] == [f"{nth:02}" for nth in range(COUNT)]


def test_every_lesson_that_is_there_is_read():
    assert [one.file for one in lessons(COURSE)] == [
        path.name for path in sorted(COURSE.glob("[0-9][0-9]_*.ipynb"))
    ]


def test_the_readme_lists_them():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert table("notebooks/") in text, HOW
    assert text.count(HEAD) == 1


def test_the_first_lesson_lists_them_and_says_so_at_its_beginning():
    cells = document("00_start_here.ipynb")["cells"]
    (listing,) = (source(cell) for cell in cells if HEAD in source(cell))
    assert table("") in listing + "\n", HOW
    heading = re.search(r"^#+ (.+)$", listing, re.MULTILINE)
    assert heading is not None
    assert f"](#{heading[1].replace(' ', '-')})" in source(cells[0])


@LESSONS
def test_the_last_text_of_a_lesson_links_the_next(lesson):
    text = source(last_text(document(lesson.file)))
    link = next_link(lesson)
    if not link:
        assert "](00_start_here.ipynb)" in text
        return
    assert link in text, HOW
    whole = "\n".join(source(cell) for cell in document(lesson.file)["cells"])
    assert whole.count("**Next:**") == 1


@LESSONS
def test_a_lesson_says_how_long_it_takes_and_keeps_to_it(lesson):
    assert lesson.minutes <= 30
    # What the estimate says, and a little of grace: the words say "about".
    assert rig.minutes(lesson.file.removesuffix(".ipynb")) <= lesson.minutes + 5


@LESSONS
def test_what_a_lesson_needs_before_it_is_there(lesson):
    numbers = [int(each) for each in re.findall(r"\d+", lesson.before)]
    assert all(number < int(lesson.number) for number in numbers)
    assert bool(numbers) == (lesson.number != "00")


@pytest.mark.parametrize(
    "there",
    [
        "**Next:** lesson 02, *What?*",
        "**Next:** [lesson 02, *What?*](02_what.ipynb)",
        "**Next:** lesson 02, [*What?*](02_what.ipynb).",
    ],
)
def test_a_link_is_put_in_the_place_of_an_earlier_one_and_taken_out_elsewhere(there):
    text = f"Before.\n\n{there} After."
    assert linked(text, "**Next:** new") == "Before.\n\n**Next:** new After."
    assert linked(text, "") == "Before.\n\nAfter."
    assert linked("Alone.", "**Next:** new") == "Alone.\n\n**Next:** new"
    assert linked("Alone.", "") == "Alone."

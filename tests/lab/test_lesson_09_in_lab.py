"""Lesson 09 as a learner does it, in a real page: predicts, lets the page race the five ways, and
solves the exercise; then in a narrow page. test_race_in_lab.py tunes a race by hand.

WSLAB_SCREENSHOTS=folder keeps pictures of the cells of interest, in both themes and two widths.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "09_polling_sse_websocket.ipynb"
SOLUTION = COURSE / "solutions" / "09_polling_sse_websocket.py"
OF_INTEREST = (
    "setup", "ways", "race-predict", "race", "race-compare", "bytes", "cache-compare", "between",
    "again", "exercise-cases", "exercise-check", "transfer-run",
)  # fmt: skip


def learners_part() -> str:
    """Return the solution's function, as a learner would type it."""
    source = SOLUTION.read_text()
    return source[source.index("def pick") : source.index("if __name__")].rstrip()


def test_a_learner_works_through_it(lab: Lab):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("race-predict")
        asked = lesson.cell("race-predict").locator(".ws-predict").first
        asked.get_by_text("over 20,000", exact=True).click()
        asked.locator("button").click()
        lesson.run_to("race-compare")
        page.wait_until("first.ran_in == 'page' and not any(one.missed for one in first.ways)")
        assert lesson.outcomes("race-compare") == [
            "between 2,100 and 4,000", "less than twice its bytes", "they are much the same",
        ]  # fmt: skip
        assert "This panel stopped" not in lesson.cell("setup").inner_text()
        lesson.run_to("recall-compare")
        assert lesson.outcomes("recall-compare") == ["22", "1", "the header Upgrade"]

        lesson.ran |= {"slow", "far"}  # two races more, which test_course.py runs
        lesson.run_to("cache-compare")
        assert lesson.outcomes("cache-compare") == ["1"]
        lesson.run_to("fixed")
        assert "5 requests have reached the server" in lesson.text("fixed")

        lesson.run_to("exercise-check")
        assert "09 pick: not yet" in lesson.text("exercise-check")
        assert "not right yet" in lesson.answer(
            "exercise-pick", "def pick(case):\n    return 'WebSocket'"
        )
        assert "09 pick: passed" in lesson.answer("exercise-pick", learners_part())

        lesson.run_to("transfer-compare")
        assert lesson.outcomes("transfer-compare")[0] == "the two whose answers come to an end"
        take_pictures(lesson, OF_INTEREST, 1280, "09")
        page.resize(640)
        page.page.evaluate(WITHOUT_FILES)
        race = lesson.cell("race").locator(".ws-race")
        page.page.wait_for_function("() => document.querySelector('.ws-race').clientWidth < 560")
        assert race.evaluate("e => e.scrollWidth <= e.clientWidth"), "no bar"
        assert race.locator("table").bounding_box()["width"] <= race.bounding_box()["width"]
        assert cut_off(page.page) == []
        take_pictures(lesson, ("race", "ways", "between"), 640, "09")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert page.errors() == []
        assert complaints(page) == []

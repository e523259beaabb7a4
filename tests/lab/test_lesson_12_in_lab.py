"""Lesson 12 as a learner does it, in a real page: predicts, sees the page open its own socket on
the same port, and solves the exercise there.

WSLAB_SCREENSHOTS=folder keeps pictures of the cells of interest, in both themes and two widths.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "12_one_port.ipynb"
SOLUTION = COURSE / "solutions" / "12_one_port.py"
OF_INTEREST = (
    "both-predict", "by-hand", "both-compare", "by-hand-look", "port", "setup", "inner-run",
    "express", "exercise-check",
)  # fmt: skip


def learners_part() -> str:
    """Return the solution's application, as a learner would type it."""
    source = SOLUTION.read_text()
    source = source[source.index("from starlette") : source.index("if __name__")]
    return source.replace("import wslab\nfrom wslab.learn import check\n", "") + "\nmine = app"


def test_a_learner_works_through_it(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("both-predict")
        asked = lesson.cell("both-predict")
        asked.get_by_text("an error for the second: the port is in use", exact=True).click()
        asked.locator("button").click()
        lesson.run_to("both-compare")
        said = lesson.cell("both-predict").locator(".ws-outcome")
        expect(said).to_contain_text("a page for the one, and an open socket for the other")
        columns = lesson.cell("by-hand").locator("section")
        expect(columns).to_have_count(2)
        boxes = [columns.nth(nth).bounding_box() for nth in (0, 1)]
        assert boxes[0]["y"] == boxes[1]["y"], "the answers stand side by side"
        assert "200 OK" in columns.nth(0).inner_text()
        assert "101 Switching Protocols" in columns.nth(1).inner_text()

        lesson.run_to("setup")
        frame = lesson.cell("setup").frame_locator("iframe")
        expect(frame.locator("#said")).to_have_text("Its socket says: hello")
        assert frame.locator("html").evaluate("e => e.scrollHeight <= e.clientHeight"), "no bar"
        lesson.run_to("recall-compare")
        assert lesson.outcomes("recall-compare") == ["426", "1"]

        lesson.run_to("broken")
        assert "GET /chat with Upgrade: 403 Forbidden" in lesson.text("broken")
        lesson.run_to("fixed")
        assert "GET /chat with Upgrade: 101 Switching Protocols" in lesson.text("fixed")

        lesson.run_to("exercise-check")
        assert "12 one port: not yet" in lesson.text("exercise-check")
        assert "not right yet" in lesson.answer(
            "exercise-app", "mine = inner                   # the lesson's own bug"
        )
        assert "12 one port: passed" in lesson.answer("exercise-app", learners_part())

        lesson.run_to("proxy-compare")
        assert lesson.outcomes("proxy-compare") == [
            "an ordinary HTTP answer, and no socket",
            "a page for the one, and an open socket for the other",
            "200 for the page, and the socket is refused",
        ]
        take_pictures(lesson, OF_INTEREST, 1280, "12")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        expect(frame.locator("#said")).to_have_text("Its socket has closed, with code 1001.")
        assert page.errors() == []
        assert complaints(page) == []


def test_in_a_narrow_page_answers_stand_below_each_other_and_no_table_is_cut_off(lab: Lab):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 640, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("inner-run")
        columns = lesson.cell("by-hand").locator("section")
        boxes = [columns.nth(nth).bounding_box() for nth in (0, 1)]
        assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
        output = lesson.cell("by-hand").locator(".jp-OutputArea-output").last
        assert output.evaluate("e => e.scrollWidth <= e.clientWidth"), "no bar"
        page.page.evaluate(WITHOUT_FILES)
        assert cut_off(page.page) == []
        take_pictures(lesson, ("by-hand", "by-hand-look", "port", "setup", "express"), 640, "12")

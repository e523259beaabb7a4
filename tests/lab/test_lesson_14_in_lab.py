"""Lesson 14 as a learner does it, in a real page: a page of another origin reads the diary by a
socket and not by fetch, a console is refused, and the exercise is solved there.

WSLAB_SCREENSHOTS=folder keeps pictures of the cells of interest, in both themes and two widths.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "14_safety.ipynb"
SOLUTION = COURSE / "solutions" / "14_safety.py"
OF_INTEREST = (
    "setup", "cors-predict", "by-hand", "cors-compare", "origin", "console", "guarded", "plain",
    "secure", "host", "exercise", "exercise-check",
)  # fmt: skip
# What the browser itself says in the console, and the lesson speaks of.
SPOKEN_OF = ("blocked by CORS policy", "net::ERR_FAILED")


def learners_part() -> str:
    """Return the solution's function, as a learner would type it."""
    source = SOLUTION.read_text()
    return "import time\n\n" + source[source.index("def guarded") : source.index("if __name__")]


def test_a_learner_works_through_it(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("cors-predict")
        own = lesson.cell("setup").frame_locator("iframe")
        expect(own.locator("#said")).to_have_text("Its socket got: I have never read the manual.")
        asked = lesson.cell("cors-predict")
        asked.get_by_text("nothing, both times: CORS stops it", exact=True).click()
        asked.locator("button").click()

        lesson.run_to("by-hand")
        other = lesson.cell("by-hand").frame_locator("iframe")
        expect(other.locator("#origin")).to_have_text("null")
        assert complaints(page) == []
        other.locator("button").click()
        expect(other.locator("#socket")).to_have_text("got: I have never read the manual.")
        expect(other.locator("#fetch")).to_have_text("no text. TypeError: Failed to fetch")
        assert other.locator("html").evaluate("e => e.scrollHeight <= e.clientHeight"), "no bar"
        lesson.run_to("cors-compare")
        said = lesson.cell("cors-predict").locator(".ws-outcome")
        expect(said).to_contain_text("nothing by fetch, and the diary by the socket")

        lesson.run_to("console")
        assert lesson.text("console").count("403") == 2
        lesson.run_to("guarded")
        assert "expired: 401 Unauthorized" in lesson.text("guarded")
        lesson.run_to("expiry-compare")
        assert "closed: 4401" in lesson.text("expire")
        lesson.run_to("secure")
        assert "swordfish" in lesson.text("plain")
        assert "nothing that the router can read" in lesson.text("secure")
        lesson.run_to("host-fixed")
        assert "200 OK" in lesson.text("rebound")
        assert "DNS rebinding" in lesson.text("host-fixed")

        lesson.run_to("exercise-check")
        assert "14 guard: not yet" in lesson.text("exercise-check")
        assert "not right yet" in lesson.answer(
            "exercise-guarded", "def guarded(tokens):\n    return wslab.serve(diary, origins=None)"
        )
        assert "14 guard: passed" in lesson.answer("exercise-guarded", learners_part())
        lesson.run_to("cookie-compare")
        assert lesson.outcomes("cookie-compare") == [
            "101, and the page speaks as Ada",
            "nothing by fetch, and the diary by the socket",
            "the server says goodbye, with a code of its own",
            "200, and the diary",
        ]
        take_pictures(lesson, OF_INTEREST, 1280, "14")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert page.errors() == []
        assert [
            line for line in complaints(page) if not any(part in line for part in SPOKEN_OF)
        ] == []


def test_in_a_narrow_page_no_table_is_cut_off(lab: Lab):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 640, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("secure")
        for name in ("by-hand", "plain", "secure"):
            output = lesson.cell(name).locator(".jp-OutputArea-output").last
            assert output.evaluate("e => e.scrollWidth <= e.clientWidth"), "no bar"
        page.page.evaluate(WITHOUT_FILES)
        assert cut_off(page.page) == []
        shown = ("setup", "by-hand", "origin", "console", "plain", "secure", "host", "exercise")
        take_pictures(lesson, shown, 640, "14")

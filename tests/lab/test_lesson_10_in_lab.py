"""Lesson 10 as a learner does it, in a real page: predicts, cuts and joins cables by hand, sees
what each end knows, and solves the exercise there.

WSLAB_SCREENSHOTS=folder keeps pictures of the cells of interest, in both themes and two widths.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import Lesson, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "10_failure.ipynb"
SOLUTION = COURSE / "solutions" / "10_failure.py"
OF_INTEREST = (
    "title", "cable", "told-predict", "endings", "asking", "after-predict", "bob-learns", "crowd",
    "offset", "exercise-check", "tunnel-compare",
)  # fmt: skip


def learners_part() -> str:
    """Return the solution's coroutine, as a learner would type it."""
    source = SOLUTION.read_text()
    source = source[source.index("import asyncio") : source.index("if __name__")]
    return source.replace("import wslab\nfrom wslab.learn import check\n", "")


def test_a_learner_works_through_it(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("told-predict")
        asked = lesson.cell("told-predict")
        asked.get_by_text("both ends: TCP notices", exact=True).click()
        asked.locator("button").click()

        # By hand first, as the text invites to.
        cable = lesson.cell("cable")
        cable.get_by_role("button", name="Cut the cable of alice").click()
        expect(cable.get_by_role("button", name="Join the cable of alice")).to_be_visible()
        lesson.run_to("told-compare")
        said = lesson.cell("told-predict").locator(".ws-outcome")
        expect(said).to_contain_text("nobody")
        expect(cable).to_contain_text("20 B held")
        cable.get_by_role("button", name="Join the cable of alice").click()
        expect(cable).not_to_contain_text("held")
        lesson.run_to("join")
        assert "the server got: ['are you there?']" in lesson.text("join")

        lesson.run_to("after-compare")
        expect(lesson.cell("asking")).to_contain_text(
            "over (1006) for the server; bob has not heard of it"
        )
        lesson.run_to("bob-learns")
        assert "bob: CLOSED with 1011" in lesson.text("bob-learns")
        expect(lesson.cell("asking")).to_contain_text("bob closed with 1006")
        lesson.run_to("crowd-compare")
        assert lesson.cell("crowd").locator("svg[role=img]").count() == 2

        lesson.run_to("exercise-check")
        assert "10 follow: not yet" in lesson.text("exercise-check")
        assert "10 follow: passed" in lesson.answer("exercise-follow", learners_part())
        lesson.run_to("tunnel-compare")
        assert lesson.outcomes("tunnel-compare") == [
            "it is open, and the word comes late",
            "nobody",
            "after 1 to 3 seconds",
            "no: they come together again",
            "1, 4",
        ]
        take_pictures(lesson, OF_INTEREST, 1280, "10")
        page.resize(640)
        for name in ("cable", "asking", "crowd"):
            output = lesson.cell(name).locator(".jp-OutputArea-output").last
            assert output.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{name}: no bar"
        take_pictures(lesson, OF_INTEREST, 640, "10")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert page.errors() == []
        assert complaints(page) == []

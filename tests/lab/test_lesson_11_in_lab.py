"""Lesson 11 as a learner does it, in a real page: predicts, sees the tanks fill, solves the
exercises, and meets a page that is slow.

WSLAB_SCREENSHOTS=folder keeps pictures of the cells of interest, in both themes and two widths.
"""

from __future__ import annotations

import itertools
import re

import pytest

from tests.lab.harness import COURSE, Lab, keep_screenshots
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "11_pressure.ipynb"
SOLUTION = COURSE / "solutions" / "11_pressure.py"
OF_INTEREST = (
    "recall", "tanks", "race-why", "memory-compare", "slow-read", "bounded-run", "hub",
    "exercise-check", "bench", "claims", "transfer-compare", "exercise-ratio", "page",
)  # fmt: skip


def learners_part(first: str, end: str) -> str:
    """Return the part of the solution between two words, as a learner would type it."""
    source = SOLUTION.read_text()
    return source[source.index(first) : source.index(end)].replace("queues", "boxes")


def test_a_learner_works_through_it(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("tanks")
        rows = lesson.cell("tanks").locator(".ws-tank-row")
        expect(rows).to_have_count(2)
        lesson.run_to("memory-predict")
        asked = lesson.cell("memory-predict")
        asked.get_by_text("nothing: it has sent all of them", exact=True).click()
        asked.locator("button").click()
        lesson.run_to("memory-compare")
        expect(asked.locator(".ws-outcome")).to_contain_text("megabytes")
        # The tanks above have filled meanwhile: sam's, not fay's.
        sams = rows.nth(1).locator(".ws-tank")
        expect(sams).to_have_count(4)
        expect(sams.nth(1)).to_contain_text(re.compile(r"the server's library\d+\.\d MB"))
        expect(rows.nth(0).locator(".ws-tank").nth(1)).to_contain_text("the server's library0 B")
        heights = [
            sams.nth(nth).locator(".ws-fill").evaluate("e => e.getBoundingClientRect().height")
            for nth in (0, 1)
        ]
        assert heights[1] > 10 > heights[0]

        lesson.run_to("age-compare")
        assert lesson.outcomes("age-compare") == ["one that is older than these", "it waits"]
        lesson.run_to("hub")
        assert "drop-oldest  connected: 2, waiting: 8" in lesson.text("hub")

        lesson.run_to("exercise-check")
        assert "11 feed: not yet" in lesson.text("exercise-check")
        assert "not right yet" in lesson.answer(
            "exercise-feed", "feed, publish = naive, push  # the lesson's own bug"
        )
        part = learners_part("KEEP = 8", "def ratio")
        assert "11 feed: passed" in lesson.answer("exercise-feed", f"import asyncio\n\n{part}")

        lesson.run_to("transfer-compare")
        assert lesson.outcomes("transfer-compare")[0] == "3 GB"
        check = 'display(check("11 ratio", ratio), hint("11 ratio"))'
        part = learners_part("def ratio", "if __name__")
        lesson.replace("exercise-ratio", f"import zlib\n\n{part}\n{check}")
        lesson.run_to("exercise-ratio")
        assert "11 ratio: passed" in lesson.text("exercise-ratio")

        lesson.run_to("page")
        said = lesson.cell("page").frame_locator("iframe").locator("#said")
        expect(said).to_contain_text("came: 0 messages")
        lesson.run_to("page-run")
        expect(said).to_contain_text("came: 100 messages")
        expect(said).to_contain_text("bufferedAmount: 0.")
        expect(said).to_contain_text(re.compile("waiting in the page: [1-9]"))
        take_pictures(lesson, OF_INTEREST, 1280, "11")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert page.errors() == []
        assert complaints(page) == []


def test_in_a_narrow_page_tanks_lie_below_each_other_and_nothing_is_cut_off(lab: Lab):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 640, "height": 900}) as page:
        lesson = Lesson(page)
        page.page.evaluate(WITHOUT_FILES)
        lesson.run_to("bounded-run")
        tanks = lesson.cell("bounded-run").locator(".ws-tank-row").nth(1).locator(".ws-tank")
        boxes = [tanks.nth(nth).bounding_box() for nth in range(4)]
        assert all(a["y"] + a["height"] <= b["y"] for a, b in itertools.pairwise(boxes))
        if keep_screenshots():
            lesson.run_to("transfer-compare")
        for name in ("tanks", "bounded-run"):
            output = lesson.cell(name).locator(".jp-OutputArea-output").last
            assert output.evaluate("e => e.scrollWidth <= e.clientWidth"), f"no bar in {name}"
        assert cut_off(page.page) == []
        names = ("tanks", "race-why", "slow-read", "bounded-run", "bench", "claims")
        take_pictures(lesson, names, 640, "11")

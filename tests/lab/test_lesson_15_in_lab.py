"""Lesson 15 as a learner does it, in a real page, with real processes and a real Redis.

At home, and under a Hub's base URL. WSLAB_SCREENSHOTS=folder keeps pictures, in both themes and two
widths.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints
from tests.redis_server import need

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "15_many_machines.ipynb"
SOLUTION = COURSE / "solutions" / "15_many_machines.py"
OF_INTEREST = (
    "recall", "alone", "hears-compare", "redis-why", "redis", "away", "away-compare", "stream-why",
    "kept-run", "exercise", "exercise-check", "order-compare",
)  # fmt: skip


def learners_part() -> str:
    """Return the solution's function, as a learner would type it."""
    source = SOLUTION.read_text()
    return source[source.index("async def node") :].rstrip()


def test_a_learner_works_through_it(lab: Lab, expect):
    need()
    viewport = {"width": 1280, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport, alone=True) as notebook:
        notebook.page.evaluate(WITHOUT_FILES)
        lesson = Lesson(notebook)
        lesson.run_to("hears-predict")
        hears = lesson.cell("hears-predict")
        hears.get_by_text("ada, bob and carol", exact=True).click()
        hears.locator("button").click()
        lesson.run_to("hears-compare")
        assert lesson.outcomes("hears-compare") == ["ada and bob", "in the memory of its process"]
        expect(hears.locator(".ws-outcome")).to_contain_text("ada and bob")
        first = lesson.cell("alone").locator(".ws-machines")
        expect(
            first.locator(".ws-said-row").filter(has_text='ada: {"event":"chat"')
        ).not_to_have_count(0)

        lesson.run_to("redis")
        assert "['ada', 'bob', 'carol']" in lesson.text("redis")
        picture = lesson.cell("redis").locator(".ws-machines")
        rows = picture.locator(".ws-said-row")
        expect(rows.filter(has_text="PUBLISH chat hello = 2")).to_have_count(1)
        lesson.run_to("away-compare")
        assert lesson.outcomes("away-compare") == [
            "no, and PUBLISH answers 2", "perhaps: it can't know",
        ]  # fmt: skip
        assert "and carol ['hello', 'sun']" in lesson.text("away")
        expect(rows.filter(has_text="bytes lost")).to_have_count(1)
        lesson.run_to("kept-run")
        assert "while the line is cut, carol has []" in lesson.text("kept-run")
        assert "and carol ['rain', 'sun']" in lesson.text("kept-run")
        lesson.run_to("kill-compare")
        assert "['hello', 'wind'] and has come back: 1" in lesson.text("kill")
        assert lesson.outcomes("kill-compare") == ["yes", "what it has seen last"]
        whole = lesson.cell("whole-run").locator(".ws-machines")
        expect(whole.locator(".ws-said-row").filter(has_text="node one: killed")).to_have_count(1)
        said = whole.locator(".ws-said-row").filter(has_text="Say one message")
        expect(said).not_to_have_count(0)
        take_pictures(lesson, ("whole-run", "kill"), 1280, "15")
        lesson.run_to("ghost-compare")
        assert lesson.outcomes("ghost-compare") == ["for about 10 seconds"]

        lesson.run_to("exercise-check")
        assert "15 once: not yet" in lesson.text("exercise-check")
        assert "15 once: passed" in lesson.answer("exercise-node", learners_part())
        lesson.run_to("order-compare")
        assert lesson.outcomes("order-compare") == ["yes"]
        kept = lesson.cell("kept-run").locator(".ws-machines")
        kept.get_by_role("button", name="kill Redis").click()
        expect(kept.locator(".ws-lane").nth(2)).to_contain_text("killed (down)")
        kept.get_by_role("button", name="start Redis").click()
        expect(kept.locator(".ws-lane").nth(2)).to_contain_text("process")
        lesson.run_to("restart-compare")
        assert "while Redis was down: ['ada', 'bob']" in lesson.text("restart")
        assert lesson.outcomes("restart-compare") == ["yes, when Redis is back"]
        lesson.run_to("drain")
        assert "1012" in lesson.text("drain")
        take_pictures(lesson, OF_INTEREST, 1280, "15")
        notebook.resize(640)
        assert cut_off(notebook.page) == []
        take_pictures(lesson, OF_INTEREST, 640, "15")
        lesson.run_to("the-end")
        assert "Nothing runs: no server, no client." in lesson.text("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert notebook.errors() == []
        assert complaints(notebook) == []

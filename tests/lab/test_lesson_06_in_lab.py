"""Lesson 06 as a learner does it, in a real page: predicts, and plays the rooms beside the map."""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import Lesson
from tests.lab.test_panels_in_lab import complaints
from tests.lab.test_rooms_in_lab import Map, Player

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "06_rooms.ipynb"
SOLUTION = COURSE / "solutions" / "06_rooms.py"
SENDER = "skipped; it is the sender"


def learners_part() -> str:
    """Return the solution's handler, as a learner would type it."""
    source = SOLUTION.read_text()
    return source[: source.index("if __name__")].replace("import wslab\nfrom wslab", "from wslab")


def test_a_learner_plays_the_rooms(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 1280, "height": 900}) as page:
        lesson = Lesson(page)
        lesson.run_to("who-predict")
        asked = lesson.cell("who-predict")
        asked.get_by_text("alice, bob, carol", exact=True).click()
        asked.locator("button").click()
        lesson.run_to("who-compare")
        expect(lesson.cell("who-predict").locator(".ws-outcome")).to_contain_text("alice, bob")
        assert lesson.outcomes("who-compare") == ["alice, bob"]

        lesson.run_to("exercise-check")
        assert "06 rooms: not yet" in lesson.text("exercise-check")
        assert "06 rooms: passed" in lesson.answer("exercise-hall", learners_part())

        # The four steps of the text, and what the map says of each.
        lesson.run_to("play")
        at = lesson.index["play"]
        shown = Map(page, at)
        ana, ben, cleo = (Player(page, at, name) for name in ("ana", "ben", "cleo"))
        expect(ana.room).to_have_value("kitchen")
        for player in (ana, ben):
            player.button(f"{player.name} joins the room").click()
            expect(player.rooms).to_have_count(1)
        cleo.room.fill("garden")
        cleo.button("cleo joins the room").click()
        expect(cleo.rooms).to_have_text("gardenleave")
        expect(shown.rooms).to_have_count(2)
        ana.text.fill("hello")
        ana.button("ana says it").click()
        expect(shown.messages).to_have_count(1)
        assert shown.outcomes(0) == [SENDER, "sent", "not meant for it"]
        expect(ben.lines.last).to_contain_text("said in kitchen from ana hello")
        cleo.to.fill("kitchen")
        cleo.text.fill("from outside")
        cleo.button("cleo says it").click()
        expect(shown.messages).to_have_count(2)
        assert shown.outcomes(1)[:2] == ["sent", "sent"]
        ben.button("ben leaves kitchen").click()
        expect(ben.rooms).to_have_count(0)
        ana.text.fill("is ben there?")
        ana.button("ana says it").click()
        expect(shown.messages).to_have_count(3)
        assert shown.outcomes(2) == [SENDER, "not meant for it", "not meant for it"]

        lesson.run_to("transfer-compare")
        assert "1 on ben's wire" in lesson.text("both-run")
        assert lesson.outcomes("both-compare") == ["1"]
        assert lesson.outcomes("transfer-compare")[0] == "no: she is in no room"
        expect(shown.root.locator(".ws-name")).to_have_text("hub")
        expect(shown.root).not_to_contain_text("hub, 3 clients")
        lesson.run_to("the-end")
        assert lesson.text("the-end") == "open connections: 0, servers: 0, tasks: 0"
        assert page.errors() == []
        assert complaints(page) == []


def test_in_a_narrow_page_no_mark_touches_the_cells_bar(lab: Lab, expect):
    with lab.open(f"notebooks/{LESSON.name}", viewport={"width": 640, "height": 900}) as page:
        lesson = Lesson(page)
        for name in ("recall", "rooms-by-hand", "setup"):
            page.run_cell(lesson.index[name])
        page.select(lesson.index["setup"])
        mark = lesson.cell("setup").locator(".ws-mark").first
        expect(mark).to_be_visible()
        bar = (
            lesson.cell("setup")
            .locator(".jp-Cell-outputWrapper .jp-OutputCollapser")
            .bounding_box()
        )
        assert mark.bounding_box()["x"] - (bar["x"] + bar["width"]) >= 4

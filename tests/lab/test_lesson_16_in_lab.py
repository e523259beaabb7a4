"""Lesson 16 as a learner does it, in a real page: draws with a pointer and with keys, in two pages
beside each other, before the board is written and after. Also under a Hub's base URL, through the
tunnel, and in a narrow page.

WSLAB_SCREENSHOTS=folder keeps pictures, in both themes and two widths.
"""

from __future__ import annotations

import re

import pytest

from tests.browser import Sync
from tests.lab.harness import COURSE, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints
from tests.learn import rig

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "16_project.ipynb"
SOLUTION = COURSE / "solutions" / "16_project.py"
STEPS = ("step 1", "step 2", "step 3", "step 4", "people")


def learners_part() -> str:
    """Return the solution, as a learner would type it into the lesson's cell."""
    source = SOLUTION.read_text()
    source = source[source.index("COLORS") : source.index("if __name__")]
    cell = rig.cells(LESSON.stem)["exercise-board"]
    imports = cell[: cell.index("def is_point")]
    return f"import itertools\n\n{imports}{source}".rstrip()


def page_of(lesson: Lesson, nth: int) -> Sync:
    """Return what is in the frame of the first or second person."""
    return lesson.cell("pages").frame_locator("iframe").nth(nth)


def draw(lesson: Lesson, nth: int) -> None:
    """Draw a line with the mouse, from the left to the right."""
    canvas = page_of(lesson, nth).locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    mouse = lesson.notebook.page.mouse
    mouse.move(box["x"] + 20, box["y"] + 30)
    mouse.down()
    for step in range(1, 9):
        mouse.move(box["x"] + 20 + 20 * step, box["y"] + 30 + 12 * step)
    mouse.up()


def strokes(lesson: Lesson, nth: int) -> Sync:
    return page_of(lesson, nth).locator("ol li")


def inked(lesson: Lesson, nth: int) -> int:
    """Return how many pixels of a canvas have something on them."""
    return (
        page_of(lesson, nth)
        .locator("canvas")
        .evaluate(
            """canvas => {
          const { width, height } = canvas;  // a copy: the browser warns of reading the first
          const copy = new OffscreenCanvas(width, height)
            .getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const of = copy.getImageData(0, 0, width, height).data;
          let count = 0;
          for (let at = 3; at < of.length; at += 4) count += of[at] > 0;
          return count;
        }"""
        )
    )


def write_the_board(lesson: Lesson) -> None:
    lesson.replace("exercise-board", learners_part())
    lesson.run_to("exercise-board")
    lesson.run_to("pages")


@pytest.mark.parametrize("any_lab", ["lab", "hub_lab"], indirect=True, scope="session")
def test_a_learner_works_through_it(any_lab: Lab, expect):
    viewport = {"width": 1280, "height": 900}
    with any_lab.open(f"notebooks/{LESSON.name}", viewport=viewport, alone=True) as notebook:
        lesson = Lesson(notebook)
        lesson.run_to("pages")
        for nth, name in enumerate(("ana", "ben")):
            expect(page_of(lesson, nth).locator("#me")).to_have_text(name)
            expect(page_of(lesson, nth).locator("#state")).to_have_text("open")
        draw(lesson, 0)
        expect(page_of(lesson, 0).locator("#state")).to_contain_text("nobody handles 'stroke'")
        expect(strokes(lesson, 0)).to_have_text(
            re.compile(r"ink, .+: here only, the board has not")
        )
        assert strokes(lesson, 1).count() == 0
        take_pictures(lesson, ("pages", "plan"), 1280, "16-empty")
        lesson.run_to("recall-compare")
        answers = ["its session", "in the Hub, up to a bound", "somebody new"]
        assert lesson.outcomes("recall-compare") == answers
        take_pictures(lesson, ("recall", "recall-compare"), 1280, "16")
        lesson.run_to("check-1")
        assert "16 step 1: not yet" in lesson.text("check-1")

        write_the_board(lesson)
        for nth in (0, 1):
            expect(page_of(lesson, nth).locator("#people")).to_have_text("here: ana, ben")
        draw(lesson, 0)
        expect(strokes(lesson, 1)).to_have_text(re.compile(r"^ana: ink, from .+, 9 points$"))
        expect(strokes(lesson, 0)).to_have_text(re.compile(r"^you: ink, from .+, 9 points$"))
        by_keys(lesson, expect)
        assert inked(lesson, 0) > 200
        assert inked(lesson, 1) > 200
        take_pictures(lesson, ("exercise-board", "pages"), 1280, "16-drawn")

        page_of(lesson, 0).get_by_role("button", name="Undo").click()
        for nth, who in enumerate(("ben", "you")):
            expect(strokes(lesson, nth)).to_have_count(1)
            expect(strokes(lesson, nth)).to_have_text(re.compile(f"^{who}: red"))
        page_of(lesson, 1).get_by_role("button", name="Clear").click()
        for nth in (0, 1):
            expect(strokes(lesson, nth)).to_have_count(0)
            assert inked(lesson, nth) == 0
        cut_and_back(lesson, expect)

        for step in STEPS:
            cell = f"check-{step.removeprefix('step ')}"
            lesson.run_to(cell)
            assert f"16 {step}: passed" in lesson.text(cell)
        lesson.run_to("transfer-compare")
        assert lesson.outcomes("transfer-compare") == ["none: she is somebody new there"]
        lesson.run_to("inspector")
        take_pictures(lesson, ("step-3", "check-3", "hint-4", "cables", "end"), 1280, "16")
        assert notebook.errors() == []
        assert complaints(notebook) == []
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        for nth in (0, 1):
            state = page_of(lesson, nth).locator("#state")
            expect(state).to_have_text("the board's server has stopped")
        assert complaints(notebook) == []


def by_keys(lesson: Lesson, expect) -> None:
    """Draw as ben, with keys alone: a color, the pen down, two ways, and up."""
    ben, keyboard = page_of(lesson, 1), lesson.notebook.page.keyboard
    ben.get_by_label("ink").focus()
    keyboard.press("ArrowRight")
    expect(ben.get_by_label("red")).to_be_checked()
    for _ in range(3):
        keyboard.press("Tab")
    expect(ben.locator("canvas")).to_be_focused()
    for key in ("Shift+ArrowLeft", "Space", "ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        keyboard.press(key)
    expect(ben.locator("#pen")).to_have_text("Pen at 440,600, down.")
    keyboard.press("Enter")
    expect(strokes(lesson, 0).last).to_have_text("ben: red, from 400,500 to 440,600, 4 points")
    keyboard.press("Space")
    keyboard.press("ArrowUp")
    keyboard.press("Escape")
    expect(ben.locator("#pen")).to_have_text("Pen at 440,580, up.")
    expect(strokes(lesson, 1)).to_have_count(2)


def cut_and_back(lesson: Lesson, expect) -> None:
    """Cut both cables while ben draws: both come back, and the stroke arrives once."""
    notebook = lesson.notebook
    notebook.wait_until("[each.network.cut() or True for each in server.connections]")
    draw(lesson, 1)
    expect(strokes(lesson, 1)).to_have_text(re.compile(": no answer yet$"))
    notebook.wait_until("[each.network.reset() or True for each in server.connections]")
    expect(strokes(lesson, 0)).to_have_text(re.compile("^ben: red"), timeout=20_000)
    expect(strokes(lesson, 1)).to_have_text(re.compile("^you: red"))


def test_in_a_narrow_page_one_stands_below_the_other_and_nothing_is_cut_off(lab: Lab, expect):
    viewport = {"width": 640, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport, alone=True) as notebook:
        notebook.page.evaluate(WITHOUT_FILES)
        lesson = Lesson(notebook)
        write_the_board(lesson)
        expect(page_of(lesson, 0).locator("#people")).to_have_text("here: ana, ben")
        draw(lesson, 1)
        expect(strokes(lesson, 0)).to_have_text(re.compile("^ben: ink"))
        frames = lesson.cell("pages").locator("iframe")
        boxes = [frames.nth(nth).bounding_box() for nth in (0, 1)]
        for nth in (0, 1):
            root = page_of(lesson, nth).locator("html")
            assert root.evaluate("e => e.scrollHeight <= e.clientHeight"), "a bar within"
            assert root.evaluate("e => e.scrollWidth <= e.clientWidth"), "a bar within"
        assert boxes[0]["width"] > 270
        assert cut_off(notebook.page) == []
        take_pictures(lesson, ("exercise-board", "pages", "plan", "step-3", "people"), 640, "16")

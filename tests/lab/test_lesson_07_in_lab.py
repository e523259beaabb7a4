"""Lesson 07 as a learner does it, in a real page: at home, and under a Hub's base URL through the
tunnel. Both must give the same answers, and the exercise is solved in the page.

WSLAB_SCREENSHOTS=folder keeps a picture of each cell that shows a socket, in both themes.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.lab.harness import COURSE, DARK, LIGHT, Lab, keep_screenshots
from tests.lab.lesson import Lesson
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

LESSON = COURSE / "07_browser.ipynb"
SOLUTION = COURSE / "solutions" / "07_browser.py"
# What the browser itself says in the console, and the lesson speaks of.
SPOKEN_OF = ("WebSocket connection to", "already in CLOSING or CLOSED state")

SAID = {
    "states-predict": ["an exception", "nothing: no exception, and it never arrives"],
    "arrived-predict": ["not at all"],
    "close-predict": ["code 1006, and no reason"],
    "transfer-predict": ["yes: what was sent before close() goes out before the close frame"],
}


def learners_part() -> str:
    """Return the solution's function, as a learner would type it."""
    source = SOLUTION.read_text()
    begin = source.index("def send_safely")
    return source[begin : source.index("if __name__")].rstrip()


def test_a_learner_works_through_it(lab: Lab, expect):
    folder = keep_screenshots()
    viewport = {"width": 1280, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport) as notebook:
        lesson = Lesson(notebook)
        lesson.run_to("states-predict")
        answers = lesson.cell("states-predict").locator(".ws-predict")
        for nth in range(2):  # "it arrives", as most people think
            answers.nth(nth).get_by_text("it arrives", exact=True).click()
            answers.nth(nth).locator("button").click()
        lesson.run_to("states-compare")
        assert "readyState: none yet: press Connect above" in lesson.text("states-compare")
        lesson.connect("states-run")
        expect(lesson.state("states-run")).to_have_text("CONNECTING")
        lesson.run_to("states-compare")  # too early, as many will
        said = lesson.text("states-compare")
        assert ("- not over yet. Run this cell again." in said) != ("readyState: CLOSED" in said)
        expect(lesson.state("states-run")).to_have_text("CLOSED")
        expect(lesson.state("page")).to_have_text("CLOSED")  # one socket, two views
        # The predictions know before the cell runs again.
        expect(lesson.cell("states-compare").locator(".ws-outcome").last).to_contain_text("nothing")
        said = lesson.run_until("states-compare", "CLOSED socket.send")
        assert 'CONNECTING socket.send("while CONNECTING"); then bufferedAmount is 0' in said
        assert 'OPEN socket.send("while OPEN"); then bufferedAmount is 10' in said

        lesson.run_to("broken")
        logs = [lesson.panel("broken", nth).locator(".ws-log") for nth in (0, 1)]
        expect(logs[1]).to_contain_text('data "hello"')
        expect(logs[0]).to_contain_text("InvalidStateError")
        expect(logs[0]).not_to_contain_text("data")
        expect(logs[1]).not_to_contain_text("InvalidStateError")

        for _ in range(2):  # once more: nothing of the first run is left
            lesson.run_to("arrived-run")
            said = lesson.run_until("arrived-compare", "readyState: CLOSED")
            assert "handler: ['message 1', 'message 2', 'message 3']" in said
            assert "bufferedAmount: [9, 18, 27, 36, 45]" in said

        lesson.run_to("close")
        lesson.connect("close", 1)
        expect(lesson.state("close", 1)).to_have_text("CLOSED")
        said = lesson.run_until("close-compare", "refused ['code 1006")
        assert "killed ['code 1006, reason \"\", wasClean false']" in said
        assert "told ['code 4001, reason \"no seat left\", wasClean true']" in said
        assert "refused ['code 1006, reason \"\", wasClean false']" in said
        assert "403" in said

        lesson.run_to("exercise-check")
        assert "not yet" in lesson.text("exercise-page")
        assert "07 safe sender: not yet" in lesson.text("exercise-check")
        wrong = (
            "def send_safely(page, messages):\n    for message in messages:\n"
            "        page.send(message)\n    page.close(4000)"
        )
        lesson.replace("exercise-sender", wrong)
        for name in ("exercise-sender", "exercise-page", "exercise-check"):
            lesson.run_to(name)
        assert "not in your page yet" in lesson.text("exercise-page")
        assert "InvalidStateError" in lesson.text("exercise-check")
        lesson.replace("exercise-sender", learners_part())
        lesson.run_to("exercise-sender")
        lesson.run_to("exercise-page")
        expect(lesson.state("exercise-page", 0)).to_have_text("CONNECTING")
        for nth in (0, 1):
            expect(lesson.state("exercise-page", nth)).to_have_text("CLOSED")
        said = lesson.run_until("exercise-check", "And so did your own page")
        assert "07 safe sender: passed" in said
        assert any(
            f"on two real sockets (route: {route})" in said for route in ("direct", "tunnel")
        )
        # Once more: a cell that runs again replaces its sockets, and the check goes on.
        lesson.run_to("exercise-page")
        assert "passed" in lesson.run_until("exercise-check", "And so did your own page")

        lesson.run_until("transfer-compare", "readyState: CLOSED")
        assert "('client', 200000)" in lesson.text("transfer-compare")
        said = lesson.run_until("rules-look", "SyntaxError |")
        assert "InvalidAccessError |" in said
        assert "by the script: Sec-WebSocket-Protocol" in said
        assert "          not: Origin" in said
        if folder:
            take_pictures(lesson, folder)
        assert {name: lesson.outcomes(name) for name in SAID} == SAID
        expect(lesson.state("rules")).to_have_text("OPEN")
        lesson.run_to("the-end")
        expect(lesson.state("rules")).to_have_text("CLOSED")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert notebook.errors() == []
        said_by_us = [
            line for line in complaints(notebook) if not any(words in line for words in SPOKEN_OF)
        ]
        assert said_by_us == []


def take_pictures(lesson: Lesson, folder: Path) -> None:
    place = lesson.notebook.lab.base_url.strip("/").replace("/", "-") or "root"
    for theme in (LIGHT, DARK):
        lesson.notebook.set_theme(theme)
        for name, index in lesson.index.items():
            lesson.notebook.select(index)
            lesson.notebook.page.wait_for_timeout(100)
            file = f"07-{place}-{theme.split()[-1].lower()}-{index:02}-{name}.png"
            lesson.notebook.screenshot(folder / file, index=index)


def test_run_all_with_the_solution_in_it(lab: Lab, expect):
    document = nbformat.read(LESSON, as_version=4)
    for cell in document.cells:
        if cell.id == "exercise-sender":
            cell.source = learners_part()
    del document.cells[-1]  # which would close what the page is about to do
    with lab.open(lab.write("notebooks/solved.ipynb", document)) as notebook:
        lesson = Lesson(notebook)
        notebook.run_all()
        assert notebook.errors() == []
        assert notebook.not_run() == []
        assert "07 safe sender: passed" in lesson.text("exercise-check")
        for nth in (0, 1):
            expect(lesson.state("exercise-page", nth)).to_have_text("CLOSED", timeout=20_000)
        said = lesson.run_until("exercise-check", "And so did your own page")
        assert "07 safe sender: passed" in said
        assert complaints(notebook) == []  # nobody has pressed a button

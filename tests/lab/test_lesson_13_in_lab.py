"""Lesson 13 as a learner does it, in a real page, with the stock JavaScript client in a frame.

The frame loads that client from a CDN. Here the browser is handed npm's file in its place, and its
hash must fit; once it is handed nothing, as without internet. At home, and under a Hub's base URL
through the tunnel. WSLAB_SCREENSHOTS=folder keeps pictures, in both themes and two widths.
"""

from __future__ import annotations

import re

import pytest

from tests import node
from tests.lab.harness import COURSE, Lab, Notebook
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints
from wslab.learn.lessons.lesson_13 import STOCK_CLIENT

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

LESSON = COURSE / "13_socketio.ipynb"
SOLUTION = COURSE / "solutions" / "13_socketio.py"
OF_INTEREST = (
    "setup", "first-run", "upgrade", "bob", "layers", "plain-run", "reach-compare", "page",
    "exercise-check", "exercise-hub",
)  # fmt: skip


def learners_parts() -> tuple[str, str]:
    """Return the solution's function and its hub, as a learner would type them."""
    source = SOLUTION.read_text()
    by_hand = source[source.index("def answer") : source.index("house = ")]
    hub = source[source.index("house = ") : source.index("if __name__")]
    return "import json\nimport secrets\n\n" + by_hand.rstrip(), hub.rstrip()


def hand_out(notebook: Notebook, *, is_online: bool = True) -> list[str]:
    """Play the CDN with npm's file; return the addresses that were asked for."""
    node.need("socket.io-client")
    file = node.MODULES / "socket.io-client" / "dist" / "socket.io.min.js"
    asked: list[str] = []

    def answer(route) -> None:
        asked.append(route.request.url)
        if not is_online:
            route.abort("internetdisconnected")
            return
        route.fulfill(
            body=file.read_bytes(),
            content_type="application/javascript",
            headers={"Access-Control-Allow-Origin": "*"},
        )

    notebook.page.route("**/socket.io.min.js", answer)
    return asked


def test_a_learner_works_through_it(lab: Lab, expect):
    viewport = {"width": 1280, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport, alone=True) as notebook:
        asked = hand_out(notebook)
        lesson = Lesson(notebook)
        lesson.run_to("first-predict")
        first = lesson.cell("first-predict")
        first.get_by_text("a handshake: GET with Upgrade", exact=True).click()
        first.locator("button").click()
        lesson.run_to("first-compare")
        expect(first.locator(".ws-outcome")).to_contain_text("an ordinary HTTP request")
        lesson.run_to("bob")
        assert "the answer: 5" in lesson.text("bob")
        lesson.run_to("plain-compare")
        assert lesson.outcomes("plain-compare") == [
            "the server ends the connection", "nowhere", "an answer from the other side",
        ]  # fmt: skip
        lesson.run_to("reach-compare")
        assert lesson.outcomes("reach-compare") == ["alice, bob and carol"]

        lesson.run_to("page")
        frame = lesson.cell("page").frame_locator("iframe")
        expect(frame.locator("#state")).to_have_text(re.compile(r"Connected by websocket, id \w+"))
        assert set(asked) == {STOCK_CLIENT}
        expect(frame.locator("li").first).to_have_text("opened by polling")
        expect(frame.locator("li").filter(has_text="upgraded to websocket")).to_have_count(1)
        frame.get_by_label("what to say").fill("from a real page")
        frame.get_by_role("button", name="Say it").click()
        expect(frame.locator("li").filter(has_text="chat: from a real page")).to_have_count(1)
        expect(frame.locator("li").filter(has_text="the answer: 16")).to_have_count(1)
        notebook.wait_until("'from a real page' in heard['bob']")

        by_hand, hub = learners_parts()
        lesson.run_to("exercise-check")
        assert "13 by hand: not yet" in lesson.text("exercise-check")
        assert "13 by hand: passed" in lesson.answer("exercise-answer", by_hand)
        lesson.run_to("exercise-hub")
        assert "13 hub: not yet" in lesson.text("exercise-hub")
        check = 'display(check("13 hub", house), hint("13 hub"))'
        lesson.replace("exercise-hub", f"{hub}\n\n{check}")
        lesson.run_to("exercise-hub")
        assert "13 hub: passed" in lesson.text("exercise-hub")

        lesson.run_to("namespaces")
        assert '44/nobody,{"message":"Invalid namespace"}' in lesson.text("namespaces")
        take_pictures(lesson, OF_INTEREST, 1280, "13")
        lesson.run_to("the-end")
        assert "open connections: 0, servers: 0, tasks: 0" in lesson.text("the-end")
        assert notebook.errors() == []
        # When the server has gone, the page tries again, and the browser says what came of it.
        said = [one for one in complaints(notebook) if "socket.io" not in one]
        assert said == []


def test_without_internet_the_page_says_so_and_the_lesson_goes_on(lab: Lab, expect):
    viewport = {"width": 640, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport, alone=True) as notebook:
        hand_out(notebook, is_online=False)
        lesson = Lesson(notebook)
        lesson.run_to("page")
        frame = lesson.cell("page").frame_locator("iframe")
        expect(frame.locator("#state")).to_contain_text("no internet here")
        lesson.run_to("transfer-compare")
        assert lesson.outcomes("transfer-compare")[0] == "no: nobody has answered"
        notebook.page.evaluate(WITHOUT_FILES)
        assert cut_off(notebook.page) == []
        take_pictures(
            lesson, ("setup", "first-run", "upgrade", "layers", "page", "exercise"), 640, "13"
        )

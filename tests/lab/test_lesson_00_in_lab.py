"""Lesson 00's page in its frame: it takes Jupyter's theme, and only its log scrolls. And its list
of all lessons, to which its beginning leads.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import COURSE, DARK, LIGHT, Lab
from tests.lab.lesson import WITHOUT_FILES, Lesson, cut_off, take_pictures
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

LESSON = COURSE / "00_start_here.ipynb"
CELLS = """
import wslab
from IPython.display import IFrame

async def clock(websocket):
    for number in range(60):
        await websocket.send(f"tick {number}")
    await websocket.wait_closed()

ticker = wslab.serve(clock)
IFrame(ticker.page_url, "100%", 440)
"""
SCROLLS = """() => [document.documentElement, document.body, document.getElementById("log")]
  .map((each) => each.scrollHeight > each.clientHeight + 1)"""


@pytest.mark.parametrize("width", [1280, 640])
def test_the_page_in_a_frame_takes_the_theme_and_scrolls_in_one_place(lab: Lab, expect, width):
    with lab.open(lab.write("page.ipynb", [CELLS]), alone=True) as notebook:
        page = notebook.page
        notebook.resize(width)
        notebook.run_cell(0)
        frame = page.frame_locator(".jp-RenderedHTMLCommon iframe")
        frame.get_by_role("button", name="Connect", exact=True).click()
        expect(frame.locator("#log .received")).to_have_count(60)
        for theme, paper in ((DARK, "rgb(17, 17, 17)"), (LIGHT, "rgb(255, 255, 255)")):
            notebook.set_theme(theme)
            expect(frame.locator("body")).to_have_css("background-color", paper)
        assert frame.locator("html").evaluate(SCROLLS) == [False, False, True]
        assert frame.locator("#log").evaluate("log => log.clientHeight") >= 60
        assert notebook.console == []


def test_its_beginning_leads_to_the_list_of_all_lessons(lab: Lab, expect):
    viewport = {"width": 640, "height": 900}
    with lab.open(f"notebooks/{LESSON.name}", viewport=viewport) as notebook:
        page = notebook.page
        page.evaluate(WITHOUT_FILES)
        page.get_by_role("link", name="All lessons", exact=True).click()
        heading = page.locator(".jp-RenderedMarkdown h2").filter(has_text="the course")
        expect(heading).to_be_in_viewport()
        rows = page.locator(".jp-RenderedMarkdown table").last.locator("tbody tr")
        expect(rows).to_have_count(17)
        assert cut_off(page) == []
        lesson = Lesson(notebook)
        take_pictures(lesson, ("course",), 640, "00")
        notebook.resize(1280)
        take_pictures(lesson, ("title", "course"), 1280, "00")
        rows.nth(1).get_by_role("link").click()
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.title.label === '01_handshake.ipynb'"
        )
        notebook.wait_ready()  # else it is closed while its kernel connects, which JupyterLab tells
        assert complaints(notebook) == []

"""Lesson 00's page in its frame: it takes Jupyter's theme, and only its log scrolls."""

from __future__ import annotations

import pytest

from tests.lab.harness import DARK, LIGHT, Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

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
        page.set_viewport_size({"width": width, "height": 900})
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

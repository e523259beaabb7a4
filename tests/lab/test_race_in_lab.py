"""The race in a real JupyterLab: the page in its frame runs all five ways, also while a cell awaits
the round, and behind a base URL; a button starts another one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

APP = (Path(__file__).parents[1] / "widgets" / "race" / "app.py").read_text("utf-8")
SETUP = """import wslab
from wslab.widgets import Race
feed = Feed()
server = wslab.serve(app_of(feed))
race = Race(server, feed, updates=40, idle_s=1)"""
RUN = "results = await race.run()\nprint(results)"
ALL_HAVE = """name => [...document.querySelectorAll(".ws-race-lane svg")].every(
  strip => strip.getAttribute("aria-label").includes(`updates ${name}`))"""


def test_the_page_runs_all_five_ways(lab: Lab, expect):
    cells = [APP, SETUP, "race", RUN]
    with lab.open(lab.write("race.ipynb", cells)) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        text = notebook.text(3)
        assert "A page ran the five lanes." in text
        assert "missing" not in text
        panel = notebook.cell(2).locator(".ws-race")
        expect(panel.locator(".ws-race-said")).to_have_text("A page ran the five lanes.")
        expect(panel.locator("iframe")).to_have_count(0)  # gone, and its connections with it

        panel.get_by_role("slider", name="size of each").focus()
        for _ in range(3):
            notebook.page.keyboard.press("ArrowRight")
        panel.get_by_role("button", name="Start").focus()
        notebook.page.keyboard.press("Enter")
        frame = panel.frame_locator("iframe").locator("#said")
        expect(frame).to_contain_text("WebSocket 40")
        if folder := keep_screenshots():
            for theme in (LIGHT, DARK):
                notebook.set_theme(theme)
                place = lab.base_url.strip("/").replace("/", "-") or "root"
                notebook.screenshot(folder / f"race-{place}-{theme[-5:].strip()}.png", index=2)
        expect(panel.locator(".ws-race-said")).to_have_text("A page ran the five lanes.")
        notebook.wait_until("race.results.settings.size_bytes == 50")
        notebook.wait_until("race.results['SSE'].missed == 0 and not server.errors")
        notebook.page.wait_for_function(ALL_HAVE, arg="40")
        assert notebook.console_of_run_all == []

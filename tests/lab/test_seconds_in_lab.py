"""The slider in a real JupyterLab: moved by keys, also while a cell awaits; the next cell knows."""

from __future__ import annotations

import pytest

from tests.lab.harness import Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SLIDER = "from wslab.widgets import SecondsSlider\npause = SecondsSlider('time.sleep')\npause"
AWAITING = "await __import__('asyncio').sleep(1)"
READ = "print(pause.value_s)"


def test_the_next_cell_reads_where_it_was_put(lab: Lab, expect):
    with lab.open(lab.write("slider.ipynb", [SLIDER, READ, AWAITING])) as notebook:
        notebook.run_cell(0)
        slider = notebook.cell(0).get_by_role("slider", name="time.sleep, in seconds")
        expect(slider).to_have_value("2")
        slider.focus()
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        expect(notebook.cell(0).get_by_text("3 s", exact=True)).to_be_visible()
        expect(slider).to_be_focused()  # an arrow did not move on to the next cell
        notebook.wait_until("pause.value_s == 3.0")  # it may hear of a key beside a running cell
        notebook.run_cell(1)
        assert notebook.text(1).strip() == "3.0"

        notebook.select(2)
        notebook.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
        slider.focus()
        slider.press("Home")  # the first change of a model while a cell awaits jams trait sync
        notebook.wait_until("pause.value_s == 0.5")
        notebook.run_cell(1)
        assert notebook.text(1).strip() == "0.5"
        notebook.run_cell(0)
        expect(slider).to_have_value("2")
        assert notebook.console_of_run_all == []

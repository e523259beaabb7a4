"""Every lesson in a real JupyterLab, at the root and under a JupyterHub's base URL: Run All ends,
no cell fails, no cell is lost, and the page's console stays clean.

With WSLAB_TEST_BINDER=1 the second is left to test_binder.py, which runs under such a URL what
knows of places.
WSLAB_SCREENSHOTS=folder keeps a picture of each, in both themes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, course, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]
labs = ("lab",) if os.environ.get("WSLAB_TEST_BINDER") == "1" else ("lab", "hub_lab")


@pytest.mark.parametrize("any_lab", labs, indirect=True, scope="session")
@pytest.mark.parametrize("lesson", course(), ids=lambda path: path.stem)
def test_run_all_in_jupyterlab(any_lab: Lab, lesson: Path):
    with any_lab.open(f"notebooks/{lesson.name}") as notebook:
        notebook.run_all(timeout=180)
        assert notebook.errors() == []
        assert notebook.not_run() == []
        if folder := keep_screenshots():
            place = any_lab.base_url.strip("/").replace("/", "-") or "root"
            for theme in (LIGHT, DARK):
                notebook.set_theme(theme)
                name = f"{lesson.stem}-{place}-{theme.split()[-1].lower()}.png"
                notebook.screenshot(folder / name)
        assert notebook.console_of_run_all == []


@pytest.mark.parametrize(("lesson", "cell"), [("00_start_here", 2), ("03_conversation", 1)])
def test_figures_are_dark_cards_in_a_dark_theme(lab: Lab, lesson: str, cell: int):
    with lab.open(f"notebooks/{lesson}.ipynb") as notebook:
        notebook.set_theme(LIGHT)  # a test before may have left the lab dark
        notebook.run_cell(cell)  # the first view, a panel or a question, brings the style along
        shown = "getComputedStyle(document.querySelector('.jp-RenderedMarkdown img')).filter"
        assert notebook.page.evaluate(shown) == "none"
        notebook.set_theme(DARK)
        notebook.page.wait_for_function(f"{shown}.startsWith('invert')")
        notebook.set_theme(LIGHT)
        notebook.page.wait_for_function(f"{shown} === 'none'")

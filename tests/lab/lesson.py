"""A lesson open in a real page, as the tests of the lessons use it: its cells by their ids."""

from __future__ import annotations

import contextlib
import time

from playwright.async_api import TimeoutError as PageTimeout

from tests.browser import Sync
from tests.lab.harness import DARK, LIGHT, Notebook, keep_screenshots

__all__ = ["WITHOUT_FILES", "Lesson", "cut_off", "take_pictures"]


class Lesson:
    """The lesson, open in a page; its cells by their ids."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.index = {cell["id"]: number for number, cell in enumerate(notebook.cells())}
        self.ran: set[str] = set()

    def run_to(self, name: str) -> None:
        """Run the code cells before this one that have not run, and this one."""
        for cell in self.notebook.cells()[: self.index[name] + 1]:
            if cell["cell_type"] == "code" and (cell["id"] not in self.ran or cell["id"] == name):
                self.notebook.run_cell(self.index[cell["id"]])
                self.ran.add(cell["id"])
        assert self.notebook.errors() == []

    def text(self, name: str) -> str:
        return self.notebook.text(self.index[name])

    def cell(self, name: str) -> Sync:
        return self.notebook.cell(self.index[name])

    def panel(self, name: str, nth: int = 0) -> Sync:
        return self.cell(name).locator(".ws-browser").nth(nth)

    def state(self, name: str, nth: int = 0) -> Sync:
        return self.panel(name, nth).locator(".ws-machine [aria-current=step] b")

    def connect(self, name: str, nth: int = 0) -> None:
        self.panel(name, nth).get_by_role("button", name="Connect", exact=True).click()

    def run_until(self, name: str, words: str) -> str:
        """Run a cell again until it says something, as the lesson tells the learner to."""
        deadline = time.monotonic() + 20
        while True:
            self.run_to(name)
            text = self.text(name)
            if words in text:
                return text
            assert time.monotonic() < deadline, text

    def replace(self, name: str, source: str) -> None:
        self.notebook.page.evaluate(
            """([i, source]) => {
              const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
              cells.get(i).sharedModel.setSource(source);
            }""",
            [self.index[name], source],
        )

    def answer(self, name: str, source: str) -> str:
        """Write an answer into an exercise, run it and its check; return what the check says."""
        self.replace(name, source)
        self.run_to(name)
        self.run_to("exercise-check")
        return self.text("exercise-check")

    def outcomes(self, name: str) -> list[str]:
        """Return what "the wire says" in each prediction of a cell."""
        found = []
        for outcome in self.cell(name).locator(".ws-outcome").all():
            lines = outcome.inner_text().split("\n")
            assert "the wire says" in lines, lines
            found.append(lines[lines.index("the wire says") + 1])
        return found


def take_pictures(lesson: Lesson, names: tuple[str, ...], width: int, number: str) -> None:
    """Keep pictures of cells in both themes, where WSLAB_SCREENSHOTS names a folder."""
    folder = keep_screenshots()
    if folder is None:
        return
    lesson.notebook.page.emulate_media(color_scheme="null")  # or Playwright's is every frame's
    place = lesson.notebook.lab.base_url.strip("/").replace("/", "-") or "root"
    for theme in (LIGHT, DARK):
        lesson.notebook.set_theme(theme)
        for name in names:
            shade = theme.split()[-1].lower()
            lesson.notebook.select(lesson.index[name])
            file = folder / f"{number}-{place}-{width}-{shade}-{name}.png"
            lesson.notebook.screenshot(file, index=lesson.index[name])
    lesson.notebook.set_theme(LIGHT)


# As people do whose window is narrow.
WITHOUT_FILES = "() => window.jupyterapp.shell.collapseLeft()"  # the lab keeps it for the next page
CUT_OFF = """() => [...document.querySelectorAll(".jp-RenderedMarkdown table")]
  .filter(table => table.getBoundingClientRect().right
    > table.closest(".jp-RenderedMarkdown").getBoundingClientRect().right + 1)
  .map(table => table.innerText)"""


def cut_off(page: Sync) -> list[str]:
    """Return the tables that are cut off, once the page has settled."""
    with contextlib.suppress(PageTimeout):
        page.wait_for_function(f"() => ({CUT_OFF})().length === 0", timeout=5000)
    return page.evaluate(CUT_OFF)  # type: ignore[no-any-return]

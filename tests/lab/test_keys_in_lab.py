"""What is typed inside a view stays there: two d's never delete the cell that shows it."""

from __future__ import annotations

import pytest

from tests.lab.harness import Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

SETUP = """
import wslab
from wslab.learn import predict
from wslab.widgets import ChatPanel
from wslab.widgets import HandshakeEditor
from wslab.widgets import FrameEditor

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def fails(websocket):
    raise ValueError("on purpose")

server = wslab.serve(echo, name="echo")
broken = wslab.serve(fails, name="broken")
hub = wslab.Hub()
hub_server = wslab.serve(hub)
alice = wslab.connect(server, name="alice")
alice.send("Hello")
alice.recv(timeout=10)
eve = wslab.connect(broken, name="eve")
editor = HandshakeEditor(server)
editor.ask(method="POST")
guess = predict("Which status opens a WebSocket?", [101, 200])
"""
VIEWS = [
    "server",
    "broken",
    "alice",
    "eve",
    "wslab.Inspector(server, select=lambda event: event.text == 'Hello')",
    "wslab.Browser(server)",
    "ChatPanel(hub_server)",
    "hub",
    "editor",
    "FrameEditor(server)",
    "guess",
]
FOCUSABLE = "a[href], button, input, select, summary, textarea, [tabindex]"
UNMARKED = """selector => [...document.querySelectorAll(".wslab")].flatMap(
  (view) => [...view.querySelectorAll(selector)],
)
  .filter((each) => !each.hasAttribute("data-lm-suppress-shortcuts"))
  .map((each) => each.outerHTML)"""


@pytest.fixture
def notebook(lab: Lab):
    with lab.open(lab.write("keys.ipynb", [SETUP, *VIEWS])) as opened:
        opened.run_all()
        assert opened.errors() == []
        yield opened


def test_nothing_that_takes_the_focus_leaves_its_keys_to_the_notebook(notebook: Notebook, expect):
    page = notebook.page
    for index in range(1, len(VIEWS) + 1):
        expect(notebook.cell(index).locator(".wslab").first).to_be_visible()
    assert page.evaluate(UNMARKED, FOCUSABLE) == []
    # The mark is what JupyterLab of today looks for; this is what it is for.
    for index in range(1, len(VIEWS) + 1):
        places = notebook.cell(index).locator(f".wslab :is({FOCUSABLE})")
        expect(places.first).to_be_attached()
        for nth in {0, places.count() // 2, places.count() - 1}:
            if not places.nth(nth).is_visible():
                continue
            places.nth(nth).focus()
            for key in ("d", "d", "x", "a"):
                page.keyboard.press(key)
    assert len(notebook.cells()) == len(VIEWS) + 1
    assert notebook.errors() == []


def test_an_answer_that_is_given_keeps_its_keys_and_still_runs_on(notebook: Notebook, expect):
    asked, index = notebook.cell(len(VIEWS)), len(VIEWS)
    asked.get_by_text("101").click()
    asked.get_by_role("button", name="That is my prediction").click()
    expect(asked.locator(".ws-outcome")).to_be_focused()
    for _ in range(2):
        notebook.page.keyboard.press("d")
    assert len(notebook.cells()) == len(VIEWS) + 1
    count = notebook.cells()[index]["execution_count"]
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.wait_for_function(
        """([index, count]) => {
          const cell = window.jupyterapp.shell.currentWidget.content.model.cells.get(index);
          return cell.executionCount !== null && cell.executionCount !== count;
        }""",
        arg=[index, count],
    )
    notebook.wait_idle()

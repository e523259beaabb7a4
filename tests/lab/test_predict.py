"""predict() in a real JupyterLab: mouse and keyboard, an answer that outlives the page, a cell that
compares while nobody has answered.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

CELLS = [
    "from wslab.learn import predict\n"
    'guess = predict("Which status opens a WebSocket?", [101, 200, 426])\nguess',
    'free = predict("Which opcode is text?")\nfree',
    'guess.compare(101, because="it switches protocols")',
    "free.compare(1)",
    "print(guess.answer, guess.was_right, free.answer, free.was_right)",
]


def lines(cell) -> list[str]:
    return cell.locator(".ws-outcome").inner_text().split("\n")


@pytest.fixture
def notebook(lab: Lab):
    with lab.open(lab.write("predict.ipynb", CELLS)) as opened:
        yield opened


def test_run_all_with_nothing_answered(notebook):
    notebook.run_all()
    assert notebook.errors() == []
    wanted = ["you said", "not answered", "the wire says", "101"]
    for index in (0, 2):  # where it was asked, and where it was compared
        assert lines(notebook.cell(index))[:4] == wanted
        assert notebook.cell(index).locator("input:enabled").count() == 0
    assert notebook.text(4) == "None None None None\n"
    assert "the wire says  101" in notebook.text(2)
    assert notebook.console == []


def test_the_keyboard_chooses_and_commits_and_moves_no_cell(notebook, expect):
    keys = notebook.page.keyboard
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.select(0)
    asked = notebook.cell(0)
    asked.locator("input").first.focus()
    for key in ("Space", "ArrowDown", "ArrowDown"):
        keys.press(key)
    assert asked.locator("input").nth(2).is_checked()
    keys.press("Tab")
    expect(asked.locator(".ws-predict button")).to_be_focused()
    keys.press("Enter")
    expect(asked.locator(".ws-outcome")).to_be_focused()
    assert lines(asked) == ["you said", "426", "Now run on."]

    typed = notebook.cell(1).locator("input")
    typed.focus()
    keys.type("1 ")
    keys.press("Enter")
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    assert notebook.page.evaluate(active) <= 1

    for index in (2, 3, 4):
        notebook.run_cell(index)
    assert notebook.text(4) == "426 False 1 True\n"
    assert lines(notebook.cell(1)) == ["you said", "1", "the wire says", "1 (as you said)"]
    assert notebook.console == []


def test_an_answer_outlives_the_page(notebook, expect):
    notebook.run_cell(0)
    button = notebook.cell(0).locator(".ws-predict button")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)  # nothing is chosen: it stays open
    notebook.cell(0).locator(".ws-predict").get_by_text("200").click()
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    assert lines(notebook.cell(0))[:2] == ["you said", "200"]
    notebook.wait_idle()
    notebook.command("docmanager:save")
    notebook.page.reload()
    notebook.wait_ready()
    expect(notebook.cell(0).locator(".ws-outcome")).to_contain_text("200")
    notebook.run_cell(2)
    assert lines(notebook.cell(0))[:4] == ["you said", "200", "the wire says", "101"]

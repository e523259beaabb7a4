"""predict() in a real JupyterLab: mouse and keyboard, an answer that outlives the page and its own
cell's next run, a cell that compares while nobody has answered.
"""

from __future__ import annotations

import time

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


def tells(cell, wanted: list[str], *, first: int | None = None) -> None:
    """What is said beside a question's outcome (its first lines); soon, for the kernel has its say,
    and not always on the thread on which cells run.
    """
    deadline = time.monotonic() + 20
    shown = cell.locator(".ws-outcome")
    while (lines := shown.inner_text().split("\n")[:first]) != wanted:
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)


@pytest.fixture
def notebook(lab: Lab):
    with lab.open(lab.write("predict.ipynb", CELLS)) as opened:
        yield opened


def test_run_all_with_nothing_answered(notebook):
    notebook.run_all()
    assert notebook.errors() == []
    wanted = ["you said", "not answered", "the wire says", "101"]
    for index in (0, 2):  # where it was asked, and where it was compared
        tells(notebook.cell(index), wanted, first=4)
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
    tells(asked, ["you said", "426", "Now run on."])

    typed = notebook.cell(1).locator("input")
    typed.focus()
    keys.type("1 ")
    keys.press("Enter")
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    assert notebook.page.evaluate(active) <= 1

    for index in (2, 3, 4):
        notebook.run_cell(index)
    assert notebook.text(4) == "426 False 1 True\n"
    tells(notebook.cell(1), ["you said", "1", "the wire says", "1", "\u2713 right"], first=5)
    assert notebook.console == []


def test_an_answer_outlives_the_page(notebook, expect):
    notebook.run_cell(0)
    button = notebook.cell(0).locator(".ws-predict button")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)  # nothing is chosen: it stays open
    notebook.cell(0).locator(".ws-predict").get_by_text("200").click()
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    tells(notebook.cell(0), ["you said", "200"], first=2)
    notebook.wait_idle()
    notebook.command("docmanager:save")
    notebook.reload()
    notebook.wait_ready()
    expect(notebook.cell(0).locator(".ws-outcome")).to_contain_text("200")
    notebook.run_cell(2)
    tells(notebook.cell(0), ["you said", "200", "the wire says", "101"], first=4)


ACTIVE = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
UNCOMMITTED = '200, but did not press "That is my prediction"'


# A key counts where the page's focus is within the notebook that is shown, and JupyterLab moves the
# focus there by itself some time after it has opened one: a press before that goes nowhere.
LISTENS = """index => {
  const { content } = window.jupyterapp.shell.currentWidget;
  return document.hasFocus() && content.activeCellIndex === index
    && content.node.contains(document.activeElement);
}"""
HAS_RUN = """([index, count]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const cell = content.model.cells.get(index);
  const now = cell.executionCount;
  const isOld = content.widgets[index].node.querySelector(".ws-predict.old") !== null;
  return now !== null && now !== count && content.activeCellIndex === index + 1 && !isOld;
}"""
STATE = """() => {
  const { content } = window.jupyterapp.shell.currentWidget;
  return [document.hasFocus(), content.mode, content.activeCellIndex,
          document.activeElement?.outerHTML.slice(0, 200)];
}"""


def wait(notebook, condition: str, arg: object, what: str) -> None:
    """Wait for a condition of the page; where it does not come, say how the page stands."""
    try:
        notebook.page.wait_for_function(condition, arg=arg)
    except Exception as error:
        raise AssertionError(
            f"expected {what}; has focus, mode, active cell, element: "
            f"{notebook.page.evaluate(STATE)}; cells: {notebook.cells()}; console: "
            f"{notebook.console_all}"
        ) from error


def press_shift_enter(notebook, index: int) -> None:
    """Press it for real; return when cell `index` has run once more and shows its new outputs only,
    and the next cell is active.
    """
    shown = notebook.cell(index).locator(".ws-predict")
    shown.evaluate_all("all => all.forEach(each => each.classList.add('old'))")
    count = notebook.cells()[index]["execution_count"]
    wait(notebook, LISTENS, index, f"the focus to be in cell {index}")
    notebook.page.keyboard.press("Shift+Enter")
    wait(notebook, HAS_RUN, [index, count], f"cell {index} to run")
    notebook.wait_idle()


def pick(notebook, index: int, option: str) -> None:
    """Click an option's words, as one does."""
    notebook.cell(index).locator(".ws-predict").get_by_text(option, exact=True).click()


# The third cell compares; the second one asks nothing here, so that the third is the next but one.
FLOW = [CELLS[0], "frames = 101", CELLS[2], "print(guess.answer, guess.was_right)"]


@pytest.fixture
def flow(lab: Lab):
    with lab.open(lab.write("flow.ipynb", FLOW)) as opened:
        opened.cell(0).locator(".cm-content").click()
        press_shift_enter(opened, 0)
        shown = "() => document.querySelector('.jp-Notebook .jp-Cell .ws-predict') !== null"
        wait(opened, shown, None, "the question to be shown")
        yield opened


@pytest.mark.parametrize("way", ["button", "shift+enter", "enter on the button"])
def test_running_on_with_shift_enter_keeps_the_answer(flow, expect, way):
    pick(flow, 0, "200")
    assert flow.page.evaluate(ACTIVE) == 0  # so that Shift+Enter runs the question's cell again
    if way == "button":
        flow.cell(0).locator(".ws-predict button").click()
    elif way == "enter on the button":
        flow.page.keyboard.press("Tab")
        flow.page.keyboard.press("Enter")
    # else: straight from the option, which commits to it
    press_shift_enter(flow, 0)
    expect(flow.cell(0).locator(".ws-outcome")).to_contain_text("200")
    tells(flow.cell(0), ["you said", "200", "Now run on."])
    for index in (1, 2, 3):
        press_shift_enter(flow, index)
    for index in (0, 2):
        tells(flow.cell(index), ["you said", "200", "the wire says", "101"], first=4)
    assert flow.text(3) == "200 False\n"
    assert flow.console == []


def test_shift_enter_runs_on_from_every_place_in_the_question(flow, expect):
    radio = flow.cell(0).locator("input").first
    radio.focus()  # nothing is chosen
    press_shift_enter(flow, 0)
    expect(flow.cell(0).locator(".ws-predict button")).to_have_attribute("aria-disabled", "true")
    pick(flow, 0, "426")
    flow.page.keyboard.press("Tab")
    expect(flow.cell(0).locator(".ws-predict button")).to_be_focused()
    press_shift_enter(flow, 0)
    expect(flow.cell(0).locator(".ws-outcome")).to_contain_text("426")
    again = flow.cell(0).get_by_role("button", name="Change it")
    again.focus()
    flow.page.keyboard.press("Enter")
    expect(flow.cell(0).locator("input").nth(2)).to_be_focused()
    flow.page.keyboard.press("ArrowUp")
    press_shift_enter(flow, 0)
    tells(flow.cell(0), ["you said", "200", "Now run on."])
    assert flow.console == []


def test_shift_enter_in_a_typed_answer_commits_it(notebook):
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.cell(1).locator("input").click()
    notebook.page.keyboard.type("1")
    press_shift_enter(notebook, 1)
    tells(notebook.cell(1), ["you said", "1", "Now run on."])
    assert notebook.console == []


def test_an_option_that_was_not_committed_to_is_told_as_such(flow, expect):
    pick(flow, 0, "200")
    flow.run_cell(0)  # by the toolbar, say: it is chosen still, and not committed to
    expect(flow.cell(0).locator("input").nth(1)).to_be_checked()
    flow.select(1)
    flow.run_cell(2)
    for index in (0, 2):
        tells(flow.cell(index), ["you chose", UNCOMMITTED, "the wire says", "101"], first=4)
        expect(flow.cell(index).locator("input").nth(1)).to_be_checked()
    assert "you chose      " + UNCOMMITTED in flow.text(2)
    flow.run_cell(3)
    assert flow.text(3) == "None None\n"


def test_questions_in_one_cell_leave_each_other_alone(lab: Lab, expect):
    ask = (
        "from wslab.learn import predict\n"
        'one, two, three = (predict(f"Question {n}?", ["yes", "no"]) for n in (1, 2, 3))\n'
        "display(one, two, three)"
    )
    show = 'display(one.compare("no"), two.compare("yes"), three.compare("no"))'
    with lab.open(lab.write("several.ipynb", [ask, show])) as notebook:
        notebook.run_cell(0)
        questions = notebook.cell(0).locator(".ws-predict")
        expect(questions).to_have_count(3)
        questions.nth(0).get_by_text("no", exact=True).click()
        questions.nth(0).locator("button").click()
        questions.nth(1).get_by_text("yes", exact=True).click()
        press_shift_enter(notebook, 0)  # commits to the second, runs the cell again
        expect(questions.nth(1).locator(".ws-outcome")).to_contain_text("yes")
        expect(questions.nth(0).locator(".ws-outcome")).to_contain_text("no")
        questions.nth(2).get_by_text("yes", exact=True).click()
        notebook.wait_idle()
        notebook.run_cell(1)
        for index in (0, 1):
            marks = notebook.cell(index).locator("input")
            expect(marks).to_have_count(6)
            marked = [marks.nth(n).is_checked() for n in range(6)]
            assert marked == [False, True, True, False, True, False]
        told = [
            each.split("\n")[:2]
            for each in notebook.cell(1).locator(".ws-outcome").all_inner_texts()
        ]
        assert told == [
            ["you said", "no"],
            ["you said", "yes"],
            ["you chose", 'yes, but did not press "That is my prediction"'],
        ]
        assert notebook.console == []


def test_a_mind_may_change_until_the_outcome_is_known(flow, expect):
    asked = flow.cell(0)
    pick(flow, 0, "200")
    asked.locator(".ws-predict button").click()
    asked.get_by_role("button", name="Change it").click()
    pick(flow, 0, "101")
    asked.locator(".ws-predict button").click()
    tells(asked, ["you said", "101", "Now run on."])
    asked.get_by_role("button", name="Change it").click()
    pick(flow, 0, "426")  # and no press: the answer from before stands
    flow.run_cell(2)
    for index in (0, 2):
        wanted = ["you said", "101", "the wire says", "101", "\u2713 right"]
        tells(flow.cell(index), wanted, first=5)
        expect(flow.cell(index).locator("input").first).to_be_checked()
    assert flow.cell(0).locator(".ws-predict button").count() == 0
    assert flow.console == []


def test_run_all_twice_keeps_what_was_said_until_the_kernel_restarts(flow, expect):
    pick(flow, 0, "200")
    flow.cell(0).locator(".ws-predict button").click()
    for _ in range(2):
        flow.run_all()
        for index in (0, 2):
            tells(flow.cell(index), ["you said", "200", "the wire says", "101"], first=4)
        assert flow.text(3) == "200 False\n"
    flow.run_cell(0)  # its outcome has been shown: it may not be changed any more
    expect(flow.cell(0).locator(".ws-outcome")).to_contain_text("Now run on.")
    assert flow.cell(0).locator(".ws-predict button").count() == 0
    flow.restart_kernel()
    flow.run_cell(0)
    expect(flow.cell(0).locator("input:enabled")).to_have_count(3)
    expect(flow.cell(0).locator("input:checked")).to_have_count(0)

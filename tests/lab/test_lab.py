"""The harness on a small notebook: a widget renders, cells run, themes change, the console is
clean. What fails here is JupyterLab or the harness, not a lesson.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

WIDGET = """
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    export default { render({ model, el }) {
      const button = document.createElement("button");
      button.className = "counter";
      const draw = () => { button.textContent = `count ${model.get("count")}`; };
      model.on("change:count", draw);
      button.onclick = () => model.send({ press: 1 });
      draw();
      el.append(button);
    } };
    '''
    count = traitlets.Int(0).tag(sync=True)

counter = Counter()
counter.on_msg(lambda widget, content, buffers: setattr(widget, "count", content["press"]))
counter
"""
CELLS = [WIDGET, "a = 41", "a += 1", "print(a)", "await __import__('asyncio').sleep(0)", "a"]


@pytest.fixture
def trivial(any_lab: Lab):
    with any_lab.open(any_lab.write("trivial.ipynb", CELLS)) as notebook:
        yield notebook


def test_a_widget_renders_and_run_all_runs_all(trivial: Notebook, expect, tmp_path):
    assert trivial.not_run() == [0, 1, 2, 3, 4, 5]
    trivial.run_all()
    assert trivial.errors() == []
    assert trivial.not_run() == []
    assert trivial.text(3) == "42\n"
    assert trivial.text(5) == "42"

    button = trivial.cell(0).locator("button.counter")
    expect(button).to_have_text("count 0")
    button.click()
    expect(button).to_have_text("count 1")

    trivial.set_theme(DARK)
    trivial.screenshot(tmp_path / "dark.png")
    trivial.set_theme(LIGHT)
    trivial.screenshot(tmp_path / "cell.png", index=0)
    for name in ("dark.png", "cell.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

    trivial.restart_kernel()
    trivial.run_cell(5)
    assert trivial.errors() == ["cell 5: NameError: name 'a' is not defined"]
    assert trivial.console == []


def test_the_console_is_heard(lab: Lab):
    with lab.open(lab.write("noisy.ipynb", ["1"])) as notebook:
        notebook.page.evaluate("console.error('a real error')")
        with notebook.page.expect_event("pageerror"):
            notebook.page.evaluate("setTimeout(() => { throw new Error('uncaught'); })")
        assert "error: a real error" in notebook.console[0]
        assert "uncaught" in notebook.console[1]


def test_a_cell_that_does_not_end_is_reported(lab: Lab):
    """With what it waits for, as the page, the server and the kernel see it."""
    path = lab.write("endless.ipynb", ["import time; time.sleep(30)", "1"])
    with lab.open(path) as notebook:
        dialog = "<p class=jp-Dialog>Save your work?</p>"
        notebook.page.evaluate(
            "text => document.body.insertAdjacentHTML('beforeend', text)", dialog
        )
        with pytest.raises(TimeoutError) as raised:
            notebook.run_all(timeout=1)
    told = str(raised.value)
    for part in (
        "without a number are cells [0, 1]",
        '[0, "running", null]',
        "the messages' queue: done",
        '"execute_request"',
        "time.sleep(30)",
        "> execute_request",
        "< status busy",
        "Save your work?",
        '"execution_state": ',
        "KeyboardInterrupt",
    ):
        assert part in told, (part, told)

"""A light look at wslab where most tests do not go: Firefox, Notebook 7, and a lab whose documents
many edit at once. In each, a server's panel, a page's own socket, and a Hub's map of rooms.

Each is skipped with one line where it is missing; REQUIRE_FRONT_ENDS=1 makes that a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import site
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Sync
from tests.front_ends.firefox import NAMES, Firefox, find_firefox
from tests.lab.harness import COMMAND, ENDED, IDLE, READY, Lab
from tests.lab.test_browser_in_lab import Shown
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

REQUIRED = os.environ.get("REQUIRE_FRONT_ENDS", "") not in ("", "0")
CELLS = [
    """
import json, wslab
hub = wslab.Hub("rooms")
@hub.on("connect")
async def connect(client):
    client.join("lobby")
hub_server = wslab.serve(hub)
ana = wslab.connect(hub_server, name="ana")
hub""",
    """
async def handler(websocket):
    await websocket.send("hello")
    await websocket.close(4001, "that is all")
server = wslab.serve(handler, subprotocols=["beta"], name="handler")
server""",
    "browser = wslab.Browser(server, protocols=['alpha', 'beta'])\nbrowser",
    """
closed = [event for event in browser.events if event.type == "close"]
print(json.dumps([browser.protocol, browser.received, [[e.code, e.reason] for e in closed]]))""",
]
TOLD = ["beta", ["hello"], [[4001, "that is all"]]]


def need(found: object, what: str) -> None:
    """Skip where something is missing; fail where the environment says that it must be there."""
    if not found:
        assert not REQUIRED, f"REQUIRE_FRONT_ENDS is set, but there is {what}"
        pytest.skip(what)


def outcome(notebook: Any, index: int = 3) -> Any:
    """Run the last cell until the page has told the kernel how it ended."""
    for _ in range(40):
        notebook.run_cell(index)
        if (said := json.loads(notebook.text(index)))[2]:
            return said
    raise AssertionError(said)


# What a page of Jupyter's shows, without Playwright: the text of a view in a cell.
TEXT = """([index, selector]) => {
  const { widgets } = window.jupyterapp.shell.currentWidget.content;
  return widgets[index].node.querySelector(selector)?.innerText ?? "";
}"""
# A headless Firefox has no focus, from which JupyterLab knows which of its documents is meant.
FOCUS = """() => {
  const [widget] = window.jupyterapp.shell.widgets("main");
  widget.node.dispatchEvent(new FocusEvent("focus"));
}"""
RUN_CELL = """async ([index, timeout_ms]) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  (COMMAND)(["notebook:run-cell", {}]);
  return await (ENDED)(timeout_ms);
}""".replace("COMMAND", COMMAND).replace("ENDED", ENDED)
STREAM = """index => {
  const cell = window.jupyterapp.shell.currentWidget.content.model.cells.get(index).toJSON();
  return cell.outputs.map(output => [output.text ?? ""].flat().join("")).join("");
}"""


CONNECTED = """async path => {
  const sessions = await (await fetch("/api/sessions")).json();
  return sessions.some(({ path: its, kernel }) =>
    its === path && kernel.connections && kernel.execution_state === "idle");
}"""


def test_firefox(lab: Lab):
    executable = find_firefox()
    need(executable, f"no Firefox on the PATH ({', '.join(NAMES)}); apt install firefox-esr")
    assert executable is not None
    path = lab.write("firefox.ipynb", CELLS)
    with Firefox(executable) as firefox:
        where = f"lab/workspaces/firefox/tree/{path}?reset&token={lab.token}"
        firefox.goto(f"{lab.url}{where}")
        firefox.wait_for("() => [...(window.jupyterapp?.shell.widgets('main') ?? [])].length", 60.0)
        firefox.evaluate(FOCUS)
        firefox.evaluate(READY, 60_000)
        for index in range(3):
            assert firefox.evaluate(RUN_CELL, [index, 60_000])
        assert firefox.evaluate(IDLE, 60_000)
        shown = f"() => ({TEXT})([2, '.ws-machine [aria-current=step] b'])"
        assert firefox.wait_for(shown) in ("CONNECTING", "OPEN", "CLOSING", "CLOSED")
        firefox.wait_for(f"() => ({TEXT})([2, '.ws-machine [aria-current=step] b']) === 'CLOSED'")
        assert "ana" in firefox.wait_for(f"() => ({TEXT})([0, '.wslab'])")
        assert "handler" in firefox.wait_for(f"() => ({TEXT})([1, '.ws-panel'])")
        for _ in range(40):
            assert firefox.evaluate(RUN_CELL, [3, 60_000])
            said = json.loads(firefox.evaluate(STREAM, 3) or "[0, 0, 0]")
            if said[2]:
                break
        assert said == TOLD
        firefox.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()"
        )


def test_notebook_7(lab: Lab, expect):
    """Beside JupyterLab on the same server, with pages of its own."""
    need(find_spec("notebook"), "no notebook for this Python; make setup-test installs it")
    path = lab.write("notebook7.ipynb", CELLS)
    context = lab.new_context()
    try:
        page = context.new_page()
        console: list[str] = []
        page.on("pageerror", lambda error: console.append(f"{error.message} {error.stack}"))
        page.goto(f"{lab.url}notebooks/{path}?token={lab.token}")
        expect(page.locator(".jp-Notebook")).to_be_visible()
        cells = page.locator(".jp-Notebook .jp-Cell")
        page.wait_for_function(CONNECTED, arg="notebook7.ipynb")
        # Notebook 7 drops what is asked of it before it knows its document, and nothing of the page
        # says when that is: ask until the first cell's prompt is no longer empty.
        prompt = cells.nth(0).locator(".jp-InputPrompt")
        for _ in range(20):
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            with contextlib.suppress(AssertionError):
                expect(prompt).not_to_have_text("[ ]:", timeout=2_000)
                break
        expect(cells.nth(1)).to_contain_text("handler")
        expect(cells.nth(0).locator(".wslab").first).to_contain_text("ana")
        state = cells.nth(2).locator(".ws-machine [aria-current=step] b")
        expect(state).to_have_text("CLOSED")
        expect(cells.nth(2).locator(".ws-log")).to_contain_text('code 4001, reason "that is all"')
        expect(cells.nth(2).locator(".ws-log")).to_contain_text('protocol "beta"')
        # Notebook 7 has errors of its own, of any notebook; a widget's script is a blob.
        assert [line for line in console if "blob:" in line] == []
        page.evaluate(
            "() => fetch('/api/sessions').then(a => a.json()).then(all => Promise.all(all"
            ".filter(({ path }) => path === 'notebook7.ipynb').map(({ id }) => fetch("
            "`/api/sessions/${id}`, { method: 'DELETE', headers: { 'X-XSRFToken':"
            " /_xsrf=([^;]*)/.exec(document.cookie)[1] } }))))"
        )
    finally:
        lab.forget(context)


@pytest.fixture(scope="module")
def collaborating(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A Python with jupyter-collaboration on top of this one, and what its Jupyter needs to know.

    In an environment of its own: it changes every lab that it is installed beside.
    """
    wanted = os.environ.get("WSLAB_TEST_INSTALL", "") not in ("", "0")
    need(wanted, "jupyter-collaboration is installed only with WSLAB_TEST_INSTALL=1")
    folder = tmp_path_factory.mktemp("collaboration")
    venv.create(folder, with_pip=True, symlinks=os.name == "posix")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    asked = [str(python), "-c", "import site; print(site.getsitepackages()[-1])"]
    packages = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    (Path(packages.stdout.strip()) / "below.pth").write_text("\n".join(site.getsitepackages()))
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "jupyter-collaboration>=4"], check=True, timeout=200)
    below = Path(sys.prefix)
    return str(python), {
        "JUPYTER_PATH": str(below / "share" / "jupyter"),
        "JUPYTER_CONFIG_PATH": str(below / "etc" / "jupyter"),
        "JUPYTERLAB_DIR": str(below / "share" / "jupyter" / "lab"),
    }


def test_a_document_that_many_edit(
    chromium: Sync, collaborating: tuple[str, dict[str, str]], expect
):
    python, env = collaborating
    with Lab(chromium, python=python, env=env) as lab:
        path = lab.write("together.ipynb", CELLS)
        with lab.open(path, alone=True) as first, lab.open(path, alone=True) as second:
            extensions = first.page.evaluate("() => window.jupyterapp.listPlugins?.() ?? []")
            assert any(re.search("collaboration|docprovider", name) for name in extensions)
            for index in range(3):
                first.run_cell(index)
            expect(Shown(first, 2).now).to_have_text("CLOSED")
            assert outcome(first) == TOLD
            expect(first.cell(1)).to_contain_text("handler")
            # The other one sees the same outputs, in their static form: Jupyter gives the page that
            # did not run the cell no live widget.
            for index, words in ((0, "ana"), (1, "handler"), (2, "a WebSocket of the page")):
                expect(second.cell(index)).to_contain_text(words)
            expect(second.cell(2)).not_to_contain_text("Error displaying widget")
            # Both pages hear every message of the kernel, also those for the other's widgets.
            said = [line for line in complaints(first) if "Comm not found" not in line]
            assert said == []

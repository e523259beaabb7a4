"""The panels in a real JupyterLab: every button, also while a cell runs; re-run, reload, restart.

WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import re

import pytest

from tests.browser import Sync
from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SERVE = """
import time
import wslab
from IPython.display import display

async def echo(websocket):
    async for message in websocket:
        if message == "boom":
            raise ValueError("not this one")
        if message == "hold":
            time.sleep(1.5)
        await websocket.send(message)

server = wslab.serve(echo)
server"""
CONNECT = "alice = wslab.connect(server, name='alice')\nalice"
BUSY = "time.sleep(2.5)"
AWAITING = "await __import__('asyncio').sleep(2.5)"
WAITS = "waits for the kernel (a running cell goes first)"
# JupyterLab's own: its debugger asks the kernel something while the page is being left, and a busy
# machine loads its plugins slowly.
NOT_OURS = ("Could not restore the debugger state", "warning: Plugin @jupyterlab/")
GONE = "The kernel has ended or restarts, and this with it: so it was at "


class Shown:
    """One panel in the page."""

    def __init__(self, notebook: Notebook, index: int, nth: int = 0) -> None:
        self.root = notebook.cell(index).locator(".ws-panel").nth(nth)
        self.state = self.root.locator(".ws-state")
        self.said = self.root.locator(".ws-said")
        self.note = self.root.locator(".ws-note")
        self.log = self.root.locator(".ws-log li")
        self.rows = self.root.locator("tbody tr")

    def button(self, name: str) -> Sync:
        return self.root.get_by_role("button", name=name, exact=True)


def complaints(notebook: Notebook) -> list[str]:
    """Return what the page's console says, as far as it may be about the panels."""
    return [line for line in notebook.console if not any(part in line for part in NOT_OURS)]


def start_cell(notebook: Notebook, index: int) -> None:
    """Run a cell without waiting for it; return when the kernel is busy with it."""
    notebook.select(index)
    notebook.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    notebook.page.wait_for_function(
        """i => window.jupyterapp.shell.currentWidget.content.widgets[i]
                .model.executionState === "running" """,
        arg=index,
    )


def test_every_button_also_while_a_cell_runs(lab: Lab, expect):
    path = lab.write("buttons.ipynb", [SERVE, CONNECT, BUSY, AWAITING, "server"])
    with lab.open(path) as notebook:
        for index in (0, 1, 4):
            notebook.run_cell(index)
        assert notebook.errors() == []
        server, alice, again = Shown(notebook, 0), Shown(notebook, 1), Shown(notebook, 4)
        expect(server.state).to_contain_text("listening")
        expect(server.rows).to_have_count(1)
        expect(again.rows).to_have_count(1)  # two views of one model
        expect(alice.state).to_contain_text("open")

        alice.button("Ping").click()
        expect(alice.said).to_contain_text("pong after ")
        box = alice.root.get_by_role("textbox", name="Text to send")
        box.fill("by Enter")
        box.press("Enter")
        expect(alice.log).to_have_count(2)
        expect(box).to_have_value("")
        box.fill("by the button")
        alice.button("Send").click()
        expect(alice.log).to_have_count(4)
        texts = [row.split("\n")[-1] for row in alice.log.all_inner_texts()]
        assert texts == ["by Enter", "by Enter", "by the button", "by the button"]
        expect(server.rows.locator("td").nth(3)).to_have_text("2")

        # While a cell runs: at once where Jupyter sends it to a subshell, else after the cell.
        start_cell(notebook, 2)
        box.fill("while a cell runs")
        alice.button("Send").click()
        expect(alice.log).to_have_count(6)
        notebook.wait_idle()
        start_cell(notebook, 3)
        box.fill("while a cell awaits")
        box.press("Enter")
        expect(alice.log).to_have_count(8)
        notebook.wait_idle()

        # What cannot be answered yet says that it waits. Here a handler holds the loop.
        box.fill("hold")
        box.press("Enter")
        expect(alice.said).to_have_text("sent")
        alice.button("Ping").click()
        expect(alice.button("Ping")).to_have_attribute("aria-disabled", "true")
        expect(alice.said).to_have_text(WAITS)
        expect(alice.said).to_contain_text("pong after ")
        expect(alice.button("Ping")).to_have_attribute("aria-disabled", "false")
        expect(server.root).to_contain_text("s by the handler echo() of server 'echo'")

        box.fill("boom")
        box.press("Enter")
        expect(alice.state).to_contain_text("closed")
        expect(alice.root).to_contain_text("Why it closed: The server closed it with 1011")
        expect(alice.button("Ping")).to_be_hidden()
        expect(box).to_be_hidden()
        server.root.locator("summary:visible").click()
        expect(server.root.locator("pre:visible")).to_contain_text("ValueError: not this one")
        expect(server.root).to_contain_text("Nobody is connected.")

        server.button("Restart").click()
        expect(server.said).to_have_text("restarted; its clients were told 1012")
        expect(again.note).to_contain_text("restarted on the same port")
        again.button("Stop").click()
        for panel in (server, again):
            expect(panel.state).to_contain_text("stopped")
            expect(panel.button("Stop")).to_be_hidden()
        expect(again.button("Start")).to_be_focused()
        notebook.page.keyboard.press("Space")
        expect(again.said).to_have_text("started on the same port")
        expect(again.state).to_contain_text("listening")

        notebook.run_cell(1)
        alice = Shown(notebook, 1)
        alice.button("Close").click()
        expect(alice.said).to_have_text("closed with 1000")
        expect(alice.root).to_contain_text("This client closed it with 1000")
        assert complaints(notebook) == []


def test_it_lives_while_its_own_cell_runs(lab: Lab, expect):
    # The page's "ready" waits for the cell: the panel is brought up to date without it.
    cell = f"""{SERVE}
alice = wslab.connect(server, name="alice")
display(alice)
for number in range(30):
    alice.send(f"message {{number}}")
    time.sleep(0.1)
"""
    with lab.open(lab.write("lives.ipynb", [cell])) as notebook:
        start_cell(notebook, 0)
        expect(Shown(notebook, 0).log.first).to_contain_text("message 0")
        expect(Shown(notebook, 0).log).not_to_have_count(1)
        assert not notebook.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets[0]
                     .model.executionState === "idle" """
        )
        notebook.wait_idle()
        expect(Shown(notebook, 0).log).to_have_count(30)
        assert complaints(notebook) == []


def test_run_again_loaded_again_and_restarted(lab: Lab, expect):
    path = lab.write("again.ipynb", [SERVE, CONNECT, "server"])
    with lab.open(path) as notebook:
        for index in (0, 1, 2, 0, 1):
            notebook.run_cell(index)
        assert notebook.errors() == []
        expect(Shown(notebook, 0).note).to_have_text(
            "replaces what this cell had started before, on the same port"
        )
        old = Shown(notebook, 2)
        expect(old.state).to_contain_text("its cell ran again, and a new server took its place")
        expect(old.root.locator(".ws-buttons button:visible")).to_have_count(0)

        notebook.command("docmanager:save")
        notebook.reload()
        notebook.wait_ready()
        server, alice = Shown(notebook, 0), Shown(notebook, 1)
        expect(server.rows).to_have_count(1)
        expect(Shown(notebook, 2).state).to_contain_text("stopped")
        alice.button("Ping").click()
        expect(alice.said).to_contain_text("pong after ")

        notebook.restart_kernel()
        for panel in (server, alice):
            expect(panel.root).to_contain_text(GONE)
        expect(server.button("Stop")).to_have_attribute("aria-disabled", "true")
        expect(alice.button("Send")).to_have_attribute("aria-disabled", "true")
        assert complaints(notebook) == []


def test_on_a_hub_it_names_the_url_for_this_browser(chromium: Sync, expect):
    prefix = "/user/demo-abc/"
    env = {"JUPYTERHUB_SERVICE_PREFIX": prefix}
    with (
        Lab(chromium, base_url=prefix, env=env) as lab,
        lab.open(lab.write("hub.ipynb", [SERVE])) as notebook,
    ):
        notebook.run_cell(0)
        assert notebook.errors() == []
        server = Shown(notebook, 0)
        url = server.root.locator("code").first.inner_text()
        # By the tunnel where wslab is installed, which enables it; else by the proxy.
        way = rf"(wslab/[0-9a-f]{{32}}|proxy/{url.split(':')[-1].strip('/')})/"
        told = re.compile(rf"ws://127\.0\.0\.1:{lab.port}{prefix}{way}")
        expect(server.root.locator("code").nth(1)).to_have_text(told)
        expect(server.root).to_contain_text("through Jupyter")
        assert complaints(notebook) == []


STATES = {
    "nobody": "wslab.serve(echo, name='nobody here yet')",
    "three": """
three = wslab.serve(echo, name="three")
names = "alice", "bob", "a client with a name that is longer than its column"
clients = [wslab.connect(three, name=name) for name in names]
for client in clients:
    client.send("hello")
three""",
    "many": """
import websockets
many = wslab.serve(echo, name="a server with a rather long name, so that it has to be cut short")
async def crowd():
    return [await websockets.connect(f"{many.url}room/{n}?with=a-long-query") for n in range(200)]
people = wslab.run(crowd)
many""",
    "error": """
failing = wslab.serve(echo, name="failing")
carol = wslab.connect(failing, name="carol")
carol.send("boom")
list(zip(range(1), iter(lambda: carol.state.name, "CLOSED")))
try:
    carol.recv(5)
except Exception:
    pass
try:
    wslab.connect(failing, origin="https://elsewhere.example")
except wslab.errors.HandshakeRefused:
    pass
failing""",
    "stopped": "stopped = wslab.serve(echo, name='over')\nstopped.stop()\nstopped",
    "open": """
dora = wslab.connect(three, name="dora")
for message in ("Hello", "two\\nlines", "a longer text " * 40, bytes(range(40)), "<b>x</b>"):
    dora.send(message)
for _ in range(5):
    dora.recv(5)
dora""",
    "closed": "bob = wslab.connect(three, name='bob')\nbob.close(1000, 'done')\nbob",
    "broken": "carol",
    "plain": """
from IPython.display import HTML
from wslab.widgets.display import mimebundle
HTML(mimebundle(failing)["text/html"] + mimebundle(dora)["text/html"])""",
}
# The contrast of each word with what is behind it, as WCAG 2 counts it.
CONTRASTS = """() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  };
  const light = rgb => rgb
    .map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const { rgb, a } = rgba(getComputedStyle(element).backgroundColor);
      if (a > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll(".ws-panel *")) {
    const hasText = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!hasText || !element.checkVisibility()) continue;
    const back = behind(element);
    const { rgb, a } = rgba(getComputedStyle(element).color);
    const two = [light(rgb.map((v, i) => v * a + back[i] * (1 - a))), light(back)].sort();
    found.push([(two[1] + 0.05) / (two[0] + 0.05), element.textContent.slice(0, 40)]);
  }
  return found;
}"""


def test_looks(lab: Lab, expect):
    cells = [SERVE, *STATES.values()]
    folder = keep_screenshots()
    viewport = {"width": 1280, "height": 900}
    with lab.open(lab.write("looks.ipynb", cells), viewport=viewport) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        expect(Shown(notebook, 3).root.locator(".ws-more")).to_have_text("and 188 more")
        expect(Shown(notebook, 3).rows).to_have_count(12)
        for theme, width in ((LIGHT, 1280), (DARK, 1280), (LIGHT, 640)):
            notebook.set_theme(theme)
            notebook.resize(width)
            if width == 640:
                notebook.command("application:toggle-left-area")
                expect(Shown(notebook, 2).root.locator("thead")).to_be_hidden()
            contrasts = notebook.page.evaluate(CONTRASTS)
            assert len(contrasts) > 100
            assert [pair for pair in contrasts if pair[0] < 4.5] == []
            # Nothing sticks out of its panel.
            assert (
                notebook.page.evaluate(
                    """() => [...document.querySelectorAll(".ws-panel")]
                     .filter(panel => panel.scrollWidth > panel.clientWidth + 1).length"""
                )
                == 0
            )
            for index, name in enumerate(STATES, 1):
                if folder:
                    notebook.screenshot(
                        folder / f"panel-{name}-{theme[11:].lower()}-{width}.png", index=index
                    )
        assert complaints(notebook) == []

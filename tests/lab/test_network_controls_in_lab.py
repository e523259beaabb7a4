"""NetworkControls in a real JupyterLab: cut, joined, moved and reset by mouse and by keyboard.

WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import itertools

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots
from tests.lab.test_panels_in_lab import CONTRASTS, complaints, start_cell

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SERVE = """
import time
import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo, ping_interval=None)
alice, bob = (wslab.connect(server, name=name, ping_interval=None) for name in ("alice", "bob"))
wslab.NetworkControls(server)"""
BUSY = "time.sleep(2)"
SEND = 'alice.send("held")'


def wire(notebook: Notebook, index: int, name: str):
    return notebook.cell(index).get_by_role("group", name=f"Connection of {name}", exact=True)


def test_by_mouse_and_by_keyboard(lab: Lab, expect):
    path = lab.write("network.ipynb", [SERVE, "wslab.NetworkControls(alice)", "server", BUSY, SEND])
    with lab.open(path) as notebook:
        for index in (0, 1, 2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        alice, bob = wire(notebook, 0, "alice"), wire(notebook, 0, "bob")
        said = notebook.cell(0).locator(".ws-said")
        expect(alice.locator(".ws-wire-words")).to_have_text("joined")

        # The cable, by the mouse and by the keyboard.
        alice.get_by_role("button", name="Cut the cable of alice").click()
        expect(alice.locator(".ws-wire-words")).to_have_text(
            "cut: nothing passes, and neither end is told"
        )
        expect(said).to_have_text("alice: cut")
        notebook.run_cell(4)
        expect(alice.locator(".ws-wire-said > b")).to_have_text("10 B held")
        join = alice.get_by_role("button", name="Join the cable of alice")
        join.focus()
        notebook.page.keyboard.press("Space")
        expect(said).to_have_text("alice: joined again")
        expect(alice.locator(".ws-wire-said > b")).to_be_hidden()
        assert len(notebook.cells()) == 5

        # A slider, moved faster than the kernel answers; a preset, and what it sets.
        start_cell(notebook, 3)
        delay = bob.get_by_role("slider", name="Delay of bob")
        delay.focus()
        for _ in range(5):
            notebook.page.keyboard.press("ArrowRight")
        notebook.wait_idle()
        expect(delay).to_have_attribute("aria-valuetext", "200 ms")
        notebook.wait_until("server.connections[1].network.delay_s == 0.2")
        like = bob.get_by_role("combobox", name="What the network of bob is like")
        like.select_option("")
        expect(delay).to_have_attribute("aria-valuetext", "0")

        # The same in the server's panel, folded; and of one client.
        panel = notebook.cell(2)
        panel.locator("summary", has_text="Network").click()
        stop = wire(notebook, 2, "bob").get_by_role("button", name="Let the server stop reading")
        stop.click()
        expect(bob.locator(".ws-wire-words")).to_have_text(
            "the server reads nothing: what comes waits"
        )
        own = wire(notebook, 1, "alice")
        own.get_by_role("button", name="Reset the connection of alice").click()
        expect(own).to_have_count(0)
        expect(notebook.cell(0)).to_contain_text("alice closed with 1006")
        assert complaints(notebook) == []


STICKING_OUT = """() => [...document.querySelectorAll(".ws-panel")]
  .filter(panel => panel.scrollWidth > panel.clientWidth + 1).length"""
STATES = """
alice.network.delay_s, alice.network.bytes_per_s = 0.2, 20_000
wires = [one.network for one in server.connections]
wires[0].cut()
wires[1].stop_reading()
wires[1].delay_s, wires[1].jitter_s = (0.05, 0.2), 1.5
alice.send("held " * 100)
carol = wslab.connect(server, name="carol, whose name is a rather long one", ping_interval=None)
wslab.NetworkControls(server)"""


def test_it_looks_right(lab: Lab):
    cells = [SERVE, STATES, "wslab.NetworkControls(alice)", "server"]
    path = lab.write("network_looks.ipynb", cells)
    folder = keep_screenshots()
    with lab.open(path, viewport={"width": 1280, "height": 900}) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        notebook.cell(3).locator("summary", has_text="Network").click()
        for width, theme in itertools.product((1280, 640), (LIGHT, DARK)):
            notebook.resize(width)
            notebook.set_theme(theme)
            assert [pair for pair in notebook.page.evaluate(CONTRASTS) if pair[0] < 4.5] == []
            assert notebook.page.evaluate(STICKING_OUT) == 0
            if folder is not None:
                for index in (1, 2, 3):
                    name = f"network-{index}-{width}-{theme.split()[-1].lower()}.png"
                    notebook.screenshot(folder / name, index=index)
        notebook.set_theme(LIGHT)
        assert complaints(notebook) == []

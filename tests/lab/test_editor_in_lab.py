"""The handshake editor in a real JupyterLab: take out, spoil, send, look back; mouse and keyboard.

WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import pytest

from tests.browser import Sync
from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SERVE = """
import time
import wslab
from wslab.widgets import HandshakeEditor

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo)
editor = HandshakeEditor(server)
editor"""
ASK = "for name in ('Host', 'Upgrade'): editor.ask(omit=name)\neditor"
BUSY = "time.sleep(2)"
AWAITING = "await __import__('asyncio').sleep(2)"
WIRE = """
for event in server.tape.events:
    if event.kind == "request":
        print(event.request.start_line, "|", *(h.name + "=" + h.value for h in event.request.headers
              if h.name in ("Origin", "Cookie", "Sec-WebSocket-Version")))"""
SELF = """
async def hand_made(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 400 Bad Request\\r\\nContent-Length: 0\\r\\n\\r\\n")
    writer.close()

HandshakeEditor(hand_made)"""


class Editor:
    """One editor in the page."""

    def __init__(self, notebook: Notebook, index: int) -> None:
        self.root = notebook.cell(index).locator(".ws-editor")
        self.attempts = self.root.locator(".ws-attempts li button")
        self.verdict = self.root.locator(".ws-verdict")
        self.answer = self.root.locator(".ws-answer")
        self.said = self.root.locator(".ws-said")
        self.send = self.root.get_by_role("button", name="Send", exact=True)
        self.back = self.root.get_by_role("button", name="Put it all back")

    def tick(self, name: str) -> Sync:
        return self.root.get_by_role("checkbox", name=f"{name}:", exact=True)

    def box(self, label: str) -> Sync:
        return self.root.get_by_role("textbox", name=label, exact=True)

    def value(self, name: str) -> Sync:
        return self.box(f"Value of {name}")


def start_cell(notebook: Notebook, index: int) -> None:
    """Run a cell without waiting for it; return when the kernel is busy with it."""
    notebook.select(index)
    notebook.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    notebook.page.wait_for_function(
        """i => window.jupyterapp.shell.currentWidget.content.widgets[i]
                .model.executionState === "running" """,
        arg=index,
    )


def test_take_out_spoil_send_and_look_back(lab: Lab, expect):
    with lab.open(lab.write("editor.ipynb", [SERVE, ASK, WIRE, SELF])) as notebook:
        notebook.run_cell(0)
        editor = Editor(notebook, 0)
        expect(editor.root).to_contain_text("Nothing was sent yet.")
        expect(editor.back).to_have_attribute("aria-disabled", "true")
        key = editor.value("Sec-WebSocket-Key").input_value()

        # As it stands.
        editor.send.click()
        expect(editor.verdict).to_contain_text("101 Switching Protocols")
        expect(editor.answer).to_contain_text("The last two are the same")
        expect(editor.answer.locator(".ws-steps")).to_contain_text(key)
        expect(editor.value("Sec-WebSocket-Key")).not_to_have_value(key)  # a fresh one

        # Without a header; and back again.
        editor.tick("Sec-WebSocket-Key").uncheck()
        editor.send.click()
        expect(editor.attempts).to_have_count(2)
        expect(editor.verdict).to_contain_text("400 Bad Request")
        expect(editor.verdict).to_contain_text("because of Sec-WebSocket-Key")
        expect(editor.answer).to_contain_text("missing Sec-WebSocket-Key header")
        editor.back.click()
        expect(editor.tick("Sec-WebSocket-Key")).to_be_checked()
        expect(editor.back).to_have_attribute("aria-disabled", "true")

        # Who writes a value wants it sent; Enter sends.
        editor.value("Origin").fill("https://evil.example")
        expect(editor.tick("Origin")).to_be_checked()
        editor.value("Origin").press("Enter")
        expect(editor.attempts).to_have_count(3)
        expect(editor.verdict).to_contain_text("403 Forbidden")
        expect(editor.verdict).to_contain_text("because of Origin")
        editor.back.click()

        editor.value("Sec-WebSocket-Version").fill("8")
        editor.box("Name of another header").fill("Cookie")
        editor.box("Value of that header").fill("id=1")
        editor.box("Target").fill("/elsewhere")
        editor.send.click()
        expect(editor.attempts).to_have_count(4)
        expect(editor.attempts.last).to_contain_text("400 Bad Request")
        editor.back.click()
        expect(editor.value("Sec-WebSocket-Version")).to_have_value("13")

        # Look back, with the keyboard.
        editor.attempts.first.focus()
        notebook.page.keyboard.press("Enter")
        expect(editor.attempts.first).to_have_attribute("aria-current", "true")
        expect(editor.verdict).to_contain_text("101 Switching Protocols")

        # What cannot be sent is said, and the button can be pressed again.
        editor.box("Method").fill("GE T")
        editor.send.click()
        expect(editor.said).to_contain_text("not sent: expected a method without white space")
        expect(editor.send).to_have_attribute("aria-disabled", "false")
        expect(editor.attempts).to_have_count(4)

        # From Python, in every view of it; and all of it was on the wire.
        notebook.run_cell(1)
        again = Editor(notebook, 1)
        for view in (editor, again):
            expect(view.attempts).to_have_count(6)
            expect(view.attempts.nth(4)).to_contain_text("without Host")
            expect(view.verdict).to_contain_text("426 Upgrade Required")
        notebook.run_cell(2)
        lines = notebook.text(2).splitlines()
        assert len(lines) == 6
        assert lines[2] == "GET / HTTP/1.1 | Sec-WebSocket-Version=13 Origin=https://evil.example"
        assert lines[3].startswith("GET /elsewhere HTTP/1.1 | Sec-WebSocket-Version=8 Cookie=")
        assert "id=1" not in lines[3]

        # A function that answers by hand.
        notebook.run_cell(3)
        own = Editor(notebook, 3)
        own.send.click()
        expect(own.verdict).to_contain_text("400 Bad Request")
        expect(own.root).to_contain_text("hand_made()")
        assert notebook.errors() == []
        assert notebook.console == []


def test_it_waits_for_a_running_cell_and_never_jams(lab: Lab, expect):
    with lab.open(lab.write("busy.ipynb", [SERVE, BUSY, AWAITING])) as notebook:
        notebook.run_cell(0)
        editor = Editor(notebook, 0)
        expect(editor.root).to_contain_text("Nothing was sent yet.")
        for count, index in enumerate((1, 2), 1):
            start_cell(notebook, index)
            editor.send.click()
            editor.send.click()  # pending, or answered at once and pressed again
            notebook.wait_idle()
            expect(editor.send).to_have_attribute("aria-disabled", "false")
            expect(editor.said).to_have_text("")
            assert count <= editor.attempts.count() <= 2 * count
        assert notebook.console == []


def test_the_page_stays_where_it_is(lab: Lab, expect):
    # A long history scrolls inside its list; neither the notebook nor JupyterLab moves.
    more = "for _ in range(15): editor.ask()"
    cells = [SERVE, more, *(f"{number}" for number in range(40))]
    with lab.open(lab.write("scroll.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        editor = Editor(notebook, 0)
        expect(editor.root).to_contain_text("Nothing was sent yet.")
        notebook.run_cell(1)
        expect(editor.attempts).to_have_count(15)
        assert editor.root.locator("ol").evaluate(
            "list => list.scrollHeight - list.scrollTop - list.clientHeight < 8"
        )
        scrolled = """() => [...document.querySelectorAll("body, body *")]
          .filter(e => e.scrollTop > 0 && e.matches("body, #main, .lm-Widget"))
          .filter(e => !e.matches(".jp-WindowedPanel-outer, .jp-Notebook")).map(e => e.className)"""
        assert notebook.page.evaluate(scrolled) == []
        assert notebook.console == []


def test_dark_and_narrow(lab: Lab, expect):
    with lab.open(lab.write("looks.ipynb", [SERVE])) as notebook:
        notebook.run_cell(0)
        editor = Editor(notebook, 0)
        editor.tick("Upgrade").uncheck()
        editor.send.click()
        expect(editor.verdict).to_contain_text("426 Upgrade Required")
        folder = keep_screenshots()
        for theme in (LIGHT, DARK):
            notebook.set_theme(theme)
            for width in (1400, 760):
                notebook.resize(width, 1200)
                over = editor.root.evaluate(
                    """root => [...root.querySelectorAll("*")].filter(e =>
                         e.getBoundingClientRect().right > root.getBoundingClientRect().right + 1
                         && !e.closest(".ws-only-read")).map(e => e.className || e.tagName)"""
                )
                assert over == []
                if folder:
                    name = f"editor-{theme.split()[-1].lower()}-{width}.png"
                    editor.root.screenshot(path=str(folder / name))
        assert notebook.console == []

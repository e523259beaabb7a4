"""The Inspector in a real JupyterLab: rows come, frames open, keys work, reloading restores it."""

from __future__ import annotations

import json

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots
from tests.wire.files.test_chrome_har import CHROMES

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

SETUP = """
import wslab
from wslab.widgets import Inspector

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo, name="echo")
"""
SHOW = "inspector = Inspector(server)\ninspector"
TALK = """
alice = wslab.connect(server, name="alice")
bob = wslab.connect(server, name="bob")
alice.send("Hello")
alice.recv(timeout=10)
bob.send(b"\\x01\\x02\\x03")
bob.recv(timeout=10)
alice.ping()
"""
BYE = 'alice.close(1000, "bye")'
BUSY = """
import time
for number in range(40):
    bob.send(f"while busy {number}")
    time.sleep(0.1)
"""
FLOOD = """
for number in range(3_000):
    bob.send(f"flood {number}")
for number in range(3_000):
    bob.recv(timeout=10)
"""


@pytest.fixture
def notebook(lab: Lab):
    cells = [SETUP, SHOW, TALK, BYE, BUSY, FLOOD]
    with lab.open(lab.write("inspector.ipynb", cells)) as opened:
        for index in range(3):
            opened.run_cell(index)
        assert opened.errors() == []
        yield opened


def row(notebook: Notebook, words: str):
    return notebook.page.locator(f'.wi-row[aria-label*="{words}"]').first


def test_the_timeline_the_microscope_and_the_handshake(notebook: Notebook, expect):
    page = notebook.page
    row(notebook, "text, “Hello”").wait_for()
    notebook.run_cell(3)
    row(notebook, "alice: closed by alice: 1000 normal closure").wait_for()
    names = page.locator(".wi-lane b").all_inner_texts()
    assert sorted(names) == ["alice", "bob", "echo"]

    row(notebook, "alice to echo, text, “Hello”").click()
    expect(page.locator(".wi-detail h3")).to_contain_text("alice to echo")
    assert "text, final, masked. 11 bytes on the wire" in page.locator(".wi-detail").inner_text()
    bits = page.locator(".wi-digits").first.locator("xpath=../..").inner_text()
    assert "FIN" in bits or "opcode: text" in bits
    sums = page.locator(".wi-sum td").all_inner_texts()
    assert sums == ["48", "65", "6c", "6c", "6f"]

    row(notebook, "101 Switching Protocols").click()
    detail = page.locator(".wi-detail").inner_text()
    assert "Accepted: from the next byte on" in detail
    assert "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" in detail
    assert "the same: it read this request and knows WebSocket" in detail

    folder = keep_screenshots()
    for theme in (DARK, LIGHT):
        notebook.set_theme(theme)
        if folder:
            notebook.screenshot(folder / f"inspector-{theme.split()[-1].lower()}.png", index=1)
    foot = page.locator(".wi-foot").inner_text()
    assert "nothing dropped" in foot
    assert notebook.console == []


def test_a_row_that_has_moved_on_while_it_was_pressed_is_chosen(notebook: Notebook, expect):
    pressed = row(notebook, "alice to echo, text, “Hello”")
    pressed.dispatch_event("pointerdown")
    # New rows have come below the pointer, which is let go of above another one.
    notebook.page.locator(".wi-canvas").dispatch_event("click", {"detail": 1})
    expect(notebook.page.locator(".wi-detail h3")).to_contain_text("alice to echo")
    assert notebook.console == []


def test_it_is_worked_with_the_keyboard(notebook: Notebook, expect):
    page = notebook.page
    row(notebook, "alice to echo, text, “Hello”").click()
    title = page.locator(".wi-detail h3")
    first = title.inner_text()
    page.keyboard.press("ArrowDown")
    expect(title).not_to_have_text(first)
    page.keyboard.press("ArrowUp")
    expect(title).to_have_text(first)
    # Another cell would have become the active one, had JupyterLab taken the arrows.
    assert page.evaluate("document.activeElement.className") == "wi-list"
    active = page.locator(".wi-list").get_attribute("aria-activedescendant")
    assert page.locator(f'[id="{active}"]').get_attribute("aria-selected") == "true"

    page.keyboard.press("Enter")
    note = page.locator(".wi-note b").first
    expect(note).to_have_text("opcode")
    page.keyboard.press("ArrowRight")
    expect(note).to_have_text("MASK")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "wi-list"
    assert notebook.console == []


def test_where_it_is_narrow_the_legend_lies_below_until_an_arrow_is_chosen(
    notebook: Notebook, expect
):
    page = notebook.page
    notebook.resize(1280)  # with the file browser beside it
    label = row(notebook, "alice to echo, text, “Hello”").locator(".wi-label")
    label.wait_for()

    def box(part: str) -> dict[str, float]:
        return dict(page.locator(f".wi {part}").bounding_box())

    def is_stacked() -> bool:
        return box(".wi-detail")["y"] >= box(".wi-left")["y"] + box(".wi-left")["height"] - 1

    whole = box(".wi-body")
    assert 760 < whole["width"] < 940
    assert is_stacked()
    assert box(".wi-left")["width"] == pytest.approx(whole["width"], abs=1)
    assert box(".wi-left")["height"] > 0.6 * whole["height"]
    detail = page.locator(".wi-detail")
    assert detail.evaluate("each => each.scrollHeight <= each.clientHeight")  # nothing is cut
    cut = "each => each.scrollWidth > each.clientWidth"
    switching = row(notebook, "101 Switching Protocols").locator(".wi-label")
    assert not switching.evaluate(cut)

    label.click()
    expect(page.locator(".wi-detail h3")).to_contain_text("alice to echo")
    assert not is_stacked()
    assert box(".wi-body")["height"] == pytest.approx(whole["height"], abs=1)  # the page stays
    page.get_by_role("button", name="Hide", exact=True).click()
    expect(page.locator(".wi-detail h3")).to_have_text("Choose an arrow")
    assert is_stacked()
    assert page.locator('.wi-row[aria-selected="true"]').count() == 0
    page.keyboard.press("ArrowUp")
    expect(page.locator('.wi-row[aria-selected="true"]')).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".wi-detail h3")).to_have_text("Choose an arrow")
    assert page.evaluate("document.activeElement.className") == "wi-list"

    if folder := keep_screenshots():
        notebook.command("application:toggle-left-area")
        for width in (930, 640):
            notebook.resize(width)
            for theme in (DARK, LIGHT):
                notebook.set_theme(theme)
                name = f"inspector-legend-{width}-{theme.split()[-1].lower()}.png"
                notebook.screenshot(folder / name, index=1)
    assert notebook.console == []


def test_filter_search_pause_and_clear(notebook: Notebook, expect):
    page = notebook.page
    row(notebook, "“Hello”").wait_for()
    hello, binary = row(notebook, "“Hello”"), row(notebook, "binary, 01 02 03")
    page.locator('.wi-chip[data-kind="binary"]').click()
    expect(binary).to_have_count(0)
    expect(hello).to_be_visible()
    page.locator('.wi-chip[data-kind="binary"]').click()
    expect(binary).to_be_visible()

    page.get_by_placeholder("Search text").fill("hell")
    expect(binary).to_have_count(0)
    expect(hello).to_be_visible()
    page.get_by_placeholder("Search text").fill("no such words")
    page.get_by_role("button", name="Show all").click()
    expect(binary).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    notebook.run_cell(3)
    expect(page.locator(".wi-state")).to_contain_text("new")
    expect(row(notebook, "closed by alice")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(row(notebook, "closed by alice")).to_be_visible()

    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".wi-empty")).to_contain_text("Nothing has happened yet")
    expect(page.locator(".wi-foot")).to_contain_text("to the server 0 frames")
    assert notebook.console == []


def test_it_lives_while_a_cell_runs_and_explains_without_the_kernel(notebook: Notebook, expect):
    page = notebook.page
    notebook.select(4)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    notebook.cell(1).scroll_into_view_if_needed()  # out of sight nothing is drawn
    row(notebook, "while busy").wait_for()
    status = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.status"
    row(notebook, "bob to echo, text, “while busy").click()
    expect(page.locator(".wi-detail h3")).to_contain_text("bob to echo")
    assert page.evaluate(status) == "busy"
    notebook.wait_idle()
    assert notebook.console == []


def test_a_flood_is_counted_and_the_page_stays_small(notebook: Notebook, expect):
    notebook.run_cell(5)
    foot = notebook.page.locator(".wi-foot")
    expect(foot).to_contain_text("to the server 3,00", timeout=15_000)
    expect(foot).to_contain_text("all are counted")
    assert notebook.page.locator(".wi-row").count() < 60
    assert notebook.console == []


def test_a_reload_brings_it_back(notebook: Notebook, expect):
    row(notebook, "“Hello”").wait_for()
    notebook.command("docmanager:save")
    notebook.reload()
    notebook.wait_ready()
    row(notebook, "“Hello”").wait_for(timeout=20_000)
    notebook.run_cell(3)
    row(notebook, "closed by alice").wait_for()
    assert notebook.console == []


RECORD = """
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape

tape = Tape(name="echo")
for name in ("alice", "bob"):
    track = tape.open(name, side="server", label=name, client_address=name, server_address="s:1")
    track.client(
        b"GET / HTTP/1.1\\r\\nHost: s\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n"
    )
    track.server(
        b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n"
    )
    track.client(bytes.fromhex("818537fa213d7f9f4d5158"))
for number in (1, 2, 3):
    asks, key = bytes([number, 2, 3, 4]), bytes(4)
    track.server(encode_frame(Opcode.PING, asks), 20.0 * number)
    track.client(encode_frame(Opcode.PONG, asks, mask_key=key), 20.0 * number + 0.01)
for number in range(200):
    track.server(encode_frame(Opcode.TEXT, b"%d" % number), 61.0 + number / 1000)
Inspector(tape, select=lambda event: event.text == "100")
"""


def test_it_opens_on_an_arrow_and_keepalive_opens_with_a_click_or_a_key(lab: Lab, expect):
    with lab.open(lab.write("chosen.ipynb", [SETUP, RECORD])) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        assert notebook.errors() == []
        page = notebook.page
        expect(page.locator(".wi-detail h3")).to_have_text("Frame 108, echo to bob")
        chosen = page.locator('.wi-row[aria-selected="true"]')
        expect(chosen).to_have_count(1)
        assert "echo to bob, text, “100”" in chosen.get_attribute("aria-label")
        expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
        places = "e => [e, e.closest('.wi-list')].map((each) => each.getBoundingClientRect())"
        inner, outer = chosen.evaluate(places)
        middle = (outer["top"] + outer["bottom"]) / 2
        assert abs((inner["top"] + inner["bottom"]) / 2 - middle) < 30

        page.locator(".wi-list").hover()
        page.mouse.wheel(0, -20_000)
        fold = page.locator('.wi-row[data-what="keepalive"]')
        expect(fold).to_contain_text("3 pings and 3 pongs, 20 s apart")
        expect(page.locator('.wi-row[data-what="gap"]')).to_have_count(0)
        pongs = page.locator('.wi-row[aria-label*="pong, "][data-what="frame"]')
        expect(pongs).to_have_count(0)
        fold.locator(".wi-label").click()
        expect(fold).to_have_attribute("aria-expanded", "true")
        expect(pongs).to_have_count(3)
        expect(page.locator(".wi-detail")).to_contain_text("whether the other end is still there")
        page.keyboard.press("Enter")  # the list has the focus; the line is chosen
        expect(fold).to_have_attribute("aria-expanded", "false")
        expect(pongs).to_have_count(0)
        if folder := keep_screenshots():
            notebook.screenshot(folder / "inspector-keepalive.png", index=1)
        # Who looks for pings finds them.
        page.get_by_label("Search in paths").fill("pong")
        expect(pongs).to_have_count(3)
        assert notebook.console == []


ENDED = """
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.segment import ENDED
from wslab.wire.tape.tape import Tape

tape = Tape(name="feed")
track = tape.open("7f3a21", label="alice", client_address="a:1", server_address="s:1")
track.client(
    b"GET / HTTP/1.1\\r\\nHost: s\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n", 0.0
)
track.server(
    b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n", 0.1
)
track.server(encode_frame(1, b"last words"), 2.0)
track.ended_s = tape.recorder.record(track, ENDED, b"", 62.4)
tape.to_pcapng("feed.pcapng")
Inspector(Tape.load("feed.pcapng"))
"""


CHROMES_FILE = f"""
from pathlib import Path
Path("chrome.har").write_text({json.dumps(CHROMES)!r}.replace('"receive": 480.0', '"receive": 6e4'))
Inspector(Tape.load("chrome.har"))
"""


def test_the_end_of_a_capture_says_who_was_silent_and_which_limit_fits(lab: Lab, expect):
    with lab.open(lab.write("ended.ipynb", [SETUP, ENDED, CHROMES_FILE])) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        assert notebook.errors() == []
        row(notebook, "broke off: TCP ended without a close frame").click()
        detail = notebook.page.locator(".wi-detail")
        expect(detail).to_contain_text("Neither side had sent anything for 60.4 s before.")
        expect(detail).to_contain_text("60 s are the default of nginx (proxy_read_timeout)")
        if folder := keep_screenshots():
            notebook.command("application:toggle-left-area")
            for width in (1280, 640):
                notebook.resize(width)
                for theme in (DARK, LIGHT):
                    notebook.set_theme(theme)
                    name = f"inspector-ended-{width}-{theme.split()[-1].lower()}.png"
                    notebook.screenshot(folder / name, index=1)
        notebook.run_cell(2)
        assert notebook.errors() == []
        notebook.cell(2).scroll_into_view_if_needed()  # out of sight nothing is drawn
        row(notebook, "ended: the record does not say how").click()
        detail = notebook.cell(2).locator(".wi-detail")
        expect(detail).to_contain_text("It ended, and the record does not say how")
        expect(detail).to_contain_text("That would fit the idle timeout of a proxy")
        if folder := keep_screenshots():
            notebook.screenshot(folder / "inspector-ended-untold.png", index=2)
        assert notebook.console == []

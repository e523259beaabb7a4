"""The Inspector's layers in a real JupyterLab: a stock Socket.IO client, peeled."""

from __future__ import annotations

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

HUB = """
import socketio
import wslab

hub = wslab.Hub()

@hub.on("chat")
async def chat(client, text):
    return "seen"

@hub.on("picture")
async def picture(client, data, name):
    await client.emit("copy", data)

server = wslab.serve(hub, name="chat")
"""
SHOW = "inspector = wslab.Inspector(server)\ninspector"
TALK = """
import threading

came = threading.Event()
stock = socketio.Client()
stock.on("copy", lambda data: came.set())
stock.connect(f"http://127.0.0.1:{server.port}", auth={"name": "alice"})
stock.call("chat", "hi", timeout=10)
stock.emit("picture", (b"PNG" * 10, "me.png"))
assert came.wait(10)
"""
BROKEN = """
raw = wslab.connect(server.url.rstrip("/") + "/socket.io/?EIO=4&transport=websocket")
raw.send("40")
raw.send('42["connect"]')
"""


@pytest.fixture
def notebook(lab: Lab):
    with lab.open(lab.write("layers.ipynb", [HUB, SHOW, TALK, BROKEN])) as opened:
        for index in range(3):
            opened.run_cell(index)
        assert opened.errors() == []
        yield opened


def row(notebook: Notebook, words: str):
    return notebook.page.locator(f'.wi-row[aria-label*="{words}"]').first


def layers(notebook: Notebook) -> list[str]:
    """Return the layers of what was chosen, the outermost first, each as its first line."""
    return [
        " ".join(text.split())
        for text in notebook.page.locator(".wi-layer > p:first-child").all_inner_texts()
    ]


def test_a_stock_client_is_peeled(notebook: Notebook, expect):
    page = notebook.page
    row(notebook, "event chat, id 1").wait_for()
    assert len(page.locator(".wi-lane b").all_inner_texts()) == 2  # a client and the server

    row(notebook, "event chat, id 1").click()
    assert layers(notebook) == [
        "WebSocket text frame", "Engine.IO 4 message", "Socket.IO 21 EVENT, id 1", "event chat",
    ]  # fmt: skip
    assert page.locator(".wi-args li").all_inner_texts() == ['"hi"']
    assert "".join(page.locator(".wi-part").all_inner_texts()) == '421["chat","hi"]'

    page.get_by_role("button", name="answered after").click()
    assert layers(notebook)[2:] == ["Socket.IO 31 ACK, id 1", "answer"]
    page.get_by_role("button", name="answers what came").click()
    assert layers(notebook)[2] == "Socket.IO 21 EVENT, id 1"

    row(notebook, "attachment 1 of 1, event picture").click()
    assert layers(notebook)[2] == "Socket.IO attachment 1 of 1"
    page.get_by_role("button", name="to the event, event picture").click()
    assert page.locator(".wi-args li").all_inner_texts() == ["<attachment 1>", '"me.png"']
    assert layers(notebook)[2].endswith("EVENT with 1 attachment")

    row(notebook, "200 OK").click()
    assert layers(notebook)[:2] == ["HTTP body", "Engine.IO 0 open"]
    row(notebook, "ping probe").click()
    assert layers(notebook) == ["WebSocket text frame", "Engine.IO 2 ping probe"]

    notebook.run_cell(3)
    page.get_by_role("searchbox", name="Search in paths").fill("reserved-event")
    row(notebook, "fault: reserved-event").click()
    expect(page.locator(".wi-note.wi-bad").first).to_contain_text("reserved-event")
    expect(page.locator(".wi-note.wi-bad").first).to_contain_text("Socket.IO 5")

    page.get_by_role("searchbox", name="Search in paths").fill("")
    page.locator(".wi-list").evaluate("each => { each.scrollTop = 0; }")
    row(notebook, "event picture").click()
    folder = keep_screenshots()
    for theme in (DARK, LIGHT):
        notebook.set_theme(theme)
        for width in (1280, 640):
            notebook.resize(width)
            if folder:
                name = f"layers-{theme.split()[-1].lower()}-{width}.png"
                notebook.screenshot(folder / name, index=1)
            assert page.locator(".wi").evaluate("each => each.scrollWidth <= each.clientWidth")
    assert notebook.console == []


POLL = """
polling = socketio.Client()
polling.connect(f"http://127.0.0.1:{server.port}", transports=["polling"])
assert polling.call("both", (b"one", b"two"), timeout=10) == (b"one", b"two")
"""


def test_a_body_of_several_packets_is_peeled(lab: Lab):
    both = "from wslab.hub import Args\nhub.on('both', lambda client, *both: Args(*both))\n"
    hub = HUB.replace("server =", f"{both}server =")
    with lab.open(lab.write("polls.ipynb", [hub, SHOW, POLL])) as notebook:
        for index in range(3):
            notebook.run_cell(index)
        assert notebook.errors() == []
        page = notebook.page
        page.get_by_role("searchbox", name="Search in paths").fill("3 packets: ack")
        row(notebook, "3 packets: ack").click()
        assert page.locator(".wi-peel").count() == 3
        assert layers(notebook) == [
            "HTTP body, packet 1", "Engine.IO 4 message",
            "Socket.IO 62-1 ACK with 2 attachments, id 1", "answer",
            "HTTP body, packet 2", "Engine.IO b message", "Socket.IO attachment 1 of 2",
            "HTTP body, packet 3", "Engine.IO b message", "Socket.IO attachment 2 of 2",
        ]  # fmt: skip
        assert page.locator(".wi-args li").all_inner_texts() == ["<attachment 1>", "<attachment 2>"]
        folder = keep_screenshots()
        if folder:
            page.get_by_role("searchbox", name="Search in paths").fill("")
            notebook.screenshot(folder / "layers-polling.png", index=1)
        assert notebook.console == []

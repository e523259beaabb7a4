"""serve(tls=True) in a real JupyterLab: its panel says wss://, and a page, which can't trust the
certificate, comes through the tunnel, at home and under a Hub's base URL.
"""

from __future__ import annotations

import pytest

from tests.lab.harness import Lab
from tests.lab.test_panels_in_lab import Shown, complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]

SERVE = """
import wslab
from IPython.display import IFrame

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

PAGE = '''<p id="said">not yet</p><script>
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
const say = text => { document.getElementById("said").textContent = text; };
socket.onopen = () => { say("open"); socket.send("from a page"); };
socket.onclose = ({ code }) => say(`ended with ${code}`);
socket.onmessage = ({ data }) => say(data);
</script>'''
server = wslab.serve(echo, page=PAGE, tls=True)
server
"""
FRAME = 'IFrame(server.page_url, "100%", 60)'
BROWSER = "browser = wslab.Browser(server)\nbrowser"


def test_panel_page_and_browser(any_lab: Lab, expect):
    cells = [SERVE, FRAME, BROWSER]
    with any_lab.open(any_lab.write("tls.ipynb", cells)) as notebook:
        for index in range(3):
            notebook.run_cell(index)
        assert notebook.errors() == []
        expect(Shown(notebook, 0).root).to_contain_text("wss://127.0.0.1:")
        said = notebook.cell(1).frame_locator("iframe").locator("#said")
        expect(said).to_have_text("from a page")
        panel = notebook.cell(2).locator(".ws-browser")
        panel.get_by_role("button", name="Connect", exact=True).click()
        expect(panel.locator(".ws-machine [aria-current=step] b")).to_have_text("OPEN")
        notebook.wait_until("browser.route == 'tunnel'")
        assert complaints(notebook) == []

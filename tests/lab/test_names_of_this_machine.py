"""A page opened at one of this machine's names while Jupyter calls itself by the other one.

Jupyter's cookie is for the name that the page was opened at. So what a page shows of a server
behind the tunnel (a link, a frame, a socket) must be of its own address, whatever Jupyter's file
says. As over SSH or in a container, nobody knows whether the page reaches the kernel's ports.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.browser import Sync
from tests.lab.harness import Lab
from tests.lab.test_browser_in_lab import Shown
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

CELLS = (
    """
import json, wslab
async def handler(websocket):
    await websocket.close(4001, "that is all")
server = wslab.serve(handler, page="<title>framed</title><p>from the kernel</p>")
server""",
    """
from IPython.display import IFrame
IFrame(server.page_url, "100%", 120)""",
    "browser = wslab.Browser(server)\nbrowser",
    "print(json.dumps([server.page_url, server.browser_url, browser.route]))",
)


@pytest.fixture(scope="module")
def localhost_lab(chromium: Sync) -> Iterator[Lab]:
    """A lab that calls itself localhost and listens at both names."""
    with Lab(chromium, ip="localhost", env={"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}) as lab:
        yield lab


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_a_page_shows_is_of_its_own_address(localhost_lab: Lab, host: str, expect):
    lab = localhost_lab
    lab.url = f"http://{host}:{lab.port}/"
    with lab.open(lab.write(f"{host}.ipynb", CELLS), alone=True) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        frame = notebook.cell(1).frame_locator("iframe")
        expect(frame.locator("p")).to_have_text("from the kernel")
        with notebook.page.expect_popup() as opened:
            notebook.cell(0).get_by_role("link").first.click()
        page = opened.value
        expect(page).to_have_title("framed")
        assert urlsplit(page.url).netloc == f"{host}:{lab.port}"
        page.close()
        notebook.run_cell(2)
        # Until it has said so: whether it reaches the kernel's ports only the page can find out.
        expect(Shown(notebook, 2).now).to_have_text("CLOSED")
        notebook.run_cell(3)
        page_url, browser_url, route = json.loads(notebook.text(3))
        assert route == "tunnel"
        assert page_url.startswith("/wslab/")
        assert browser_url.startswith(f"ws://{host}:{lab.port}/wslab/")
        assert complaints(notebook) == []

"""What a page in a frame may touch: of the notebook around it, and of Jupyter behind that.

A page that comes through the tunnel has Jupyter's origin, so that its scripts may do what its
reader may. A frame with ``sandbox="allow-scripts"`` is walled off, but its WebSocket brings no
login and an Origin that anybody could have, and is refused: measured here, as the README says it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser import Sync
from tests.lab.harness import Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

PAGE = """<!doctype html><title>a page</title><p id="said"></p><script>
const said = {};
const note = (what, seen) => {
  said[what] = seen;
  const text = JSON.stringify(said);
  if (Object.keys(said).length === 4) document.getElementById("said").textContent = text;
};
const tried = (what, look) => { try { look(); note(what, true); } catch { note(what, false); } };
tried("reads the notebook", () => parent.document.title);
tried("has a store", () => sessionStorage.length);
const asks = (ok) => note("asks Jupyter", ok);
fetch("/api/contents").then(({ ok }) => asks(ok), () => asks(false));
const socket = new WebSocket(location.href.replace("http", "ws"));
socket.onopen = () => note("has a socket", true);
socket.onerror = () => note("has a socket", false);
</script>"""
CELLS = (
    f"""
import wslab
async def handler(websocket):
    await websocket.wait_closed()
server = wslab.serve(handler, page={PAGE!r})""",
    """
from IPython.display import HTML
def frame(url, sandbox):
    return f'<iframe src="{url}" {sandbox} width="300" height="80"></iframe>'
urls = [server.page_url, f"http://127.0.0.1:{server.port}/"]
sandboxes = ["", 'sandbox="allow-scripts"', 'sandbox="allow-scripts allow-same-origin"']
HTML("".join(frame(url, sandbox) for url in urls for sandbox in sandboxes))""",
    "import json\nprint(json.dumps([server.page_url, [each.status for each in server.refusals]]))",
)


@pytest.fixture(scope="module")
def lab_through_the_tunnel(chromium: Sync) -> Iterator[Lab]:
    with Lab(chromium, env={"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}) as lab:
        yield lab


def test_what_a_frame_may_touch(lab_through_the_tunnel: Lab, expect):
    lab = lab_through_the_tunnel
    with lab.open(lab.write("frames.ipynb", CELLS), alone=True) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        found = []
        for nth in range(6):
            said = notebook.cell(1).frame_locator("iframe").nth(nth).locator("#said")
            expect(said).to_contain_text("has a socket", timeout=20_000)
            found.append([what for what, seen in json.loads(said.inner_text()).items() if seen])
        notebook.run_cell(2)
        url, refused = json.loads(notebook.text(2))
        assert url.startswith("/wslab/")
    everything = ["asks Jupyter", "has a socket", "has a store", "reads the notebook"]
    assert [sorted(each) for each in found] == [
        everything,  # through the tunnel, with no sandbox
        [],  # "allow-scripts"
        everything,  # "allow-scripts allow-same-origin": no wall, since the page can take it off
        ["has a socket", "has a store"],  # directly: a page of another port, and so of its own
        [],
        ["has a socket", "has a store"],
    ]
    assert refused == [403]  # Origin: null; through the tunnel Jupyter itself has said no

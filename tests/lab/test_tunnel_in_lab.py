"""A page that came through Jupyter's own server, without a JupyterHub: it POSTs, listens and talks
to a Hub by a stock Socket.IO client, under Jupyter's rule for cross-site requests.
"""

from __future__ import annotations

import hashlib
import shutil

import pytest

from tests import node
from tests.jupyterhub import test_plain_http_on_jupyterhub as plain
from tests.jupyterhub import test_socketio_on_jupyterhub as stock
from tests.jupyterhub.test_on_jupyterhub import TOKEN, frame_of
from tests.lab.harness import Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(240)]


def test_a_page_posts_and_listens(hub_lab: Lab):
    cells = [plain.SERVE, plain.FRAME.replace("{BASE}", hub_lab.base_url)]
    with hub_lab.open(hub_lab.write("by-hand.ipynb", cells)) as notebook:
        for index in range(2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        frame = frame_of(notebook, 1)
        token = frame.evaluate(TOKEN)
        assert frame.evaluate(plain.FETCH, ["echo", "POST", 5, ""]) == [403, ""]
        digest = hashlib.sha256(b"x" * 5).hexdigest()
        assert frame.evaluate(plain.FETCH, ["echo", "POST", 5, token]) == [200, f"POST 5 {digest}"]
        assert frame.evaluate(plain.EVENTS, [token, 5]) == ["0", "1", "2", "3", "4"]
        notebook.wait_until("ended == ['/events']")
        frame.evaluate(plain.HOLD, token)
        notebook.wait_until("'POST /hold ' in heads[-1]")
        assert frame.evaluate("() => { control.abort(); return held; }") == "AbortError"
        notebook.wait_until("ended == ['/events', '/hold']")


def test_a_stock_client_and_hub_js(hub_lab: Lab):
    node.need("socket.io-client")
    front = hub_lab.root / "front"
    front.mkdir(exist_ok=True)
    (front / "index.html").write_text(stock.PAGE)
    shutil.copy(node.MODULES / "socket.io-client" / "dist" / "socket.io.min.js", front)
    with hub_lab.open(hub_lab.write("stock.ipynb", [stock.SERVE, stock.FRAME])) as notebook:
        for index in range(2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        frame = frame_of(notebook, 1)
        assert f"{hub_lab.base_url}wslab/" in frame.url
        told = frame.evaluate(stock.TALK, {})
        assert (told["first"], told["last"]) == ("polling", "websocket")
        assert (told["answer"], told["said"]) == (["HELLO", 3], ["AGAIN", 70000])
        assert frame.evaluate(stock.MODULE)["answer"] == ["HELLO", 3]
        assert notebook.console == []

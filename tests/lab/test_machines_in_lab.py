"""The picture of the machines in a real JupyterLab: a message's way, and a process that is killed.

WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import inspect

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, keep_screenshots
from tests.lab.test_panels_in_lab import CONTRASTS, complaints
from tests.machines.by_redis import by_redis
from tests.redis_server import need

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

START = f"""
import time
import wslab
from wslab.machines import start_nodes, start_redis
from wslab.widgets import Machines

{inspect.getsource(by_redis)}
redis = start_redis()
one, two = start_nodes(by_redis, redis)
Machines(one, two, redis)"""
TALK = """
ada, carol = wslab.connect(one.url, name="ada"), wslab.connect(two.url, name="carol")
while redis.ask("PUBSUB", "NUMSUB", "chat")[1] < 2:
    time.sleep(0.05)
print(ada.call("chat", "hello", timeout=5))
"""
LOSE = """
two.redis_line.cut()
ada.call("chat", "is anybody there? " * 6, timeout=5)
time.sleep(0.2)
two.redis_line.reset()
"""


def test_a_learner_follows_a_message_and_kills_a_node(lab: Lab, expect):
    need()
    path = lab.write("machines.ipynb", [START, TALK, LOSE, "wslab.shutdown()"])
    folder = keep_screenshots()
    with lab.open(path, viewport={"width": 1280, "height": 1000}) as notebook:
        for index in (0, 1):
            notebook.run_cell(index)
        assert notebook.errors() == []
        root = notebook.cell(0).locator(".ws-machines")
        rows = root.locator(".ws-said-row")
        for words in ("PUBLISH chat hello  = 2", "message chat hello",
                      'carol: {"event":"chat","data":"hello"}'):  # fmt: skip
            expect(rows.filter(has_text=words).first).to_be_visible()
        read = rows.filter(has_text="PUBLISH chat hello").locator(".ws-only-read")
        expect(read).to_have_text("node one to Redis: ")
        expect(root.locator(".ws-lane").first).to_contain_text("ada")
        notebook.run_cell(2)
        expect(rows.filter(has_text="bytes lost")).to_have_count(1)
        root.get_by_role("button", name="kill node one").click()
        expect(root.locator(".ws-lane").nth(1)).to_contain_text("killed (down)")
        expect(rows.filter(has_text="node one: killed")).to_have_count(1)
        expect(root.get_by_role("button", name="kill node one")).to_be_hidden()
        notebook.command("application:toggle-left-area")
        for theme in (LIGHT, DARK):
            notebook.set_theme(theme)
            contrasts = notebook.page.evaluate(CONTRASTS)
            assert [pair for pair in contrasts if pair[0] < 4.5] == []
            for width in (1280, 640):
                notebook.resize(width, 1000)
                if folder is not None:
                    name = f"machines-{theme.split()[-1].lower()}-{width}.png"
                    notebook.screenshot(folder / name, index=0)
        notebook.run_cell(3)
        expect(root.locator(".ws-lane").nth(2)).to_contain_text("ended (down)")
        assert complaints(notebook) == []

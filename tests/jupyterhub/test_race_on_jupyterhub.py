"""The race of lesson 09 on a real JupyterHub: what its page asks for needs the Hub's cross-site
token, which reaches neither the server nor its tape; and events come one by one.
"""

from __future__ import annotations

import pytest

from tests.jupyterhub.rig import User
from tests.lab.harness import keep_screenshots
from tests.lab.test_race_in_lab import APP, RUN, SETUP

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

HEADS = """
heads = [bytes(e.request.raw).lower() for e in server.tape.read(reveal=True) if e.kind == "request"]
print(sum(b"xsrf" in head or b"cookie" in head for head in heads), "of", len(heads))"""


def test_the_page_runs_all_five_ways(alice: User):
    with alice.open(alice.write("race.ipynb", [APP, SETUP, "race", RUN, HEADS])) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        text = notebook.text(3)
        assert "A page ran the five lanes." in text
        assert "missing" not in text
        assert notebook.text(4).startswith("0 of ")
        notebook.wait_until("results['long polling'].requests > 10 and not server.errors")
        if folder := keep_screenshots():
            notebook.screenshot(folder / "race-on-jupyterhub.png", index=2)

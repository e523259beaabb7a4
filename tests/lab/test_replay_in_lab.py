"""A replay in a real JupyterLab: what a cell shows of it, and where its links lead."""

from __future__ import annotations

import pytest

from tests.lab.harness import Lab

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

RECORD = """
import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

def say(url, *words):
    with wslab.connect(url, name="alice") as alice:
        for word in words:
            alice.send(word)
            alice.recv(timeout=5)

with wslab.serve(echo) as server:
    say(server.url, *map(str, range(40)))
record = server.tape
"""
REPLAY = """
replay = wslab.replay(record)
say(replay.url, *map(str, range(30)), "thirty", *map(str, range(31, 40)))
replay.wait(timeout=5)
replay
"""


def test_a_link_leads_to_its_line(lab: Lab, expect):
    with lab.open(lab.write("replay.ipynb", [RECORD, REPLAY])) as notebook:
        notebook.run_all()
        cell = notebook.cell(1)
        expect(cell.get_by_text("1 difference", exact=True)).to_be_visible()
        expect(cell.get_by_text("more, the same")).to_have_count(2)
        line = cell.get_by_role("row").filter(has_text="thirty")
        expect(line).to_contain_text("≠ changed")
        expect(line).to_contain_text("30")
        link = cell.get_by_role("link", name="≠ changed")
        link.click()
        expect(line).to_be_in_viewport()
        # The cell again: the replay is replaced and keeps its port.
        notebook.run_cell(1)
        expect(cell.get_by_text("1 difference", exact=True)).to_be_visible()
        notebook.wait_until("len(wslab.running()) == 1")
        assert notebook.console_of_run_all == []


def test_the_inspector_shows_differences(lab: Lab, expect):
    inspector = "wslab.Inspector(replay)"
    with lab.open(lab.write("replay.ipynb", [RECORD, REPLAY, inspector])) as notebook:
        notebook.run_all()
        row = notebook.cell(2).get_by_role("option", name="≠ changed: expected '30', got 'thirty'")
        notebook.cell(2).get_by_placeholder("Search text").fill("thirty")
        expect(row).to_be_visible()
        row.click()
        detail = notebook.cell(2).get_by_role("region", name="What was chosen")
        expect(detail).to_contain_text("A difference from the record")
        expect(detail).to_contain_text("changed: alice, message 61")
        assert notebook.console_of_run_all == []

"""What every test of a Browser wants: nothing of it is left in the end."""

from __future__ import annotations

import pytest

import wslab
from wslab.notebook import cells, page
from wslab.widgets import Browser, live


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(page, "_noted", {})
    monkeypatch.setattr(page, "_tried", {})
    yield
    for thing in cells.things():
        if isinstance(thing, Browser):
            if thing._view is not None:
                thing._view.close()
            thing.stop()
    assert live._flusher.views == {}


@pytest.fixture
def server():
    async def handler(websocket):
        async for text in websocket:
            if text == "bye":
                await websocket.close(4001, "you said bye")
            else:
                await websocket.send(text)

    with wslab.serve(handler, subprotocols=["chat"]) as running:
        yield running

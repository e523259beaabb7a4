"""Machines as a widget: it follows, its buttons kill and start, and it refuses the rest."""

from __future__ import annotations

import pytest

import wslab
from tests.machines.test_node import alone, until
from tests.redis_server import need
from wslab.machines import start_nodes, start_redis
from wslab.widgets import Machines, live


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()
    live._flusher.views.clear()


def click(view, what, lane):
    content = {"type": "act", "id": "1", "what": what, "data": lane}
    view._on_msg(view, content, [])
    assert view.done == ["1"]
    return view.said


def test_it_follows_while_somebody_looks_and_a_button_kills():
    [one] = start_nodes(alone, names=["node one"])
    view = Machines(one, rows=5)
    view._on_msg(view, {"type": "ready", "view": "a page"}, [])
    ada = wslab.connect(one.url, name="ada")
    ada.call("chat", "hello", timeout=5)
    until(lambda: any("hello" in row["label"] for row in view.view["rows"]))
    assert click(view, "kill", 1)["text"] == "killed node one"
    assert not one.is_alive
    until(lambda: view.view["lanes"][1]["state"] == "broken")
    assert "node one: killed" in str(view)
    view.close()


def test_a_redis_is_killed_and_started_by_its_button():
    need()
    redis = start_redis()
    [one] = start_nodes(alone, redis, names=["node one"])
    view = Machines(redis, one)
    assert click(view, "kill", 2)["text"] == "killed Redis"
    view.done = []
    assert click(view, "start", 2)["text"] == "started Redis"
    assert redis.is_alive
    view.close()


@pytest.mark.parametrize("things", [(), (None,), ("ws://here",)])
def test_what_is_no_node_is_refused(things):
    with pytest.raises(TypeError, match="expected"):
        Machines(*things)

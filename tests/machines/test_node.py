"""Nodes are processes that get a function's text: they serve, fail in words, and are replaced."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import wslab
from tests.machines.by_redis import by_redis
from tests.redis_server import need
from wslab.machines import node, start_nodes, start_redis
from wslab.machines.node import source_of, start_front, start_node


@pytest.fixture(autouse=True)
def ends():
    yield
    wslab.shutdown()


def alone(url):
    import os

    import wslab

    hub = wslab.Hub()

    @hub.on("chat")
    def chat(client, text):
        hub.emit("chat", text)
        return os.getpid()

    @hub.on("wrong")
    def wrong(client, data):
        raise ValueError("on purpose")

    return hub


def until(is_so, within_s=10.0):
    deadline_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_two_nodes_share_nothing_and_one_lives_on():
    one, two = start_nodes(alone)
    assert [each.kind for each in wslab.running()] == ["node", "node"]
    ada, carol = wslab.connect(one.url), wslab.connect(two.url)
    heard = []
    carol.on("chat", heard.append)
    assert ada.call("chat", "hello", timeout=5) == one.pid
    assert carol.call("chat", "mine", timeout=5) == two.pid
    until(lambda: heard)
    assert heard == ["mine"]
    one.kill()
    assert one.status == "killed"
    assert carol.call("chat", "still here", timeout=5) == two.pid


def test_what_its_handlers_let_through_is_told():
    [one] = start_nodes(alone, names=["one"])
    with wslab.connect(one.url) as ada:
        with pytest.raises(wslab.CallFailed):
            ada.call("wrong", 1, timeout=5)
        until(lambda: one.failures)
    [failure] = one.failures
    assert failure.summary == "ValueError: on purpose"
    assert "<one>" in failure.traceback
    assert 'raise ValueError("on purpose")' in failure.traceback


def fails_at_once(url):
    return undefined  # noqa: F821


def test_one_that_does_not_come_up_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)expected one to be up.*NameError.*undefined"):
        start_nodes(fails_at_once, names=["one"])
    assert not wslab.running()


def test_a_front_carries_to_the_node_that_lives():
    one, two = start_nodes(alone)
    front = start_front([one, two])
    with wslab.connect(front.url) as ada:
        assert ada.call("chat", "hello", timeout=5) == one.pid
    one.kill()
    with wslab.connect(front.url) as ada:
        assert ada.call("chat", "hello", timeout=5) == two.pid


def test_nodes_meet_at_redis_over_lines_of_their_own_which_can_be_cut():
    need()
    server = start_redis()
    one, two = start_nodes(by_redis, server)
    ada, carol = wslab.connect(one.url), wslab.connect(two.url)
    heard, came = [], threading.Event()
    carol.on("chat", lambda text: (heard.append(text), came.set()))

    server.await_subscribers("chat", 2)
    assert ada.call("chat", "hello", timeout=5) == 2
    assert came.wait(5)
    two.redis_line.cut()
    assert ada.call("chat", "lost", timeout=5) == 2
    two.redis_line.reset()
    server.await_subscribers("chat", 2)  # what runs beside the server begins again
    came.clear()
    ada.call("chat", "again", timeout=5)
    assert came.wait(5)
    assert heard == ["hello", "again"]
    said = [(each.track.label, each.data) for each in server.tape.chunks() if each.what == "client"]
    assert any(label == one.redis_line.label and b"PUBLISH" in data for label, data in said)
    assert any(label == two.redis_line.label and b"SUBSCRIBE" in data for label, data in said)


def counting(url):
    hub, runs = wslab.Hub(), [0]

    @hub.on("runs")
    def how_often(client, data):
        return runs[0]

    async def beside():
        runs[0] += 1
        await asyncio.sleep(0.01)
        if runs[0] == 2:
            raise OSError("away")

    return hub, beside


def test_what_runs_beside_the_server_runs_again_when_it_ends_or_breaks_off():
    [one] = start_nodes(counting, names=["one"])
    with wslab.connect(one.url) as ada:
        until(lambda: ada.call("runs", 1, timeout=5) > 4)
    assert [failure.summary for failure in one.failures] == ["OSError: away"]


def test_a_name_is_in_use_once():
    first = start_nodes(alone)
    [second] = start_nodes(alone, names=["node two"])
    assert [each.status for each in first] == [f"process {first[0].pid}", "ended"]
    assert [each.thing for each in wslab.running()] == [first[0], second]


def test_a_node_of_a_text():
    one = start_node("def make(url):\n    import wslab\n    return wslab.Hub()\n", "make", "one")
    with wslab.connect(one.url) as ada:
        assert ada.ping(timeout=5) >= 0


@pytest.mark.parametrize("wrong", [lambda url: None, "def make(url): ...", len, wslab.Hub])
def test_what_has_no_text_of_its_own_is_refused(wrong):
    with pytest.raises(TypeError, match="expected a function written with `def`"):
        source_of(wrong)


def test_what_a_node_has_told_is_read_to_a_bound(monkeypatch):
    monkeypatch.setattr(node, "MAX_FAILURES_BYTES", 10)
    [one] = start_nodes(alone, names=["one"])
    (one.folder / "failures.jsonl").write_bytes(b"{" + b"x" * 1000)
    assert one.failures == []

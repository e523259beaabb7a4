"""The picture of real nodes: who said what to whom, in order, and what became of the processes."""

from __future__ import annotations

import pytest

import wslab
from tests.machines.test_node import alone, by_redis, until
from tests.redis_server import need
from wslab.machines import start_nodes, start_redis
from wslab.machines.node import start_front
from wslab.widgets.machines.model import Look


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


def ways(look):
    return [(row.start, row.end, row.label) for row in look.rows()]


def test_each_step_of_a_message_over_redis_is_drawn_once():
    need()
    redis = start_redis()
    one, two = start_nodes(by_redis, redis)
    ada, carol = wslab.connect(one.url, name="ada"), wslab.connect(two.url, name="carol")
    look = Look([one, two], redis)
    until(lambda: redis.ask("PUBSUB", "NUMSUB", "chat")[1] == 2)
    ada.call("chat", "hello", timeout=5)
    carol.tape.wait_for(lambda event: "hello" in str(getattr(event, "text", "")))
    look.rows()
    steps = [
        (0, 1, 'ada: {"event":"chat","data":"hello","id":1}'),
        (1, 2, "PUBLISH chat hello"),
        (2, 3, "message chat hello"),
        (3, 4, 'carol: {"event":"chat","data":"hello"}'),
    ]
    found = ways(look)
    assert [way for way in found if way in steps] == steps
    assert look.rows() == look.rows()
    view = look.view(3)
    assert len(view["rows"]) == 3
    assert "earlier rows not drawn" in view["notes"][0]
    assert [lane["note"] for lane in view["lanes"]][::4] == ["ada", "carol"]

    two.redis_line.cut()
    assert look.view(3)["lanes"][3]["note"] == "its line is cut"
    two.redis_line.reset()
    one.kill()
    redis.kill()
    found = ways(look)
    assert (3, 2, "the line of node two is cut") in found
    assert (1, 1, "node one: killed") in found
    assert (2, 2, "Redis: killed") in found
    assert [lane["act"] for lane in look.view(3)["lanes"]] == ["", "", "start", "kill", ""]
    redis.start()
    assert ways(look)[-1] == (2, 2, "Redis: started again")


def test_without_a_redis_there_is_nothing_between_them_and_a_front_tells_who_is_where():
    one, two = start_nodes(alone)
    front = start_front([one, two])
    look = Look([one, two], None, front)
    ada = wslab.connect(front.url, name="ada")
    ada.call("chat", "hello", timeout=5)
    look.rows()  # a client that is gone before anybody looked leaves no wire
    one.kill()
    eve = wslab.connect(front.url, name="eve")
    eve.call("chat", "there", timeout=5)
    found = ways(look)
    assert (0, 1, 'ada: {"event":"chat","data":"hello","id":1}') in found
    assert (4, 3, 'eve: {"event":"chat","data":"there","id":1}') in found
    lanes = look.view(5)["lanes"]
    assert (lanes[2]["name"], lanes[0]["note"], lanes[4]["note"]) == ("(nothing)", "nobody", "eve")


def test_what_comes_after_its_nodes_were_told_to_end_is_not_drawn():
    [one] = start_nodes(alone, names=["node one"])
    look = Look([one], None)
    ada = wslab.connect(one.url, name="ada")
    ada.call("chat", "hello", timeout=5)
    before = ways(look)
    one.stop()
    assert ways(look) == before
    view = look.view(5)
    assert (view["lanes"][1]["note"], view["lanes"][0]["note"]) == ("ended", "nobody")
    assert "told to end" in view["notes"][-1]


def test_rows_are_kept_to_a_bound():
    [one] = start_nodes(alone, names=["node one"])
    look = Look([one], None)
    ada = wslab.connect(one.url, name="ada")
    for _ in range(150):
        ada.call("chat", "hello", timeout=5)
    assert len(look.rows()) == 200
    assert look.view(10)["notes"] == ["441 earlier rows not drawn"]

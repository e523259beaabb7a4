"""A guest of a whiteboard keeps the page's rules, and says what its wire has carried."""

from __future__ import annotations

import pytest

import wslab
from wslab.learn.board_guest import Books, Guest
from wslab.learn.exercises import Miss
from wslab.learn.testbench import TestBench


def board(history=100):
    """Return a hub that does what a test says by the event `do`: a list of events to emit."""
    hub = wslab.Hub(history=history)
    hub.taken = []

    @hub.on("stroke")
    async def stroke(client, said):
        hub.taken.append(said)
        hub.emit("stroke", {"id": len(hub.taken), **said}, skip=client)
        return len(hub.taken)

    @hub.on("do")
    async def do(client, each):
        for event, data in each:
            hub.emit(event, data)

    @hub.on("refuse")
    async def refuse(client, data):
        raise wslab.Refused("not today")

    return hub


@pytest.fixture
def books():
    return Books()


@pytest.fixture
def party(books):
    hub = board()
    with TestBench(hub, wait_s=2.0, ping_interval=None) as bench:
        yield hub, bench, Guest(bench, books, "ann"), Guest(bench, books, "ben")


def test_no_two_strokes_are_alike_and_each_is_found_again(books):
    strokes = [books.draw("ann") for _ in range(50)]
    assert len({stroke.points for stroke in strokes}) == 50
    assert all(books.find(stroke.data) is stroke for stroke in strokes)
    assert [stroke.number for stroke in strokes] == list(range(1, 51))


@pytest.mark.parametrize(
    "data", [None, 7, {}, {"points": 5}, {"points": [[1]]}, {"points": [[1, 2]], "color": "ink"}]
)
def test_what_nobody_has_drawn_is_nobodys(books, data):
    books.draw("ann")
    assert books.find(data) is None


def test_a_stroke_is_in_both_pictures_the_drawers_once_it_is_answered(party):
    _, _, ann, ben = party
    stroke = ann.draw()
    assert ann.picture == [stroke]
    ben.see([stroke])
    assert ben.shown[stroke] == {"id": 1, **stroke.data}


def test_a_picture_takes_the_place_of_all_and_gone_takes_out(party):
    _, _, ann, ben = party
    one, two = ann.draw(), ann.draw()
    whole = [{"id": 1, **one.data}, {"id": 2, **two.data}]
    ann.say("do", [["picture", whole], ["gone", [1]], ["people", ["x"]]])
    for guest in (ann, ben):
        guest.until(lambda guest=guest: guest.people == ["x"], "the list of people")
        assert guest.picture == [two]
        assert guest.pictures == 1


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("stroke", {"points": [[1, 2]], "color": "ink"}, "strokes that were drawn"),
        ("picture", {}, "a list in `picture`"),
        ("picture", [7], "strokes that were drawn, in `picture`"),
        ("gone", 7, "a list in `gone`"),
    ],
)
def test_what_a_board_may_not_say_is_a_miss(party, event, data, expected):
    _, _, ann, _ = party
    ann.draw()
    with pytest.raises(Miss, match=expected):
        ann.ask("do", [[event, data]], "an answer")


def test_a_stroke_that_comes_twice_or_back_is_a_miss(party):
    _, _, ann, ben = party
    stroke = ann.draw()
    with pytest.raises(Miss, match="to all others"):
        ann.ask("do", [["stroke", stroke.data]], "an answer")
    with pytest.raises(Miss, match="each stroke once"):
        ben.until(lambda: False, "no end")


def test_strokes_out_of_order_are_a_miss(party):
    _, _, ann, ben = party
    one, two = ann.draw(), ann.draw()
    ben.see([one, two])
    ben.expect([one, two], "at first")
    ann.say("do", [["picture", [two.data, one.data]]])
    ben.until(lambda: ben.pictures == 1, "a picture")
    with pytest.raises(Miss, match="in order"):
        ben.expect([one, two], "then")


def test_who_comes_back_says_again_what_has_no_receipt_and_is_taken_once(party):
    hub, _, ann, ben = party
    for _ in range(3):
        (stroke,) = ann.sketch()
        ben.see([stroke])
        ann.come_back()
        ann.until(lambda stroke=stroke: stroke in ann.shown, "its answer")
    assert len(hub.taken) == 3


def test_what_a_cut_cable_has_swallowed_is_said_again(party):
    hub, _, ann, ben = party
    cable = ann.cable
    cable.cut()
    (stroke,) = ann.sketch()
    cable.reset()
    ann.enter()
    ben.see([stroke])
    assert len(hub.taken) == 1


def test_without_a_session_it_is_not_said_again(books):
    hub = board(history=0)
    with TestBench(hub, wait_s=0.3, ping_interval=None) as bench:
        ann, ben = Guest(bench, books, "ann"), Guest(bench, books, "ben")
        cable = ann.cable
        cable.cut()
        (stroke,) = ann.sketch()
        cable.reset()
        ann.enter()
        assert ann.user
        with pytest.raises(Miss, match="on ben's wire"):
            ben.see([stroke])


def test_a_miss_has_what_the_board_has_told(books):
    with TestBench(board(), wait_s=0.3, ping_interval=None) as bench:
        ann = Guest(bench, books, "ann")
        ann.say("refuse")
        with pytest.raises(Miss) as caught:
            ann.until(lambda: False, "something else", "look here")
    assert "the board told ann: not today" in caught.value.seen
    assert caught.value.hint == "look here"
    assert ann.errors == ["not today"]


def test_a_handler_that_is_no_hub_is_a_miss(books):
    async def echo(websocket):
        await websocket.send("hello")
        await websocket.wait_closed()

    with TestBench(echo, wait_s=0.3, ping_interval=None) as bench:
        with pytest.raises(Miss, match="the Hub's packets"):
            Guest(bench, books, "ann")

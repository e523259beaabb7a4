"""A party has a new board each time, and says what the board's handlers have raised."""

from __future__ import annotations

import pytest

import wslab
from wslab.learn import board_party
from wslab.learn.board_party import open_party
from wslab.learn.exercises import Miss, NotYet


def board_with(stroke):
    """Return a function that makes a board with this handler."""

    def whiteboard():
        board = wslab.Hub(history=20)
        board.on("stroke", stroke)
        return board

    return whiteboard


def passing_on():
    board = wslab.Hub(history=20)
    board.on("stroke", lambda client, said: board.emit("stroke", said, skip=client) and None)
    return board


def test_all_see_what_one_draws_and_the_books_have_it():
    with open_party(passing_on) as party:
        ann, ben = party.enter("ann"), party.enter("ben", called="benedict")
        stroke = ann.draw()
        assert party.strokes == [stroke]
        party.all_see(party.strokes, "in the end")
        assert ben.picture == [stroke]
        assert [one.query["name"] for one in party.board.clients.values()] == ["ann", "benedict"]
        party.is_sound("a hint")
    assert not party.board.clients


def test_a_handler_that_has_raised_is_a_miss_and_part_of_each_other():
    async def falls(client, said):
        raise ValueError("no")

    with pytest.raises(Miss) as caught, open_party(board_with(falls)) as party:
        party.enter("ann").say("stroke", {}, asks=True)
        party.guests[0].answer(1, "an answer")
        with pytest.raises(Miss, match="no handler that raises"):
            party.is_sound("look here")
        raise Miss("something", "nothing")
    assert "Your handler falls() raised ValueError: no" in caught.value.seen
    assert "first" in caught.value.hint
    assert "ValueError" in caught.value.details


def test_a_not_yet_in_a_handler_is_no_miss():
    async def stub(client, said):
        raise NotYet

    with pytest.raises(NotYet), open_party(board_with(stub)) as party:
        party.enter("ann").draw()


@pytest.mark.parametrize("what", [None, "a text", wslab.Hub, lambda: None, lambda: wslab.Hub])
def test_what_makes_no_hub_is_a_miss(what):
    with pytest.raises(Miss, match="return a Hub"), open_party(what):
        pass


def test_a_board_that_somebody_is_at_is_not_a_new_one():
    with open_party(passing_on) as party:
        party.enter("ann")
        with pytest.raises(Miss, match="a new Hub"), open_party(lambda: party.board):
            pass


def test_making_a_board_is_bounded(monkeypatch):
    monkeypatch.setattr(board_party, "MAKE_S", 0.2)

    def whiteboard():
        while True:
            pass

    with pytest.raises(Miss, match="return a Hub"), open_party(whiteboard):
        pass

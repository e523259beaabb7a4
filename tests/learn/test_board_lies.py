"""Lies about strokes: none of them is a stroke, and each has a neighbour that is."""

from __future__ import annotations

import json

from tests.learn.rig import solution
from wslab import Refused
from wslab.learn.board_lies import lies


def is_taken(said):
    try:
        solution("16_project").checked(said)
    except Refused:
        return False
    return True


def test_none_of_them_is_a_stroke():
    said = lies()
    assert len(said) > 30
    assert [lie[:60] for lie in said if is_taken(json.loads(lie))] == []


def test_they_come_in_another_order_each_time():
    assert lies() != lies()
    assert is_taken({"color": "ink", "points": [[1, 2], [3, 4]]})

"""Results: rows, text and HTML say the same, and what is missing is said in words."""

from __future__ import annotations

import pytest

from wslab.widgets.race.results import Result, Results, duration
from wslab.widgets.race.settings import Settings
from wslab.widgets.race.tally import Figures


def figures(**more):
    both = {"came_s": {5: 1.0, 6: 2.0}, "late_s": {5: 0.001, 6: 0.003}}
    return Figures(requests=3, head_bytes=1_200, bytes=1_500, idle_bytes=7, **{**both, **more})


def test_a_way_as_a_row():
    one = Result.of("SSE", figures(), made=2, last=6)
    assert one.cells() == ("SSE", "3", "1,200", "1,500", "7", "2 ms", "3 ms")
    assert one.remark == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [({"refused": 404}, "; the server answered 404"), ({}, ""), ({"came_s": {}, "late_s": {}}, "")],
)
def test_what_is_missing_is_said(more, why):
    one = Result.of("SSE", figures(**more), made=4, last=8)
    assert one.last_late_s is None
    assert one.cells()[-1] == "-"
    assert one.remark == f"SSE: {4 - one.updates} of 4 updates missing{why}"


def test_nobody_asked():
    one = Result.of("SSE", Figures(), made=4, last=8)
    assert one.remark == "SSE: 4 of 4 updates missing; nothing asked for it"


def test_text_and_html_say_the_same():
    ways = (Result.of("SSE", figures(), 2, 6), Result.of("polling", Figures(), 2, 6))
    results = Results(ways, Settings(), "Python", "The tape was full.")
    for form in (str(results), results._repr_html_()):
        for words in ("1,500", "2 ms", "no page had come", "nothing asked for it", "was full"):
            assert words in form
    assert results["SSE"].bytes == 1_500
    with pytest.raises(KeyError, match="expected one of 'SSE', 'polling'; got 'sse'"):
        results["sse"]


def test_times_in_words():
    assert (duration(0.0004), duration(0.25), duration(1.5)) == ("0 ms", "250 ms", "1.50 s")

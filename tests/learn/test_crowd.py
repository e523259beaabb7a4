"""Crowds that come back: what their server takes in and refuses, and how that shows itself."""

from __future__ import annotations

import pytest

from wslab.learn.crowd import ROOM, Comeback, Crowd, come_back


def test_all_come_back_and_the_server_takes_so_many_at_a_time():
    delays = {"one by one": lambda attempt: 0.02, "again": lambda attempt: 0.11 * attempt}
    came = come_back(delays, clients=8)
    for crowd in came.crowds:
        assert sum(is_in for _, is_in in crowd.attempts) == 8
        assert all(is_in <= ROOM for is_in, _ in crowd.windows)
    assert came["again"] is came.crowds[1]
    assert came["again"].refused == len(came["again"].attempts) - 8


def test_a_function_that_raises_is_heard():
    def raises(attempt):
        raise KeyError(attempt)

    with pytest.raises(KeyError):
        come_back({"": raises}, clients=1)
    with pytest.raises(ValueError, match="at least one crowd"):
        come_back({})


LOUD = Crowd("all <at> once", [*[(0.05, n < 6) for n in range(12)], *[(0.31, True)] * 6])
CALM = Crowd("calm", [(0.1 * n + 0.01, True) for n in range(5)])


def test_what_is_counted():
    assert LOUD.windows == [(6, 6), (0, 0), (0, 0), (6, 0)]
    assert (LOUD.peak(), LOUD.peak(0.2), CALM.peak()) == (12, 6, 1)
    assert (LOUD.refused, LOUD.took_s) == (6, 0.31)
    assert (Crowd("").windows, Crowd("").peak()) == ([(0, 0)], 0)


def test_it_shows_itself_as_text_and_as_a_picture():
    came = Comeback((LOUD, CALM))
    assert str(came).splitlines() == [
        "attempts in each tenth of a second; the server takes 6, and refuses more",
        "  all <at> once  +..6",
        "  calm           11111",
        "  all <at> once: 18 attempts, 6 refused; all back after 0.3 s",
        "  calm: 5 attempts, 0 refused; all back after 0.4 s",
    ]
    picture = came._repr_html_()
    assert picture.count("<svg") == 3
    assert picture.count("stroke-dasharray") == 1  # refused: a hollow bar
    assert picture.count('role="img"') == 2
    assert "all &lt;at&gt; once" in picture
    assert "<at>" not in picture

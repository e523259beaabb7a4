"""Settings: each is held to its ends, and what is no number changes nothing."""

from __future__ import annotations

import math

import pytest

from wslab.widgets.race.settings import ENDS, MADE_AT_MOST_S, Settings


@pytest.mark.parametrize("name", ENDS)
def test_each_is_held_to_its_ends(name):
    least, most = ENDS[name]
    assert getattr(Settings().changed({name: -1e300}), name) == least
    assert getattr(Settings().changed({name: 10**400}), name) == most


@pytest.mark.parametrize("value", [None, "3", True, math.nan, [1]])
def test_what_is_no_number_changes_nothing(value):
    assert Settings().changed({"rate_per_s": value, "who": 3}) == Settings()


def test_a_slow_race_makes_fewer_updates():
    slow = Settings().changed({"rate_per_s": 2})
    assert slow.count == 2 * MADE_AT_MOST_S
    assert slow.made_s < MADE_AT_MOST_S
    assert str(slow).startswith("16 updates of 20 bytes, 2 a second")
    assert Settings().changed(slow.to_dict()) == slow

"""The conditions at an end: what may be asked of them, and what they say."""

from __future__ import annotations

import pytest

from wslab.network.conditions import Conditions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delay_s", -1),
        ("delay_s", float("nan")),
        ("delay_s", "1"),
        ("jitter_s", -0.1),
        ("bytes_per_s", 0),
        ("max_chunk_bytes", 0),
        ("buffer_bytes", -1),
    ],
)
def test_what_no_network_does_is_refused(name, value):
    with pytest.raises(ValueError, match=f"expected {name} to be .*, got {value!r}"):
        Conditions(**{name: value})
    conditions = Conditions()
    before = getattr(conditions, name)
    with pytest.raises(ValueError, match=f"expected {name}"):
        setattr(conditions, name, value)
    assert getattr(conditions, name) == before


def test_who_moves_the_bytes_is_told_when_they_can_move_again():
    conditions, told = Conditions(), []
    conditions.changed = lambda: told.append((conditions.is_cut, conditions.is_stopped))
    conditions.cut()
    conditions.stop_reading()
    assert (conditions.is_cut, conditions.is_stopped, told) == (True, True, [])
    conditions.restore()
    conditions.resume_reading()
    assert told == [(False, True), (False, False)]


def test_it_shows_what_it_does():
    conditions = Conditions(delay_s=0.2, bytes_per_s=1_000, max_chunk_bytes=5)
    assert repr(conditions) == "<Conditions delay 0.2 s + 0 s, 1000 B/s, pieces of 1 to 5 B>"
    conditions.cut()
    conditions.stop_reading()
    assert repr(conditions).endswith(", cut, not reading>")

"""What a row says in one line."""

from __future__ import annotations

import pytest

from tests.widgets.inspector.tapes import sample
from wslab.widgets.inspector.words import moment, words


@pytest.mark.parametrize(
    ("at_s", "said"),
    [(0.0, "0 ms"), (0.3042, "304 ms"), (1.2041, "1.204 s"), (125.31, "2:05.310"),
     (3725.0, "1:02:05")],
)  # fmt: skip
def test_moments_are_in_sensible_units(at_s, said):
    assert moment(at_s) == said


def test_every_kind_of_row_has_words():
    timeline, rows, _ = sample()
    assert all(words(row) for row in rows)
    passed = timeline.passed_over(1_234, 2.0)
    assert words(passed.json) == "1,234 frames not drawn; all are counted"

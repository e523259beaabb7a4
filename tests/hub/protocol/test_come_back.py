"""When to come back, in the words of a close frame's reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.protocol.come_back import MOST_S, come_back_in, come_back_s


@given(st.floats(0, MOST_S))
def test_what_is_said_is_understood(delay_s):
    said = f"service restart, {come_back_in(delay_s)}"
    assert len(said.encode()) <= 123  # what a close frame holds (RFC 6455 §5.5)
    assert come_back_s(said) == pytest.approx(delay_s, abs=0.001)


@pytest.mark.parametrize(
    ("delay_s", "words"),
    [(0, "come back in 0 s"), (2.5, "come back in 2.5 s"), (10, "come back in 10 s")],
)
def test_as_a_person_reads_it(delay_s, words):
    assert come_back_in(delay_s) == words


@pytest.mark.parametrize(
    "reason",
    ["", "service restart", "come back in a s", "come back in -1 s", "come back in 1e9 s",
     "come back in 10 seconds", "come back in 9999999 s"],
)  # fmt: skip
def test_other_words_say_nothing(reason):
    assert come_back_s(reason) is None


@pytest.mark.parametrize("delay_s", [-0.1, float("inf"), float("nan"), 1e7])
def test_no_number_of_seconds(delay_s):
    with pytest.raises(ValueError, match="expected 0 to 999,999 seconds"):
        come_back_in(delay_s)

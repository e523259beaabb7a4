from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.replays.alignment import Alignment

WORDS = st.text("abc", max_size=8)


def align(expected: str, seen: str, *, is_over: bool = True) -> str:
    """Write the cheapest reading: a letter for the same, ~x changed, -x missing, +x extra."""
    alignment = Alignment(len(expected))
    for one in seen:
        alignment.add([each == one for each in expected])
    said = []
    for op in alignment.ops(is_over=is_over):
        sign = {"same": "", "changed": "~", "missing": "-", "extra": "+"}[op.kind]
        said.append(sign + (expected[op.expected] if op.seen is None else seen[op.seen]))
    return " ".join(said)


@pytest.mark.parametrize(
    ("expected", "seen", "said"),
    [
        ("abc", "abc", "a b c"),
        ("abc", "axc", "a ~x c"),
        ("abc", "ac", "a -b c"),
        ("abc", "abxc", "a b +x c"),
        ("abc", "", "-a -b -c"),
        ("", "x", "+x"),
        ("aba", "aaba", "+a a b a"),
    ],
)
def test_the_fewest_differences(expected, seen, said):
    assert align(expected, seen) == said


def test_what_has_not_come_yet_is_not_missing():
    assert align("abcdef", "ab", is_over=False) == "a b"
    assert align("abcdef", "ac", is_over=False) == "a -b c"
    assert align("abcdef", "x", is_over=False) == "~x"
    assert align("abcdef", "xab", is_over=False) == "+x a b"


@given(WORDS, WORDS)
def test_it_reads_every_message_once(expected, seen):
    alignment = Alignment(len(expected))
    for one in seen:
        alignment.add([each == one for each in expected])
    ops = alignment.ops(is_over=True)
    assert [op.expected for op in ops if op.expected is not None] == list(range(len(expected)))
    assert [op.seen for op in ops if op.seen is not None] == list(range(len(seen)))
    for op in ops:
        if op.kind in ("same", "changed"):
            assert (expected[op.expected] == seen[op.seen]) is (op.kind == "same")


@given(WORDS)
def test_the_same_has_no_difference(word):
    assert align(word, word) == " ".join(word)

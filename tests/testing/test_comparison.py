"""Why the messages of one side are not what they should be, in lines."""

from __future__ import annotations

import pytest

from tests.wire.taping import masked, websocket
from wslab.testing.comparison import explained
from wslab.wire.tape.tape import Tape


@pytest.fixture
def sent():
    tape = Tape()
    track = websocket(tape)
    track.client(masked(1, b"one"))
    track.client(masked(1, b"x" * 1000))
    return tape.sent_by("client")


def test_it_is_about_messages_only():
    assert explained("==", ["one"], ["two"]) is None


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (["two"], "At message 0: 'one' != 'two'"),
        (["one"], "At message 1: 'xxxxx"),
        (["one", "x" * 1000, "y"], "At message 2: nothing != 'y'"),
        (("one", "x" * 1000), "The messages are the same; the kinds of the two lists differ"),
    ],
)
def test_where_they_differ(sent, other, line):
    lines = explained("==", sent, other)
    assert lines[0].startswith("['one', 'xxx")
    assert lines[1].startswith(line)
    assert any("alice -> text 'one'" in each for each in lines)
    assert max(map(len, lines)) < 200


def test_they_may_stand_on_either_side(sent):
    assert explained("==", ["two"], sent)[1] == "At message 0: 'two' != 'one'"
    assert explained("in", "two", sent)[0].startswith("'two' in ['one', ")

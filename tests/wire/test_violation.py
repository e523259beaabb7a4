"""One exception for what must end a connection, and a value's repr at a bounded cost."""

from __future__ import annotations

import pickle

from wslab.wire.violation import ProtocolViolation, shown


def test_says_expected_and_got():
    violation = ProtocolViolation("unknown-type", "a packet's type", "'9'")
    assert isinstance(violation, ValueError)
    assert str(violation) == "expected a packet's type, got '9'"
    assert (violation.rule, violation.expected, violation.got) == (
        "unknown-type", "a packet's type", "'9'",
    )  # fmt: skip
    again = pickle.loads(pickle.dumps(violation))
    assert (again.rule, str(again)) == (violation.rule, str(violation))


def test_what_is_shown_is_short_however_large_or_deep():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    circle = {}
    circle["x"] = circle
    for value in (deep, circle, "x" * 10**6, [0] * 10**6, {"a" * 10**5: "b" * 10**5}, 10**4000):
        assert len(shown(value)) < 400
    assert shown("\ud800") == "'\\ud800'"
    assert shown(["a", 1]) == "['a', 1]"

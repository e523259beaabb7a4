from __future__ import annotations

import math

import pytest

from wslab.replays.matching import new_matcher
from wslab.replays.paths import parse_paths
from wslab.replays.values import MISSING, Values, is_scalar, shown


def values(*ignore: str, bind: tuple[str, ...] = (), bound: dict | None = None) -> Values:
    paths = parse_paths(ignore, "ignore"), parse_paths(bind, "bind")
    return Values(bound or {}, lambda text: ([text], []), *paths)


def test_where_two_differ():
    one = {"a": [1, 2, {"b": None}], "c": "x", "d": 1}
    other = {"a": [1, 3, {"b": 0}, 4], "c": "x", "e": 1}
    assert list(values().differing(one, other)) == [
        ("a.1", 2, 3),
        ("a.2.b", None, 0),
        ("a.3", MISSING, 4),
        ("d", 1, MISSING),
        ("e", MISSING, 1),
    ]
    assert list(values("a", "d", "e").differing(one, other)) == []
    assert list(values().differing([], {})) == [("the whole", [], {})]


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "x", [], {}, math.nan, math.inf])
def test_a_value_is_itself(value):
    assert values().is_same(value, value)


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (0, None), ("1", 1), ([], {})])
def test_what_only_looks_alike(one, other):
    assert not values().is_same(one, other)
    assert not values().is_same(other, one)


def test_what_it_would_bind():
    compared = values(bind=("id", "to"), bound={"old": "new"})
    assert compared.is_same({"id": 1, "to": "old"}, {"id": 2, "to": "new"})
    assert compared.new == {1: 2}
    assert not values(bind=("to",), bound={"old": "new"}).is_same({"to": "old"}, {"to": "old"})
    assert not values(bind=("id",)).is_same({"id": "a"}, {"id": "x" * 5000})


def test_what_can_be_bound():
    assert [each for each in (None, True, 1, 1.5, "", [], {}) if is_scalar(each)] == [1, 1.5, ""]


def test_in_a_few_words():
    assert [shown(each) for each in (MISSING, None, "é", {"a": "é"}, "x" * 100)] == [
        "nothing",
        "null",
        "'é'",
        '{"a": "é"}',
        "'" + "x" * 38 + "…",
    ]


def test_where_a_secret_was_taken_out_anything_fits():
    matcher = new_matcher("exact")
    recorded = '{"event":"welcome","session":"[redacted]****","n":1}'
    assert matcher.matches(recorded, '{"event":"welcome","session":"abcdefghijklmn","n":1}')
    assert not matcher.matches(recorded, '{"event":"welcome","session":"abc","n":2}')
    assert matcher.matches("token [redacted]** and [redacted]", "token abc and x")
    assert not matcher.matches("token [redacted]** and [redacted]", "token abc or x")
    assert not matcher.matches("a[redacted]a", "a")

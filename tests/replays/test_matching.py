from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.replays.matching import new_matcher

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_exact():
    matcher = new_matcher("exact")
    assert matcher.matches("a", "a")
    assert not matcher.matches("a", "b")
    assert not matcher.matches("a", b"a")
    assert not matcher.matches('{"a":1}', '{"a": 1}')
    assert matcher.matches(b"\xff", b"\xff")


class TestJson:
    def test_what_it_says_and_not_how(self):
        matcher = new_matcher("json")
        assert matcher.matches('{"a":1,"b":[true]}', '{"b": [true], "a": 1.0}')
        assert not matcher.matches('{"a":1}', '{"a":true}')
        assert not matcher.matches('{"a":1}', '{"a":1,"b":null}')
        assert not matcher.matches('{"a":null}', "{}")
        assert matcher.matches("not JSON", "not JSON")
        assert not matcher.matches("not JSON", "{}")

    def test_a_packet_of_socket_io(self):
        matcher = new_matcher("exact", ignore=["1.time"])
        assert matcher.matches('42/admin,7["chat",{"time":1}]', '42/admin,7["chat", {"time": 2}]')
        assert not matcher.matches('42/admin,7["chat"]', '42/admin,8["chat"]')

    def test_ignored_paths(self):
        matcher = new_matcher("exact", ignore=["time", "items.*.id"])
        expected = '{"time": 1, "items": [{"id": 1, "n": 2}, {"id": 2, "n": 3}]}'
        assert matcher.matches(expected, '{"time": {}, "items": [{"n": 2}, {"id": 7, "n": 3}]}')
        assert not matcher.matches(expected, '{"time": 1, "items": [{"n": 2}, {"n": 4}]}')

    def test_nested_too_deep(self):
        matcher = new_matcher("json")
        deep = "[" * 5000 + "]" * 5000
        assert matcher.matches(deep, deep)
        assert not matcher.matches(deep, "[]")
        almost = "[" * 900 + "]" * 900
        assert matcher.matches(almost, almost)

    @given(VALUES)
    def test_any_value_is_itself_however_it_is_written(self, value):
        matcher = new_matcher("json", bind=["id", "*.id"])
        assert matcher.matches(json.dumps(value), json.dumps(value, indent=1))

    @given(VALUES, VALUES)
    def test_two_values(self, one, other):
        texts = json.dumps(one, sort_keys=True), json.dumps(other, sort_keys=True)
        if new_matcher("json").matches(*texts):
            assert one == other
        else:
            assert texts[0] != texts[1]


class TestBinding:
    def test_a_value_that_comes_stands_for_the_recorded_one(self):
        matcher = new_matcher("exact", bind=["id"])
        matcher.bind('{"id":"old-1"}', '{"id":"new-9"}')
        assert matcher.replaced('{"id":"old-1","ok":true}') == '{"id":"new-9","ok":true}'
        assert matcher.replaced('{"id": "old-2"}') == '{"id": "old-2"}'
        assert matcher.matches('{"id":"old-1"}', '{"id":"new-9"}')
        assert not matcher.matches('{"id":"old-1"}', '{"id":"new-8"}')

    def test_a_text_is_replaced_wherever_it_stands_alone(self):
        matcher = new_matcher("exact", bind=["id"])
        matcher.bind('{"id":"old-1"}', '{"id":"new-9"}')
        assert matcher.replaced('{"for":["old-1","old-12"]}') == '{"for":["new-9","old-12"]}'
        assert matcher.matches('{"for":"old-1"}', '{"for":"new-9"}')
        matcher.bind('{"id":7}', '{"id":8}')
        assert matcher.replaced('{"id":7,"n":7}') == '{"id":8,"n":7}'

    def test_what_was_played_comes_back(self):
        matcher = new_matcher("exact", bind=["id"])
        assert matcher.replaced('{"id":"ours"}') == '{"id":"ours"}'
        assert not matcher.matches('{"id":"ours"}', '{"id":"theirs"}')
        assert matcher.matches('{"id":"ours"}', '{"id":"ours"}')

    def test_another_kind_of_value_is_not_bound(self):
        matcher = new_matcher("exact", bind=["id"])
        for value in ("null", "true", "5", '["x"]', f'"{"x" * 5000}"'):
            assert not matcher.matches('{"id":"old"}', f'{{"id":{value}}}')

    def test_one_value_within_a_message(self):
        matcher = new_matcher("exact", bind=["a", "b"])
        assert matcher.matches('{"a":"x","b":"x"}', '{"a":"1","b":"1"}')
        assert not matcher.matches('{"a":"x","b":"x"}', '{"a":"1","b":"2"}')

    def test_comparing_binds_nothing(self):
        matcher = new_matcher("exact", bind=["id"])
        assert matcher.matches('{"id":"old"}', '{"id":"new"}')
        assert matcher.matches('{"id":"old"}', '{"id":"newer"}')
        assert matcher.bound == {}

    def test_a_pattern(self):
        matcher = new_matcher("exact", bind=[re.compile(r"id=(\w+)"), re.compile(r"\d\d:\d\d")])
        assert matcher.matches("join id=ab at 10:15", "join id=zz at 11:00")
        assert not matcher.matches("join id=ab at 10:15", "quit id=zz at 11:00")
        assert not matcher.matches("join id=ab", "join id=")
        matcher.bind("join id=ab", "join id=zz")
        assert matcher.replaced("welcome id=ab") == "welcome id=zz"
        assert matcher.replaced("welcome id=cd") == "welcome id=cd"
        assert not matcher.matches("bye id=ab", "bye id=ab")

    def test_a_pattern_inside_json(self):
        matcher = new_matcher("json", bind=["n", re.compile(r"#(\d+)")])
        matcher.bind('{"text": "see #12", "n": 1}', '{"n": 2, "text": "see #99"}')
        assert matcher.replaced('{"text": "of #12"}') == '{"text": "of #99"}'

    def test_a_guess_is_played_until_it_is_forgotten(self):
        matcher = new_matcher("exact", bind=["id"])
        matcher.guess('{"id":"old","a":1}', '{"id":"x","a":2}')
        assert matcher.replaced('{"id":"old"}') == '{"id":"x"}'
        assert matcher.replaced('{"for":"old!"}') == '{"for":"old!"}'
        matcher.forget_guesses()
        assert matcher.replaced('{"id":"old"}') == '{"id":"old"}'

    def test_fresh(self):
        matcher = new_matcher("exact", bind=["id"])
        matcher.bind('{"id":"old"}', '{"id":"new"}')
        assert matcher.fresh().replaced('{"id":"old"}') == '{"id":"old"}'


def test_a_function():
    matcher = new_matcher(lambda expected, seen: expected.lower() == seen.lower())
    assert matcher.matches("A", "a")
    assert matcher.explain("A", "b") == ""
    matcher.bind("A", "a")
    assert matcher.replaced("A") == "A"


def test_explaining():
    matcher = new_matcher("json", ignore=["t"])
    said = matcher.explain('{"t":1,"a":{"b":[1,2]}}', '{"t":2,"a":{"b":[1,"x"]},"c":null}')
    assert said == "a.b.1: 2 → 'x'; c: nothing → null"
    assert matcher.explain("a", b"a") == "text was expected, binary came"
    assert matcher.explain("a", "b") == ""
    assert matcher.explain(b"a", b"b") == ""
    many = matcher.explain('{"a":1,"b":1,"c":1,"d":1}', "{}")
    assert many.endswith("; and more")


@pytest.mark.parametrize(
    ("keywords", "error", "said"),
    [
        ({"match": "fuzzy"}, ValueError, "expected match="),
        ({"bind": "id"}, TypeError, r"\['id'\]"),
        ({"bind": [re.compile(b"x")]}, ValueError, "one of text"),
        ({"bind": [re.compile("(a)(b)")]}, ValueError, "at most one group"),
        ({"match": min, "ignore": ["a"]}, ValueError, "the function decides alone"),
    ],
)
def test_wrong_keywords(keywords, error, said):
    with pytest.raises(error, match=said):
        new_matcher(**{"match": "exact", **keywords})

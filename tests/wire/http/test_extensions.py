"""Sec-WebSocket-Extensions, beside websockets' own parser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.headers import parse_extension

from tests.wire.http.heads import names
from wslab.wire.http.extensions import parse_extensions


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("foo", [("foo", [])]),
        ("foo; bar", [("foo", [("bar", None)])]),
        ('foo; bar="baz"; x = 1', [("foo", [("bar", "baz"), ("x", "1")])]),
        (r'foo; bar="b\a\z"', [("foo", [("bar", "baz")])]),
        ("foo; a; a, bar", [("foo", [("a", None), ("a", None)]), ("bar", [])]),
        (" ,foo,, bar , ", [("foo", []), ("bar", [])]),
        ("", []),
    ],
)
def test_extensions_are_parsed(value: str, expected: Any) -> None:
    assert parse_extensions(value) == expected


@pytest.mark.parametrize(
    "value",
    ["foo;", "foo; =1", "foo=1", "; a", "foo bar", 'foo; a="b c"', 'foo; a="b', "foo; ,", "é"],
)
def test_malformed_extensions_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 6455 §9\.1"):
        parse_extensions(value)


parameters = st.lists(st.tuples(names, st.none() | names), max_size=3)


@given(st.lists(st.tuples(names, parameters), min_size=1, max_size=4), st.data())
def test_extensions_are_what_websockets_parses(extensions: Any, data: st.DataObject) -> None:
    space = st.sampled_from(["", " ", "\t"])

    def spaced(separator: str) -> str:
        return data.draw(space) + separator + data.draw(space)

    parts = []
    for name, items in extensions:
        part = name
        for key, value in items:
            quoted = value if value is None or data.draw(st.booleans()) else f'"{value}"'
            part += spaced(";") + (key if quoted is None else f"{key}={quoted}")
        parts.append(part)
    value = parts[0] + "".join(spaced(",") + part for part in parts[1:])
    assert parse_extensions(value) == extensions == parse_extension(value)

from __future__ import annotations

import pytest

from wslab.replays.paths import parse_paths, step_into


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id", ("id",)),
        ("user.name", ("user", "name")),
        ("$.user.name", ("user", "name")),
        ("items.*.id", ("items", "*", "id")),
        ("$.items[0].id", ("items", "0", "id")),
        ("items[*][1]", ("items", "*", "1")),
        ("$[0]", ("0",)),
    ],
)
def test_a_path(text, names):
    assert parse_paths([text], "ignore") == (names,)


@pytest.mark.parametrize("text", ["", "$", "a..b", ".", "a."])
def test_no_path(text):
    with pytest.raises(ValueError, match="names with a dot between them"):
        parse_paths([text], "ignore")


def test_no_list():
    with pytest.raises(TypeError, match=r"ignore= to be a list of paths, got one text: \['a'\]"):
        parse_paths("a", "ignore")
    with pytest.raises(TypeError, match="bind="):
        parse_paths([5], "bind")


def test_stepping_in():
    paths = parse_paths(["a.b", "*.c", "a"], "ignore")
    assert step_into(paths, "a") == (("b",), ("c",), ())
    assert step_into(paths, 0) == (("c",),)
    assert step_into(step_into(paths, "a"), "d") == ()

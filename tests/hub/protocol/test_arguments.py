"""Several arguments: what a handler is called with, by how many it must have."""

from __future__ import annotations

import pytest

from wslab.hub.protocol.arguments import Args, arguments_for


@pytest.mark.parametrize(
    ("data", "least", "called_with"),
    [
        (1, 1, (1,)),
        (None, 1, (None,)),
        ([1, 2], 1, ([1, 2],)),
        ([1, 2], 2, (1, 2)),
        ({"a": 1}, 2, ({"a": 1},)),
        (1, 0, (1,)),
        (Args(), 1, (None,)),
        (Args(), 0, ()),
        (Args(), 2, ()),
        (Args(1), 1, (1,)),
        (Args([1, 2]), 1, ([1, 2],)),
        (Args([1, 2]), 2, (1, 2)),
        (Args(1, 2), 1, (1, 2)),
        (Args(1, 2), 2, (1, 2)),
    ],
)
def test_what_a_handler_is_called_with(data, least, called_with):
    assert arguments_for(data, least) == called_with


def test_arguments_are_a_tuple_that_says_so():
    several = Args("e2", "e4")
    assert several == ("e2", "e4")
    assert repr(several) == "Args('e2', 'e4')"

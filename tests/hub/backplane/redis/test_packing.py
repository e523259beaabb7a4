"""Strings with their lengths before them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.backplane.redis.packing import packed, unpacked


@given(st.lists(st.binary()))
def test_they_come_out_as_they_went_in(parts: list[bytes]) -> None:
    assert unpacked(packed(parts)) == parts


def test_as_it_looks() -> None:
    assert packed([b"abc", b"", b"a:b\n"]) == b"3:abc0:4:a:b\n"


@given(st.binary())
def test_anything_else_is_refused_or_means_something(whole: bytes) -> None:
    try:
        parts = unpacked(whole)
    except ValueError:
        return
    assert unpacked(packed(parts)) == parts


@pytest.mark.parametrize("whole", [b"abc", b"3:ab", b":", b"-1:a", b"99999999999:a", b"2:ab1"])
def test_what_is_none(whole: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        unpacked(whole)

"""Answers as bytes, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.backplane.redis.answers import packed, unpacked


@given(st.binary(max_size=20), st.lists(st.binary(max_size=20), max_size=3))
def test_an_answer_is_the_same_after_it(text: bytes, binary: list[bytes]) -> None:
    assert unpacked(packed((text, binary))) == (text, binary)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\5abc", packed((b"abc", [b"d"]))[:-1]])
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected an answer in"):
        unpacked(data)

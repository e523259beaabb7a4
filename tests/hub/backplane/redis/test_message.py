"""A message in Redis: whatever it carries comes out as it went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.backplane.redis.message import Message, Numbered, decode, encode
from wslab.hub.dialects.dialect import Said

_text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=10)
_said = st.builds(
    Said, _text, st.binary(max_size=30), st.tuples(st.binary(max_size=9), st.binary(max_size=9)),
    st.none(), st.booleans(),
)  # fmt: skip
_messages = st.builds(
    Message, _text, st.tuples(st.none() | _text), st.tuples(_text), st.frozensets(_text),
    st.tuples(_text, _text), _said, st.none() | st.booleans(), st.none() | _text, st.booleans(),
)  # fmt: skip


@given(_messages, st.integers(1, 10**15), st.integers(0, 10**15))
def test_it_comes_out_as_it_went_in(message: Message, offset: int, before: int) -> None:
    text = encode(message)
    payload = b"%d e1 %d %d,0\n%s" % (offset, before, before, text)
    said = message.said._replace(offset=offset)
    assert decode(payload) == Numbered(
        offset, "e1", before, (before, 0), message._replace(said=said), len(payload)
    )


@pytest.mark.parametrize("payload", [b"", b"1 e 2 3\n[]\n", b"1 e 2\n[]\n"])
def test_what_is_none_of_ours(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        decode(payload)


def test_what_was_cut_short() -> None:
    text = encode(Message("i", (None,), (), frozenset(), ("", ""), Said("e", b"12345")))
    with pytest.raises(ValueError, match="expected 5 bytes behind a message's head, got 4"):
        decode(b"1 e 1 0\n" + text[:-1])

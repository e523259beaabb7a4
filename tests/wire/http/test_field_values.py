"""Lists of tokens."""

from __future__ import annotations

from wslab.wire.http.field_values import parse_token_list


# Lists.
def test_a_token_list_is_split() -> None:
    assert parse_token_list("keep-alive, Upgrade") == ["keep-alive", "Upgrade"]
    assert parse_token_list(" a ,,\tb,") == ["a", "b"]
    assert parse_token_list("") == []

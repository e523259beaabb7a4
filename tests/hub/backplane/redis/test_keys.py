"""Names of keys: one hash tag a hub, and no secret in them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.backplane.redis.keys import Keys, token_hash


def _all(keys: Keys, text: str) -> list[str]:
    stream = keys.room(text)
    return [
        keys.epoch, keys.counter, keys.nodes, keys.room(None), stream, keys.meta(stream),
        keys.own(text), keys.message(text), keys.session(text), keys.members(text),
        keys.renewed, keys.inside(text), keys.who(text),
        keys.channel(text, "own"), keys.channel(text, "canary"),
    ]  # fmt: skip


@given(st.text(min_size=1), st.text(min_size=1))
def test_all_names_of_a_hub_have_its_tag_and_differ(hub: str, text: str) -> None:
    names = _all(Keys(hub), text)
    assert len(set(names)) == len(names)
    # Redis hashes what stands between the first { and the } after it.
    [tag] = {re.match(r"[^{]*\{(.*?)\}", name, re.DOTALL).group(1) for name in names}
    assert tag
    assert "}" not in tag


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_hubs_share_no_name(one: str, other: str) -> None:
    shared = set(_all(Keys(one), "x")) & set(_all(Keys(other), "x"))
    assert bool(shared) is (one == other)


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_room_has_the_name_of_what_goes_with_another(room: str, other: str) -> None:
    keys = Keys("chat")
    for name in (other, f"{room}:meta", f"meta:{room}", f"meta:room:{room}"):
        assert keys.room(name) != keys.meta(keys.room(room))
    assert keys.meta(keys.room(room)).endswith(f"}}:meta:room:{room}")
    assert len({keys.room(each).encode() for each in ("\ud800", "\\ud800", "eda080")}) == 3


def test_a_room_that_is_called_everybody_is_not_everybody() -> None:
    keys = Keys("chat")
    assert keys.room("everybody") != keys.room(None) == "wslab:{chat}:everybody"


def test_a_token_cannot_be_read_from_its_hash() -> None:
    assert "secret" not in token_hash("secret-secret-secret")
    assert len(token_hash("a")) == len(token_hash("\ud800")) == 32

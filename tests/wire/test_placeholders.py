"""Bytes in JSON: where they belong, each once, and nothing that could be read as another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.test_socketio import binary
from wslab.wire.placeholders import escaped, from_json, places_of, put, to_json
from wslab.wire.violation import ProtocolViolation


def place(number: object, **more: object) -> dict[str, object]:
    return {"_placeholder": True, "num": number, **more}


def test_bytes_stand_beside_the_json_in_the_order_of_their_places():
    found: list[bytes] = []
    assert to_json(["a", b"x", {"b": [bytearray(b"y")]}], found) == (
        '["a",{"_placeholder":true,"num":0},{"b":[{"_placeholder":true,"num":1}]}]'
    )
    assert found == [b"x", b"y"]


def test_they_are_put_where_they_belong():
    data = ["a", place(1), {"b": [place(0)]}]
    put(places_of(data, 2), [b"x", b"y"])
    assert data == ["a", b"y", {"b": [b"x"]}]


@given(st.lists(binary, max_size=4))
def test_round_trips(data):
    attachments: list[bytes] = []
    again = from_json(to_json(data, attachments))
    put(places_of(again, len(attachments)), attachments)
    assert again == data


@pytest.mark.parametrize(
    "data",
    [
        [], ["a"], [place(0), place(0)], [place(1)], [place(-1)], [place(0.0)], [place("0")],
        [place(True)], [place(None)], [place(0, more=1)], [{"_placeholder": True}],
        [{"_placeholder": 1, "num": 0}], [{"_placeholder": True, "number": 0}],
    ],
)  # fmt: skip
def test_each_attachment_has_one_place(data):
    with pytest.raises(ProtocolViolation) as caught:
        places_of(data, 1)
    assert caught.value.rule == "bad-placeholder"


def test_what_only_looks_like_a_place_is_data():
    like = [{"_placeholder": False, "num": 0}, {"num": 0}, {"_placeholder": "true"}]
    assert len(places_of([*like, place(0)], 1)) == 1
    assert to_json(like, []).startswith('[{"_placeholder":false')


@pytest.mark.parametrize("text", [" []", "\n[]", "\t1", "[", "NaN", "1e999", "\ufeff[]", "\xa0[]"])
def test_what_is_no_json(text):
    with pytest.raises(ProtocolViolation) as caught:
        from_json(text)
    assert caught.value.rule == "bad-json"


def test_halves_of_surrogate_pairs_stay_escapes():
    assert escaped("a\ud800\u20ac") == "a\\ud800\u20ac"
    assert escaped("\u20ac") == "\u20ac"

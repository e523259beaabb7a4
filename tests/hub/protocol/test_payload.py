"""Data as JSON text and binary frames: what cannot be sent, and how it says so."""

from __future__ import annotations

import datetime
import functools
import json
import math
import re

import pytest

from tests.hub.protocol.rig import DEPTHS, tried
from wslab.hub.protocol import packets
from wslab.hub.protocol.payload import dumps


@pytest.mark.parametrize(
    ("data", "exception", "message"),
    [
        ({1, 2}, TypeError, "expected data that JSON can hold (text, numbers, lists, dicts, None)"),
        ([b"x", object], TypeError, "or bytes, got type <class 'object'>"),
        (math.nan, ValueError, "expected data that JSON can hold, got nan: "),
        ([math.inf], ValueError, "expected data that JSON can hold, got [inf]: "),
        ([b"x", math.inf], ValueError, ""),
        ([10**5000], ValueError, ""),
        ({(1, 2): 3}, TypeError, ""),
        ({b"x": 3}, TypeError, ""),
    ],
)
def test_what_cannot_be_sent(data, exception, message):
    with pytest.raises(exception) as caught:
        dumps(data)
    assert message in str(caught.value)


@pytest.mark.parametrize("leaf", [b"x", 1, math.nan])
@pytest.mark.parametrize("shape", [lambda it: [it], lambda it: {"a": it}, lambda it: (it, {"": 1})])
def test_data_that_is_too_deep_or_holds_itself_is_a_value_error(leaf, shape):
    for depth in DEPTHS:
        data = leaf
        for _ in range(depth):
            data = shape(data)
        sent, flaw = tried(dumps, data)
        assert (sent is None) == (flaw is not None)
        assert flaw is None or str(flaw).startswith("expected data")
        assert flaw is not None or leaf == leaf, "NaN was sent"
        assert sent is None or sent[1] == ([b"x"] if leaf == b"x" else [])
        while isinstance(data, list | dict | tuple) and data:  # or freeing it would recurse
            data = data.pop("a") if isinstance(data, dict) else data[0]
    itself = [leaf] if leaf == leaf else []
    itself.append({"a": itself})
    with pytest.raises(ValueError, match="got some that holds itself or is nested too"):
        dumps(itself)


# With dumps= and loads= of one's own.


def _default(value):
    if isinstance(value, datetime.date):
        return {"$date": value.isoformat()}
    raise TypeError(f"no {type(value).__name__}")


def _hook(found):
    return datetime.date.fromisoformat(found["$date"]) if found.keys() == {"$date"} else found


OWN_DUMPS = functools.partial(json.dumps, default=_default)
OWN_LOADS = functools.partial(json.loads, object_hook=_hook)
DAY = datetime.date(2026, 11, 29)


@pytest.mark.parametrize(
    "data",
    [
        None, 0, "x", "half \ud800", [DAY], {"at": DAY, "file": b"x", "more": [b"", {"b": b"y"}]},
        b"alone", {"deep": [[[DAY, b"z"]]]},
    ],
)  # fmt: skip
def test_own_dumps_and_loads_meet(data):
    encoded = dumps(data, OWN_DUMPS)
    text, binary = packets.encode_event("x", encoded=encoded)
    packet = packets.decode(text)
    packet.attachments = binary
    assert packets.take_binary(packet, OWN_LOADS) == data
    answer = packets.decode(packets.encode_answer(7, data, OWN_DUMPS)[0])
    assert (answer.answer, answer.data) == (7, packet.data)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (lambda data: "{", "JSON text, got str '{'"),
        (lambda data: "1,2", "JSON text, got str '1,2'"),
        (lambda data: '1},"id":{"x":2', "JSON text, got str"),
        (lambda data: "NaN", "JSON text, got str 'NaN'"),
        (lambda data: 5, "JSON text, got int 5"),
        (lambda data: None, "JSON text, got NoneType None"),
        (lambda data: b"\xff", "utf-8"),
    ],
)
def test_own_dumps_must_return_json(own, told):
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        dumps({}, own)


def test_own_dumps_may_return_bytes_as_orjson_does():
    assert dumps(["ü"], lambda data: json.dumps(data).encode())[0] == '["\\u00fc"]'


def test_own_dumps_has_the_same_bounds():
    with pytest.raises(ValueError, match="at most 64 values of bytes"):
        dumps([b""] * 65, OWN_DUMPS)
    with pytest.raises(ValueError, match=r'no key "\$binary"'):
        dumps({"$binary": 0, "b": b""}, OWN_DUMPS)
    ring = [b""]
    ring.append(ring)
    with pytest.raises(ValueError, match="nested too deeply"):
        dumps([[ring], []], OWN_DUMPS)

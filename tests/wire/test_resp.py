"""RESP, by literal bytes, cut anywhere, and from a peer that claims too much."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.wire import resp
from wslab.wire.resp import RespDecoder, RespError, RespFailure, RespPush

VALUES = [
    (b"+OK\r\n", "OK"),
    (b"-ERR no such command\r\n", RespFailure("ERR no such command")),
    (b":42\r\n", 42),
    (b"$5\r\nhello\r\n", b"hello"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*2\r\n$4\r\nPING\r\n$2\r\n\r\n\r\n", [b"PING", b"\r\n"]),
    (b"*1\r\n*1\r\n:1\r\n", [[1]]),
    (b"_\r\n", None),
    (b"#t\r\n", True),
    (b",1.5\r\n", 1.5),
    (b"(12345678901234567890\r\n", 12345678901234567890),
    (b"!5\r\nERR x\r\n", RespFailure("ERR x")),
    (b"=7\r\ntxt:abc\r\n", b"abc"),
    (b"%1\r\n+a\r\n:1\r\n", [("a", 1)]),
    (b"~1\r\n:1\r\n", [1]),
    (b">2\r\n+pong\r\n+x\r\n", RespPush(["pong", "x"])),
    (b"|1\r\n+ttl\r\n:1\r\n:7\r\n", 7),
]


@pytest.mark.parametrize(("data", "value"), VALUES)
def test_each_kind_of_value_is_read(data, value):
    [read] = RespDecoder().add(data)
    assert read.value == value
    assert type(read.value) is type(value)
    assert read.size_bytes == len(data)


@given(st.lists(st.sampled_from(VALUES), max_size=6), st.lists(st.integers(1, 12), min_size=1))
def test_however_the_bytes_are_cut_the_values_are_the_same(chosen, cuts):
    whole = b"".join(data for data, _ in chosen)
    decoder, read, at, nth = RespDecoder(), [], 0, 0
    while at < len(whole):
        size = cuts[nth % len(cuts)]
        read += decoder.add(whole[at : at + size])
        at, nth = at + size, nth + 1
    assert [each.value for each in read] == [value for _, value in chosen]
    assert sum(each.size_bytes for each in read) == len(whole)
    assert decoder.held_bytes == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_an_error(data):
    decoder = RespDecoder(max_bytes=1000)
    with contextlib.suppress(RespError):
        decoder.add(data)
    assert decoder.held_bytes <= 200


@pytest.mark.parametrize(
    "claim",
    [b"$999999999\r\n", b"*999999999\r\n", b"*1\r\n" * 50, b"+" + b"x" * 2000],
    ids=["bulk", "array", "levels", "line"],
)
def test_a_peer_that_claims_too_much_is_an_error_at_once(claim):
    decoder = RespDecoder(max_bytes=1000)
    with pytest.raises(RespError, match="expected"):
        decoder.add(claim)


def test_a_bound_in_bytes_holds_for_what_comes_in_pieces():
    decoder = RespDecoder(max_bytes=1000)
    decoder.add(b"*900\r\n")
    with pytest.raises(RespError, match="at most 1,000 bytes"):
        for _ in range(resp.MAX_ITEMS):
            decoder.add(b":1\r\n:2\r\n:3\r\n")
    assert decoder.held_bytes < 1100

"""A body put together from pieces: its end, what it carries, its bound."""

from __future__ import annotations

import pytest

from tests.wire.http.heads import read_request
from wslab.wire.layers.body import MAX_BODY, Body


def body(*headers: bytes) -> Body:
    return Body(read_request(b"\r\n".join([b"POST / HTTP/1.1", *headers, b"", b""])))


@pytest.mark.parametrize("pieces", [[b"hello"], [b"", b"he", b"llo"], [b"hello", b"more"]])
def test_a_length_says_where_it_ends(pieces):
    one = body(b"Content-Length: 5")
    assert [one.add(piece) for piece in pieces][-1] is True
    assert one.content == b"hello"
    assert one.held == 0


def test_chunks_say_where_it_ends():
    one = body(b"Transfer-Encoding: chunked")
    assert one.add(b"3\r\nhel\r\n2\r\nlo") is False
    assert one.held == 13
    assert one.add(b"\r\n0\r\n\r\n") is True
    assert one.content == b"hello"


def test_without_either_there_is_none():
    one = body()
    assert one.add(b"") is True
    assert one.content == b""


def test_it_holds_up_to_a_bound():
    one = body(b"Content-Length: %d" % (MAX_BODY + 1))
    one.add(b"x" * MAX_BODY)
    assert one.held == MAX_BODY
    assert one.add(b"x") is True
    assert (one.content, one.held) == (None, 0)
    one = body(b"Content-Length: 3")
    one.add(b"ab")
    one.let_go()
    assert one.held == 0
    one.add(b"c")
    assert one.content is None

"""Where HTTP bodies end, and what they carry."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest

from wslab.wire.http.bodies import (
    MAX_CONTENT_BYTES,
    ChunkedReader,
    body_length,
    content_of,
    is_chunked,
)
from wslab.wire.http.head_reader import HeadReader
from wslab.wire.http.heads import Request, Response

CHUNKED = b"5;name=value\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"


def response(*headers: str, status: str = "200 OK") -> Response:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()
    found, rest = HeadReader("server").feed(head)
    assert isinstance(found, Response)
    assert rest == b""
    return found


def request(method: str = "GET", *headers: str) -> Request:
    head = "\r\n".join([f"{method} / HTTP/1.1", *headers, "", ""]).encode()
    found, _ = HeadReader("client").feed(head)
    assert isinstance(found, Request)
    return found


class TestChunks:
    def test_content_and_end(self):
        reader = ChunkedReader()
        content, used = reader.split(CHUNKED + b"HTTP/1.1 200")
        assert (b"".join(content), used, reader.ended) == (b"hello0123456789", len(CHUNKED), True)
        assert reader.split(b"more") == ([], 0)

    def test_cut_anywhere(self):
        for cut in range(len(CHUNKED)):
            reader = ChunkedReader()
            content, used = reader.split(CHUNKED[:cut])
            assert used == cut
            assert not reader.ended
            twin = reader.copy()
            twin.split(b"zzz")
            more, used = reader.split(CHUNKED[cut:] + b"x")
            assert b"".join(content + more) == b"hello0123456789"
            assert (used, reader.ended) == (len(CHUNKED) - cut, True)

    @pytest.mark.parametrize("bad", [b"\r\n", b"-5\r\n", b"0x5\r\n", b"5 5\r\n", b"f" * 5000])
    def test_what_breaks_the_form_has_no_end(self, bad):
        reader = ChunkedReader()
        data = bad + CHUNKED
        assert reader.split(data)[1] == len(data)
        assert reader.split(CHUNKED) == ([], len(CHUNKED))
        assert not reader.ended

    def test_only_the_last_coding_counts(self):
        assert is_chunked(response("Transfer-Encoding: gzip, Chunked"))
        assert not is_chunked(response("Transfer-Encoding: chunked, gzip"))
        assert not is_chunked(response("Content-Length: 5"))


class TestLength:
    @pytest.mark.parametrize(
        ("head", "length"),
        [
            (response("Content-Length: 5"), 5),
            (response("Content-Length: five"), None),
            (response(), None),
            (response("Content-Length: 5", "Transfer-Encoding: chunked"), None),
            (response("Content-Length: 5", status="204 No Content"), 0),
            (response("Content-Length: 5", status="304 Not Modified"), 0),
            (response(status="100 Continue"), 0),
            (request(), 0),
            (request("POST", "Content-Length: 7"), 7),
            (request("POST", "Transfer-Encoding: chunked"), None),
        ],
    )
    def test_of_a_head(self, head, length):
        assert body_length(head) == length

    def test_an_answer_to_head_has_none(self):
        assert body_length(response("Content-Length: 5"), request("HEAD")) == 0


class TestContent:
    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            ("gzip", gzip.compress(b"hello", mtime=0)),
            ("deflate", zlib.compress(b"hello")),
            ("gzip, deflate", zlib.compress(gzip.compress(b"hello", mtime=0))),
        ],
    )
    def test_is_inflated(self, coding, body):
        assert content_of(response(f"Content-Encoding: {coding}"), body) == b"hello"

    def test_without_chunks(self):
        assert content_of(response("Transfer-Encoding: chunked"), CHUNKED) == b"hello0123456789"

    @pytest.mark.parametrize("coding", ["br", "gzip"])
    def test_what_cannot_be_undone_stays(self, coding):
        assert content_of(response(f"Content-Encoding: {coding}"), b"\xff\xfe") == b"\xff\xfe"

    def test_a_bomb_stays_packed(self):
        bomb = gzip.compress(bytes(MAX_CONTENT_BYTES + 1))
        assert content_of(response("Content-Encoding: gzip"), bomb) == bomb


class TestLengthsThatAreNone:
    """A number in a head never raises, however long it is."""

    @pytest.mark.parametrize("length", ["9" * 19, "9" * 5_000, "1" + "0" * 100_000])
    def test_more_than_could_ever_come(self, length):
        head = response()
        headers = (*head.headers, replace(request_header(), value=length))
        assert body_length(replace(head, headers=headers)) is None

    @pytest.mark.parametrize(
        ("length", "size"), [("0", 0), ("0" * 5_000 + "12", 12), ("9" * 18, int("9" * 18))]
    )
    def test_leading_zeros_are_nothing(self, length, size):
        head = response()
        headers = (*head.headers, replace(request_header(), value=length))
        assert body_length(replace(head, headers=headers)) == size

    @pytest.mark.parametrize("length", ["", "-1", "1e9", "\u0663", "\xb2", "5, 5", "0x10", "+5"])
    def test_no_number(self, length):
        assert body_length(request("GET", f"Content-Length: {length}")) == 0

    def test_chunks_of_an_absurd_size(self):
        for size in (b"f" * 4_000, b"F" * 16, b"9" * 4_000):
            assert ChunkedReader().split(size + b"\r\nabc") == ([], len(size) + 5)


def request_header():
    return request("GET", "Content-Length: 1").headers[0]

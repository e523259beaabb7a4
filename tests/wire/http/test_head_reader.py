"""Heads read from bytes: literal ones, cut anywhere, beside websockets' own parser, and noise."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers as ReferenceHeaders
from websockets.http11 import Request as ReferenceRequest
from websockets.http11 import Response as ReferenceResponse

from tests.wire.http.heads import (
    ACCEPT,
    CURL_REQUEST,
    EVENTSOURCE_REQUEST,
    KEY,
    RFC_REQUEST,
    RFC_RESPONSE,
    names,
    read_request,
    read_response,
    spoiled_heads,
    values,
)
from wslab.wire.http.head_reader import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, HeadReader
from wslab.wire.http.heads import Problem, Request, Response


def read_problem(sender: Any, data: bytes) -> Problem:
    head, _ = HeadReader(sender).feed(data)
    assert isinstance(head, Problem), head
    return head


# Reading heads.
def test_a_request_is_read() -> None:
    request = read_request(RFC_REQUEST)
    assert (request.method, request.target, request.version) == ("GET", "/chat", "HTTP/1.1")
    assert request.start_line == "GET /chat HTTP/1.1"
    assert [(header.name, header.value) for header in request.headers] == [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
    ]
    assert request.raw == RFC_REQUEST
    assert request.asks_for_websocket


def test_a_response_is_read() -> None:
    response = read_response(RFC_RESPONSE)
    assert (response.status, response.reason, response.version) == (
        101,
        "Switching Protocols",
        "HTTP/1.1",
    )
    assert response.get("sec-websocket-accept") == ACCEPT
    assert response.raw == RFC_RESPONSE
    assert response.body == b""


def test_what_follows_a_head_is_given_back() -> None:
    reader = HeadReader("server")
    head, rest = reader.feed(RFC_RESPONSE + b"\x81\x05Hello")
    assert isinstance(head, Response)
    assert rest == b"\x81\x05Hello"


def test_a_reader_goes_on_with_the_next_head() -> None:
    reader = HeadReader("client")
    first, rest = reader.feed(EVENTSOURCE_REQUEST + CURL_REQUEST)
    second, rest = reader.feed(rest)
    assert first == read_request(EVENTSOURCE_REQUEST)
    assert second == read_request(CURL_REQUEST)
    assert rest == b""


def test_a_copy_goes_on_on_its_own() -> None:
    reader = HeadReader("client")
    assert reader.feed(RFC_REQUEST[:90]) == (None, b"")
    twin = reader.copy()
    assert reader.feed(b"\n") != (None, b"")
    assert reader.problem is not None
    head, rest = twin.feed(RFC_REQUEST[90:])
    assert head == read_request(RFC_REQUEST)
    assert rest == b""
    assert twin.problem is None
    assert reader.copy().problem is reader.problem


def test_one_blank_line_before_a_request_is_passed_over() -> None:
    # RFC 9112 §2.2; the offsets count from the request line.
    assert read_request(b"\r\n" + RFC_REQUEST) == read_request(RFC_REQUEST)
    assert read_problem("client", b"\r\n\r\n" + RFC_REQUEST).section == "RFC 9112 §3"
    assert isinstance(HeadReader("server").feed(b"\r\n" + RFC_RESPONSE)[0], Problem)


def test_a_status_line_may_lack_its_reason() -> None:
    assert read_response(b"HTTP/1.1 101\r\n\r\n").reason == ""
    assert read_response(b"HTTP/1.0 404 \r\n\r\n").version == "HTTP/1.0"


def test_bytes_beyond_ascii_survive() -> None:
    response = read_response("HTTP/1.1 200 Bien sûr\r\nX-Name: Zoë\r\n\r\n".encode())
    value = response.get("x-name")
    assert value is not None
    assert value.encode("latin-1").decode() == "Zoë"


@pytest.mark.parametrize(
    ("sender", "data", "section", "offset", "word"),
    [
        ("client", b"GET / HTTP/1.1\nHost: a\n\n", "RFC 9112 §2.2", 14, r"\r\n"),
        ("client", b"GET / HTTP/1.1\r\nHost: a\rb\r\n", "RFC 9112 §2.2", 26, "CR"),
        ("client", b"GET /\r\n", "RFC 9112 §3", 6, "request line"),
        ("client", b"GET  / HTTP/1.1\r\n", "RFC 9112 §3", 16, "request line"),
        ("client", b"GET /a b HTTP/1.1\r\n", "RFC 9112 §3", 18, "request line"),
        ("client", b"GET / http/1.1\r\n", "RFC 9112 §3", 15, "request line"),
        ("client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "RFC 9112 §2.3", 15, "HTTP/2.0"),
        ("client", b"\x16\x03\x01\x02\x00\x01", "RFC 8446 §5.1", 0, "TLS"),
        ("server", b"\x15\x03\x01\x00\x02\x02", "RFC 8446 §5.1", 0, "TLS"),
        ("client", b"\x81\x85\x37\xfa", "RFC 9112 §3", 0, "0x81"),
        ("server", b"SSH-2.0-OpenSSH_9\r\n", "RFC 9112 §4", 0, "0x53"),
        ("server", b"HTTP/1.1 1o1 Switching\r\n", "RFC 9112 §4", 23, "status line"),
        ("server", b"HTTP/1.1 099 Low\r\n", "RFC 9112 §4", 17, "status line"),
        ("server", b"HTTP/2.0 200 OK\r\n", "RFC 9112 §2.3", 16, "HTTP/2.0"),
        ("client", b"GET / HTTP/1.1\r\nHost a\r\n", "RFC 9112 §5", 23, "colon"),
        ("client", b"GET / HTTP/1.1\r\nHost : a\r\n", "RFC 9112 §5.1", 25, "space"),
        ("client", b"GET / HTTP/1.1\r\nA: b\r\n c\r\n", "RFC 9112 §5.2", 25, "one line"),
        ("client", b"GET / HTTP/1.1\r\n: a\r\n", "RFC 9110 §5.1", 20, "token"),
        ("client", b"GET / HTTP/1.1\r\nA(b: a\r\n", "RFC 9110 §5.1", 23, "token"),
        ("client", b"GET / HTTP/1.1\r\nHost: a\x00b\r\n", "RFC 9110 §5.5", 23, "0x00"),
        ("client", b"GET / HTTP/1.1\r\nA: \x7f", "RFC 9110 §5.5", 19, "0x7f"),
        ("client", b"\x00", "RFC 9110 §5.5", 0, "0x00"),
    ],
)
def test_what_breaks_http_is_named(
    sender: Any, data: bytes, section: str, offset: int, word: str
) -> None:
    problem = read_problem(sender, data)
    assert (problem.section, problem.offset) == (section, offset)
    assert word in problem.message
    assert problem.rule


def test_a_broken_reader_stays_broken_and_touches_nothing() -> None:
    reader = HeadReader("client")
    problem, rest = reader.feed(b"GET / HTTP/1.1\nabc")
    assert isinstance(problem, Problem)
    assert rest == b"abc"
    assert reader.feed(RFC_REQUEST) == (problem, RFC_REQUEST)


def test_a_problem_quotes_no_value() -> None:
    for line in (b"Cookie sid=hunter2hunter2", b"Cookie : sid=hunter2hunter2", b" hunter2hunter2"):
        problem = read_problem("client", b"GET / HTTP/1.1\r\n" + line + b"\r\n")
        assert "hunter2" not in repr(problem)
    assert "hunter2" not in repr(read_problem("client", b"GET /?token=hunter2\r\n"))


def test_a_line_is_bounded() -> None:
    start = b"GET / HTTP/1.1\r\n"
    line = b"A: " + b"x" * (MAX_LINE_BYTES - 5)
    assert len(line) + 2 == MAX_LINE_BYTES
    read_request(start + line + b"\r\n\r\n")
    problem = read_problem("client", start + line + b"x\r\n\r\n")
    assert problem.offset == len(start) + MAX_LINE_BYTES
    assert str(MAX_LINE_BYTES) in problem.message


def test_a_head_is_bounded() -> None:
    start = b"GET / HTTP/1.1\r\n"
    line = b"A: " + b"x" * 1019 + b"\r\n"
    assert len(line) == 1024
    filler = b"B: " + b"y" * (1024 - len(start) - 2 - 5) + b"\r\n"
    data = start + line * (MAX_HEAD_BYTES // 1024 - 1) + filler + b"\r\n"
    assert len(data) == MAX_HEAD_BYTES
    read_request(data)
    problem = read_problem("client", data[:-2] + b"C: d\r\n\r\n")
    assert problem.offset == MAX_HEAD_BYTES
    assert str(MAX_HEAD_BYTES) in problem.message


def test_a_head_without_end_does_not_fill_the_memory() -> None:
    reader = HeadReader("client")
    for _ in range(100):
        result, _ = reader.feed(b"A" * 10_000)
    assert isinstance(result, Problem)
    assert len(reader._buffer) == 0


def test_headers_are_counted() -> None:
    start = b"GET / HTTP/1.1\r\n"
    assert len(read_request(start + b"A: b\r\n" * MAX_HEADERS + b"\r\n").headers) == MAX_HEADERS
    problem = read_problem("client", start + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n")
    assert str(MAX_HEADERS) in problem.message


def test_an_unknown_sender_is_refused() -> None:
    with pytest.raises(ValueError, match='"client" or "server"'):
        HeadReader("proxy")  # type: ignore[arg-type]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({each % (len(data) + 1) for each in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def read_in_chunks(sender: Any, chunks: list[bytes]) -> tuple[Any, bytes]:
    reader = HeadReader(sender)
    for number, chunk in enumerate(chunks):
        result, rest = reader.feed(chunk)
        if result is not None:
            return result, rest + b"".join(chunks[number + 1 :])
        assert rest == b""
    return None, b""


@given(
    st.sampled_from(["client", "server"]),
    spoiled_heads() | st.binary(max_size=200),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_chunks_change_nothing(sender: Any, data: bytes, cuts: list[int]) -> None:
    whole = read_in_chunks(sender, [data])
    assert read_in_chunks(sender, cut(data, cuts)) == whole
    assert read_in_chunks(sender, [data[i : i + 1] for i in range(len(data))]) == whole


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1])
def test_chunks_change_nothing_at_the_bound(size: int) -> None:
    data = b"G" * size + b"\r\n\r\nabc"
    whole = read_in_chunks("client", [data])
    assert isinstance(whole[0], Problem)
    for step in (1, 7, 4096):
        assert read_in_chunks("client", [data[i : i + step] for i in range(0, size, step)])[0] in (
            whole[0],
            None,  # the last chunks are not in it
        )
        chunks = [data[i : i + step] for i in range(0, len(data), step)]
        assert read_in_chunks("client", chunks) == whole


@given(st.sampled_from(["client", "server"]), st.lists(st.binary(max_size=300), max_size=5))
@example("client", [b"GET / HTTP/1.1\r\n", b"\r\n"])
def test_noise_never_raises(sender: Any, chunks: list[bytes]) -> None:
    reader = HeadReader(sender)
    for chunk in chunks:
        result, rest = reader.feed(chunk)
        assert result is None or isinstance(result, (Request, Response, Problem))
        assert chunk.endswith(rest)


@given(names, values, st.lists(st.tuples(names, values), max_size=6))
def test_heads_are_what_websockets_reads(
    target: str, reason: str, pairs: list[tuple[str, str]]
) -> None:
    target = f"/{target}"
    headers = ReferenceHeaders(pairs)
    request = read_request(ReferenceRequest(target, headers).serialize())
    assert request.target == target
    assert [(header.name, header.value) for header in request.headers] == pairs
    raw = ReferenceResponse(404, reason, headers).serialize()
    response = read_response(raw)
    assert (response.status, response.reason) == (404, reason)
    assert [(header.name, header.value) for header in response.headers] == pairs


def test_a_long_page_of_noise_is_read_in_linear_time() -> None:
    # One byte at a time, the whole buffer must not be looked through again for each.
    line = b"X-Noise: " + random.Random(1).randbytes(3).hex().encode() * 100 + b"\r\n"
    data = b"GET / HTTP/1.1\r\n" + line * 100 + b"\r\n"
    reader = HeadReader("client")
    for i in range(len(data) - 1):
        assert reader.feed(data[i : i + 1]) == (None, b"")
        assert reader._scanned == i + 1
    head, _ = reader.feed(data[-1:])
    assert isinstance(head, Request)
    assert len(head.headers) == 100

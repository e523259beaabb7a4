"""Heads and handshakes against literal bytes, against websockets' own parser, and against noise."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import random
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.datastructures import Headers as ReferenceHeaders
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import parse_extension
from websockets.http11 import Request as ReferenceRequest
from websockets.http11 import Response as ReferenceResponse
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key as reference_accept_key

import wslab.wire.http.handshake
import wslab.wire.http.headers
from wslab.wire.http.handshake import (
    GUID,
    MARKER,
    Handshake,
    HeadReader,
    Problem,
    Request,
    Response,
    accept_key,
    build_request,
    build_response,
    check_key,
    derive_accept,
    explain,
    find_secrets,
    parse_extensions,
    parse_token_list,
    redact,
)
from wslab.wire.http.headers import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

# RFC 6455 §1.2.
RFC_REQUEST = (
    b"GET /chat HTTP/1.1\r\n"
    b"Host: server.example.com\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: http://example.com\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)
RFC_RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: chat\r\n"
    b"\r\n"
)
# As Chromium 156 sent it.
CHROMIUM_REQUEST = (
    b"GET /chat?token=t0p HTTP/1.1\r\n"
    b"Host: 127.0.0.1:42485\r\n"
    b"Connection: Upgrade\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"HeadlessChrome/156.0.0.0 Safari/537.36\r\n"
    b"Upgrade: websocket\r\n"
    b"Origin: http://127.0.0.1:42485\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: sid=abc\r\n"
    b"Sec-WebSocket-Key: kVjdGwS0FGoEOucdWWLCMg==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"Sec-WebSocket-Protocol: chat, v2.chat\r\n"
    b"\r\n"
)
# Chromium 156, new EventSource("/events").
EVENTSOURCE_REQUEST = (
    b"GET /events HTTP/1.1\r\n"
    b"Host: 127.0.0.1:42485\r\n"
    b"Connection: keep-alive\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b'sec-ch-ua-platform: "Linux"\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"HeadlessChrome/156.0.0.0 Safari/537.36\r\n"
    b"Accept: text/event-stream\r\n"
    b'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"\r\n'
    b"sec-ch-ua-mobile: ?0\r\n"
    b"Sec-Fetch-Site: same-origin\r\n"
    b"Sec-Fetch-Mode: cors\r\n"
    b"Sec-Fetch-Dest: empty\r\n"
    b"Referer: http://127.0.0.1:42485/\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: sid=abc\r\n"
    b"Last-Event-ID: 41\r\n"
    b"\r\n"
)
# curl 7.88.1 with -H for each header of the upgrade.
CURL_REQUEST = (
    b"GET /ws HTTP/1.1\r\n"
    b"Host: 127.0.0.1:33369\r\n"
    b"User-Agent: curl/7.88.1\r\n"
    b"Accept: */*\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"\r\n"
)
# websockets 17.4.
WEBSOCKETS_REQUEST = (
    b"GET /chat HTTP/1.1\r\n"
    b"Host: 127.0.0.1:33369\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: bgatmmTj4E/L0cGYp9fnqQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"Sec-WebSocket-Protocol: chat, v2.chat\r\n"
    b"User-Agent: Python/3.11 websockets/17.4\r\n"
    b"\r\n"
)
SSE_RESPONSE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"X-Lesson: nine\r\n"
    b"\r\n"
)
REQUESTS = [
    RFC_REQUEST,
    CHROMIUM_REQUEST,
    CURL_REQUEST,
    WEBSOCKETS_REQUEST,
    EVENTSOURCE_REQUEST,
]
RESPONSES = [RFC_RESPONSE, SSE_RESPONSE]


def read_request(data: bytes) -> Request:
    head, rest = HeadReader("client").feed(data)
    assert isinstance(head, Request), head
    assert rest == b""
    return head


def read_response(data: bytes, body: bytes = b"") -> Response:
    head, rest = HeadReader("server").feed(data)
    assert isinstance(head, Response), head
    return dataclasses.replace(head, body=rest + body)


def read_problem(sender: Any, data: bytes) -> Problem:
    head, _ = HeadReader(sender).feed(data)
    assert isinstance(head, Problem), head
    return head


def handshake(
    request: bytes = RFC_REQUEST, response: bytes | None = RFC_RESPONSE, body: bytes = b""
) -> Handshake:
    answer = read_response(response, body) if response is not None else None
    return Handshake(read_request(request), answer)


def refusal(
    status: int,
    headers: dict[str, str] | None = None,
    *,
    request: bytes = RFC_REQUEST,
    body: bytes = b"",
) -> Handshake:
    return handshake(request, build_response(status, headers=headers or {}), body)


def without(head: bytes, name: str) -> bytes:
    """Take the lines of a header out of a head."""
    prefix = name.lower().encode() + b":"
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(prefix)]
    assert len(kept) < len(lines)
    return b"\r\n".join(kept)


def failed(result: Handshake) -> list[tuple[str, str]]:
    return [(check.side, check.name) for check in result.checks if not check.ok]


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


@pytest.mark.parametrize("data", REQUESTS + RESPONSES)
def test_every_header_knows_its_bytes(data: bytes) -> None:
    head = read_response(data) if data.startswith(b"HTTP") else read_request(data)
    assert head.raw == data
    for header in head.headers:
        end = header.offset + len(header.raw)
        assert data[header.offset : end] == header.raw
        assert data[end : end + 2] == b"\r\n"
        assert header.raw == f"{header.name}: {header.value}".encode()
        assert header.purpose.endswith(".")
        assert header.set_by
        assert header.section
        assert not header.redacted
        assert header.fault is None


def test_names_are_compared_without_case_and_repeated_headers_are_kept() -> None:
    data = b"HTTP/1.1 200 OK\r\nSET-cookie: a=1\r\nServer: x\r\nSet-Cookie:\t b=2 \r\n\r\n"
    response = read_response(data)
    assert response.get("set-Cookie") == "a=1"
    assert response.get_all("Set-Cookie") == ("a=1", "b=2")
    assert response.get("Date") is None
    assert response.get_all("Date") == ()
    assert response.headers[2].raw == b"Set-Cookie:\t b=2 "


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


@st.composite
def spoiled_heads(draw: st.DrawFn) -> bytes:
    """Real heads with a few bytes changed, put in or taken out, and something after them."""
    data = bytearray(draw(st.sampled_from(REQUESTS + RESPONSES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        piece = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b":", b" ", b",", b"\x00", b"H"]))
        data[at : at + draw(st.integers(0, 2))] = piece or draw(st.binary(max_size=3))
    return bytes(data) + draw(st.binary(max_size=20))


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


@given(spoiled_heads(), spoiled_heads())
def test_spoiled_heads_are_judged_without_raising(one: bytes, two: bytes) -> None:
    request, _ = HeadReader("client").feed(one)
    response, _ = HeadReader("server").feed(two)
    if not isinstance(request, Request):
        request = read_request(RFC_REQUEST)
    if not isinstance(response, Response):
        response = None
    result = Handshake(request, response)
    assert result.accepted == (result.why_refused == "")
    assert result.accepted or failed(result)
    assert isinstance(result.extensions, list)
    redact(request)


TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
names = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20)
values = st.text(string.printable[:95], max_size=60).map(str.strip)


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


# What headers are for.


def test_who_sets_a_header_depends_on_the_client() -> None:
    in_browser = {header.name: header for header in read_request(CHROMIUM_REQUEST).headers}
    elsewhere = {header.name: header for header in read_request(WEBSOCKETS_REQUEST).headers}
    key = "Sec-WebSocket-Key"
    assert in_browser[key].set_by == "the browser's engine, script cannot change it"
    assert elsewhere[key].set_by == "the client program"
    assert "script: the second argument" in in_browser["Sec-WebSocket-Protocol"].set_by
    assert "cookie jar" in in_browser["Cookie"].set_by
    assert in_browser[key].section == "RFC 6455 §11.3.1"


def test_the_same_name_means_another_thing_in_an_answer() -> None:
    asked, _, _ = explain("sec-websocket-protocol", "client")
    answered, set_by, _ = explain("SEC-WebSocket-Protocol", "server")
    assert "offers" in asked
    assert "picked" in answered
    assert set_by == "the server"
    assert explain("Via", "server")[1] == "a proxy on the way"


def test_an_unknown_header_says_so() -> None:
    header = read_response(SSE_RESPONSE).headers[-1]
    assert header.name == "X-Lesson"
    assert "Not a header this library knows" in header.purpose
    assert explain("X-Lesson", "client")[1] == "the client program or a proxy"


@pytest.mark.parametrize("data", [*REQUESTS, RFC_RESPONSE, SSE_RESPONSE[:-18] + b"\r\n"])
def test_all_that_browsers_and_libraries_send_is_known(data: bytes) -> None:
    head = read_response(data) if data.startswith(b"HTTP") else read_request(data)
    assert [header.name for header in head.headers if "Not a header" in header.purpose] == []


def test_a_poll_and_a_stream_ask_for_no_websocket() -> None:
    assert not read_request(EVENTSOURCE_REQUEST).asks_for_websocket
    assert read_request(without(CURL_REQUEST, "Upgrade")).asks_for_websocket
    assert read_request(b"GET / HTTP/1.1\r\nupgrade: h2c, WebSocket\r\n\r\n").asks_for_websocket


# Key and Accept.


def test_accept_is_derived_step_by_step() -> None:
    # RFC 6455 §1.3.
    steps = derive_accept(KEY)
    assert steps.key == KEY
    assert steps.guid == GUID == "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert steps.concatenated == "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert steps.sha1 == bytes.fromhex("b37a4f2cc0624f1690f64606cf385945b2bec4ea")
    assert steps.accept == ACCEPT == accept_key(KEY)
    assert steps.key_fault is None
    assert derive_accept(f" {KEY}\t") == steps


@given(st.binary(min_size=16, max_size=16))
def test_accept_is_what_websockets_says(nonce: bytes) -> None:
    key = base64.b64encode(nonce).decode()
    assert accept_key(key) == reference_accept_key(key)
    assert check_key(key) is None


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is base64 of 0 bytes, not of 16"),
        ("dGhlIHNhbXBsZSBub25j", "is base64 of 15 bytes, not of 16"),
        ("dGhlIHNhbXBsZSBub25jZQ", "is not base64"),
        ("dGhlIHNhbXBsZSBub25jZQ==!", "is not base64"),
        ("the sample nonce", "is not base64"),
        ("ключ", "is not base64"),
    ],
)
def test_a_bad_key_is_named(key: str, fault: str) -> None:
    assert check_key(key) == fault


def test_a_key_beyond_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        derive_accept("ключ")


# The rules.


def test_the_handshake_of_the_rfc_is_accepted() -> None:
    result = handshake()
    assert result.accepted
    assert result.is_upgraded
    assert result.why_refused == ""
    assert result.suspect is None
    assert result.subprotocol == "chat"
    assert result.extensions == []
    assert result.request == read_request(RFC_REQUEST)
    assert [check.name for check in result.checks if check.side == "request"] == [
        "method",
        "HTTP version",
        "target",
        "Host",
        "Upgrade",
        "Connection",
        "version",
        "key",
        "subprotocols",
    ]
    assert [check.name for check in result.checks if check.side == "response"] == [
        "status",
        "HTTP version",
        "Upgrade",
        "Connection",
        "Accept",
        "subprotocol",
    ]


@pytest.mark.parametrize(
    "request_bytes", [CHROMIUM_REQUEST, CURL_REQUEST, WEBSOCKETS_REQUEST], ids=lambda _: ""
)
def test_what_websockets_answers_is_accepted(request_bytes: bytes) -> None:
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
    server.receive_data(request_bytes)
    [event] = server.events_received()
    assert isinstance(event, ReferenceRequest)
    answer = server.accept(event)
    result = handshake(request_bytes, answer.serialize())
    assert failed(result) == []
    names = [name for name, _ in result.extensions]
    assert names == (["permessage-deflate"] if b"Extensions" in request_bytes else [])


def test_what_websockets_asks_is_a_good_request() -> None:
    client = ClientProtocol(parse_uri("ws://localhost:1/"))
    request = read_request(client.connect().serialize())
    assert failed(Handshake(request, None)) == [("response", "status")]


def spoiled_request(headers: dict[str, str] | None = None, **keywords: Any) -> bytes:
    return build_request("/chat", "localhost", KEY, headers=headers or {}, **keywords)


SPOILED: list[tuple[bytes, list[str]]] = [
    (spoiled_request(), []),
    (spoiled_request({"Connection": "keep-alive, upgrade"}), []),
    (spoiled_request({"Upgrade": "WebSocket"}), []),
    (spoiled_request(method="POST"), ["method"]),
    (spoiled_request(version="HTTP/1.0"), ["HTTP version"]),
    (spoiled_request(omit=["host"]), ["Host"]),
    (spoiled_request(omit=["Upgrade"]), ["Upgrade"]),
    (spoiled_request(omit=["Connection"]), ["Connection"]),
    (spoiled_request(omit=["Upgrade", "Connection"]), ["Upgrade", "Connection"]),
    (spoiled_request(omit=["Sec-WebSocket-Key"]), ["key"]),
    (spoiled_request(omit="Sec-WebSocket-Version"), ["version"]),
    (spoiled_request({"Upgrade": "h2c"}), ["Upgrade"]),
    (spoiled_request({"Connection": "close"}), ["Connection"]),
    (spoiled_request({"Sec-WebSocket-Version": "8"}), ["version"]),
    (spoiled_request({"Sec-WebSocket-Version": "013"}), ["version"]),
    (spoiled_request({"Sec-WebSocket-Key": "c2hvcnQ="}), ["key"]),
    (spoiled_request({"Sec-WebSocket-Key": "not base64"}), ["key"]),
    (spoiled_request({"Sec-WebSocket-Extensions": "permessage-deflate; ="}), ["extensions"]),
    (spoiled_request({"Sec-WebSocket-Protocol": "a, b c"}), ["subprotocols"]),
]


@pytest.mark.parametrize(("data", "rules"), SPOILED)
def test_a_broken_rule_of_the_request_is_named_where_it_is(data: bytes, rules: list[str]) -> None:
    result = Handshake(read_request(data), read_response(build_response(key=KEY)))
    broken = [check for check in result.checks if not check.ok and check.side == "request"]
    assert [check.name for check in broken] == rules
    faults = {header.name for header in result.request.headers if header.fault}
    assert faults == {check.header for check in broken if check.header and check.got[:2] != "no"}
    for check in broken:
        assert check.expected
        assert check.got
        assert check.section.startswith("RFC ")
    if rules and rules != ["key"]:
        assert not result.accepted
        assert "although the request is wrong" in result.why_refused


# It leaves Host to others.
@pytest.mark.parametrize(("data", "rules"), [each for each in SPOILED if each[1] != ["Host"]])
def test_websockets_refuses_the_same_requests(data: bytes, rules: list[str]) -> None:
    server = ServerProtocol(
        extensions=[ServerPerMessageDeflateFactory()], select_subprotocol=lambda *_: None
    )
    server.receive_data(data)
    [event] = server.events_received()
    assert isinstance(event, ReferenceRequest)
    answer = server.accept(event)
    assert (answer.status_code == 101) == (rules == [])
    if rules:
        result = Handshake(read_request(data), read_response(answer.serialize()))
        assert not result.accepted
        assert str(answer.status_code) in result.why_refused
        headers = [check.header for check in result.broken if check.side == "request"]
        assert result.suspect == headers[0]


def test_two_hosts_two_keys_and_a_repeated_subprotocol_are_faults() -> None:
    data = build_request(
        "/",
        "a",
        KEY,
        headers=[
            ("Host", "a"),
            ("Host", "b"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Protocol", "chat"),
        ],
    )
    result = Handshake(read_request(data), None)
    assert failed(result)[:-1] == [("request", n) for n in ("Host", "key", "subprotocols")]
    assert "2 times: 'a' and 'b'" in next(c.got for c in result.checks if c.name == "Host")
    assert all(h.fault for h in result.request.headers if h.name == "Host")


@pytest.mark.parametrize(
    ("target", "ok"),
    [
        ("/", True),
        ("/a?b=c", True),
        ("http://a/b", True),
        ("*", False),
        ("a", False),
        ("/a#b", False),
    ],
)
def test_a_target_is_a_path(target: str, ok: bool) -> None:
    result = Handshake(read_request(build_request(target, "a", KEY)), None)
    assert (("request", "target") in failed(result)) is not ok


@pytest.mark.parametrize(
    ("headers", "omit", "rules"),
    [
        ({}, [], []),
        ({"Connection": "keep-alive, UPGRADE"}, [], []),
        ({}, ["Upgrade"], ["Upgrade"]),
        ({"Upgrade": "websocket, h2c"}, [], ["Upgrade"]),
        ({}, ["Connection"], ["Connection"]),
        ({}, ["Sec-WebSocket-Accept"], ["Accept"]),
        ({"Sec-WebSocket-Accept": KEY}, [], ["Accept"]),
        ({"Sec-WebSocket-Accept": ACCEPT.lower()}, [], ["Accept"]),
        ({"Sec-WebSocket-Protocol": "superchat"}, [], []),
        ({"Sec-WebSocket-Protocol": "Chat"}, [], ["subprotocol"]),
        ({"Sec-WebSocket-Protocol": "other"}, [], ["subprotocol"]),
        ({"Sec-WebSocket-Protocol": "chat, superchat"}, [], ["subprotocol"]),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, [], ["extensions"]),
    ],
)
def test_a_broken_rule_of_the_response_is_named(
    headers: dict[str, str], omit: list[str], rules: list[str]
) -> None:
    result = handshake(response=build_response(key=KEY, headers=headers, omit=omit))
    assert failed(result) == [("response", rule) for rule in rules]
    assert result.accepted is (rules == [])
    if rules:
        assert "must not open" in result.why_refused
        assert rules[0] in result.why_refused
        assert result.response is not None
        assert any(h.fault for h in result.response.headers) or omit


def test_no_answer_and_old_http_are_not_accepted() -> None:
    result = handshake(response=None)
    assert failed(result) == [("response", "status")]
    assert result.checks[-1].got == "no answer"
    assert "No answer came" in result.why_refused
    assert "cannot be known" in result.why_refused
    assert (result.subprotocol, result.extensions, result.is_upgraded) == (None, [], False)
    old = build_response(key=KEY).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert failed(handshake(response=old)) == [("response", "HTTP version")]


def test_the_right_accept_for_no_key_is_no_accept() -> None:
    result = handshake(without(RFC_REQUEST, "Sec-WebSocket-Key"))
    assert failed(result) == [("request", "key"), ("response", "Accept")]


def test_extensions_are_read_from_the_answer() -> None:
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=10"}
    key = "kVjdGwS0FGoEOucdWWLCMg=="
    result = handshake(CHROMIUM_REQUEST, build_response(key=key, headers=headers))
    assert result.accepted
    assert result.extensions == [("permessage-deflate", [("server_max_window_bits", "10")])]
    bad = build_response(key=key, headers={"Sec-WebSocket-Extensions": "permessage-deflate;"})
    result = handshake(CHROMIUM_REQUEST, bad)
    assert failed(result) == [("response", "extensions")]
    assert result.extensions == []


# Lists.


def test_a_token_list_is_split() -> None:
    assert parse_token_list("keep-alive, Upgrade") == ["keep-alive", "Upgrade"]
    assert parse_token_list(" a ,,\tb,") == ["a", "b"]
    assert parse_token_list("") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("foo", [("foo", [])]),
        ("foo; bar", [("foo", [("bar", None)])]),
        ('foo; bar="baz"; x = 1', [("foo", [("bar", "baz"), ("x", "1")])]),
        (r'foo; bar="b\a\z"', [("foo", [("bar", "baz")])]),
        ("foo; a; a, bar", [("foo", [("a", None), ("a", None)]), ("bar", [])]),
        (" ,foo,, bar , ", [("foo", []), ("bar", [])]),
        ("", []),
    ],
)
def test_extensions_are_parsed(value: str, expected: Any) -> None:
    assert parse_extensions(value) == expected


@pytest.mark.parametrize(
    "value",
    ["foo;", "foo; =1", "foo=1", "; a", "foo bar", 'foo; a="b c"', 'foo; a="b', "foo; ,", "é"],
)
def test_malformed_extensions_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 6455 §9\.1"):
        parse_extensions(value)


parameters = st.lists(st.tuples(names, st.none() | names), max_size=3)


@given(st.lists(st.tuples(names, parameters), min_size=1, max_size=4), st.data())
def test_extensions_are_what_websockets_parses(extensions: Any, data: st.DataObject) -> None:
    space = st.sampled_from(["", " ", "\t"])

    def spaced(separator: str) -> str:
        return data.draw(space) + separator + data.draw(space)

    parts = []
    for name, items in extensions:
        part = name
        for key, value in items:
            quoted = value if value is None or data.draw(st.booleans()) else f'"{value}"'
            part += spaced(";") + (key if quoted is None else f"{key}={quoted}")
        parts.append(part)
    value = parts[0] + "".join(spaced(",") + part for part in parts[1:])
    assert parse_extensions(value) == extensions == parse_extension(value)


# Refusals.

STATUSES = [400, 401, 403, 404, 405, 407, 408, 426, 429, 431, 500, 501, 502, 503, 504, 505]
WORDS = {
    200: "a page, not a socket",
    301: "sends the client elsewhere",
    302: "sends the client elsewhere",
    307: "sends the client elsewhere",
    308: "sends the client elsewhere",
    400: "could not take the request",
    401: "wants to know who asks",
    403: "will not serve it",
    404: "nothing at this path",
    405: "does not take the request's method",
    407: "A proxy on the way",
    426: "only after an upgrade",
    429: "Too many requests",
    431: "too large",
    500: "its log has the reason",
    502: "no valid answer from the server behind it",
    503: "cannot serve now",
    418: "finds the request at fault",
    599: "failed",
    103: "interim answer",
    304: "has already",
    999: "No known status",
}


@pytest.mark.parametrize("status", sorted({*STATUSES, *WORDS}))
def test_every_refusal_is_told(status: int) -> None:
    result = refusal(status)
    assert not result.accepted
    assert failed(result) == [("response", "status")]
    assert result.why_refused.startswith(str(status))
    assert WORDS.get(status, "") in result.why_refused
    assert result.subprotocol is None


def test_426_with_a_version_blames_the_version() -> None:
    asked = spoiled_request({"Sec-WebSocket-Version": "8"})
    result = refusal(426, {"Sec-WebSocket-Version": "13"}, request=asked)
    assert result.suspect == "Sec-WebSocket-Version"
    assert "(13): the cause is Sec-WebSocket-Version, '8'" in result.why_refused
    # The same answer to a request that asks for 13 must have another cause.
    result = refusal(426, {"Sec-WebSocket-Version": "13, 8"})
    assert result.suspect is None
    assert "is a good handshake" in result.why_refused
    assert "(it does not say to what)" in result.why_refused
    assert "another upgrade (TLS/1.0)" in refusal(426, {"Upgrade": "TLS/1.0"}).why_refused


@pytest.mark.parametrize("status", [200, 400, 426])
@pytest.mark.parametrize("name", ["Upgrade", "Connection", "Sec-WebSocket-Key"])
def test_a_missing_header_is_blamed(status: int, name: str) -> None:
    result = refusal(status, request=without(RFC_REQUEST, name))
    assert result.suspect == name
    assert f"Very likely because of {name}" in result.why_refused
    assert "got no such header" in result.why_refused


def test_a_good_request_is_not_blamed_for_400_or_200() -> None:
    assert "the reason is the server's own" in refusal(400).why_refused
    assert refusal(400).suspect is None
    assert "ordinary page" in refusal(200).why_refused
    body = b"<center>The plain HTTP request was sent to HTTPS port</center>"
    assert "wss" in refusal(400, body=body).why_refused


def test_403_suspects_origin_only_if_there_is_one() -> None:
    result = refusal(403)
    assert result.suspect == "Origin"
    assert "Probably because of Origin, 'http://example.com'" in result.why_refused
    assert "cannot be known" in result.why_refused
    result = refusal(403, request=CURL_REQUEST)
    assert result.suspect is None
    assert "It cannot be Origin, unless" in result.why_refused


def test_401_tells_what_was_sent_without_showing_it() -> None:
    headers = {"WWW-Authenticate": 'Basic realm="lab"'}
    result = refusal(401, headers)
    assert result.suspect == "Authorization"
    assert "scheme 'Basic'" in result.why_refused
    assert "carries no Authorization" in result.why_refused
    result = refusal(401, request=CHROMIUM_REQUEST)
    assert result.suspect == "Cookie"
    assert "Cookie and a token in the URL came with the request" in result.why_refused
    assert "t0p" not in result.why_refused


def test_a_redirect_tells_where_to_without_secrets() -> None:
    result = refusal(302, {"Location": "/hub/login?next=%2Flab%3Ftoken%3Dhunter2"})
    assert "looks like a login" in result.why_refused
    assert "hunter2" not in result.why_refused
    assert "use wss" in refusal(301, {"Location": "https://a/"}).why_refused
    assert "no Location" in refusal(307).why_refused


def test_other_refusals_name_their_header() -> None:
    assert refusal(407).suspect == "Proxy-Authorization"
    assert "'2 s'" not in refusal(503).why_refused
    assert "after '30'" in refusal(503, {"Retry-After": "30"}).why_refused
    assert "after '5'" in refusal(429, {"Retry-After": "5"}).why_refused
    assert "'/chat'" in refusal(404, request=CHROMIUM_REQUEST).why_refused
    big = spoiled_request({"Cookie": "a=" + "b" * 9000})
    result = refusal(431, request=big)
    assert result.suspect == "Cookie"
    assert "Cookie is the largest of them (9010 of" in result.why_refused
    assert refusal(431).suspect is None
    assert "none is large" in refusal(431).why_refused
    post = spoiled_request(method="POST")
    assert (
        "this is POST. It takes GET (Allow)."
        in refusal(405, {"Allow": "GET"}, request=post).why_refused
    )
    assert "no WebSocket's address" in refusal(405, {"Allow": "POST"}).why_refused


def test_the_servers_own_words_are_quoted_if_they_are_plain() -> None:
    plain = {"Content-Type": "text/plain; charset=utf-8"}
    result = refusal(400, plain, body=b"Failed to open: invalid Upgrade.\nMore.\n")
    assert result.why_refused.endswith("Its own words: 'Failed to open: invalid Upgrade.'.")
    page = refusal(400, {"Content-Type": "text/html"}, body=b"<html>secret")
    assert "own words" not in page.why_refused
    echo = refusal(401, plain, request=spoiled_request({"Cookie": "s=hunter2hunter2"}),
                   body=b"no session hunter2hunter2")  # fmt: skip
    assert "hunter2" not in echo.why_refused


# Secrets.

SECRET = "hunter2-hunter2-hunter2"


def redacted_value(name: str, value: str) -> str:
    head = read_request(build_request("/", "a", KEY, headers={name: value}))
    hidden = redact(head)
    [header] = [header for header in hidden.headers if header.name == name]
    assert header.redacted is (header.value != value)
    return header.value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Cookie", f"sid={SECRET}; theme=dark", "[redacted]"),
        ("Authorization", f"Bearer {SECRET}", "Bearer [redacted]"),
        ("authorization", f"Basic {SECRET}", "Basic [redacted]"),
        ("Authorization", SECRET, "[redacted]"),
        ("Proxy-Authorization", f'Digest username="a", response="{SECRET}"', "Digest [redacted]"),
        ("X-XSRFToken", SECRET, "[redacted]"),
        ("X-API-Key", SECRET, "[redacted]"),
        ("X-Auth-Token", SECRET, "[redacted]"),
        ("X-Amz-Security-Token", SECRET, "[redacted]"),
        ("X-Forwarded-Access-Token", SECRET, "[redacted]"),
        ("Referer", f"http://a/b?x=1&Access_Token={SECRET}&y=2#z",
         "http://a/b?x=1&Access_Token=[redacted]&y=2#z"),
        ("Referer", f"http://me:{SECRET}@a/b", "http://[redacted]@a/b"),
        ("X-Original-URI", f"/a?%74oken={SECRET}", "/a?%74oken=[redacted]"),
        ("Sec-WebSocket-Protocol", f"bearer.{SECRET}, chat", "bearer.[redacted], chat"),
        ("Sec-WebSocket-Protocol",
         f"base64url.bearer.authorization.k8s.io.{SECRET}, base64.binary.k8s.io",
         "base64url.bearer.authorization.k8s.io.[redacted], base64.binary.k8s.io"),
        ("Sec-WebSocket-Protocol",
         f"v1.kernel.websocket.jupyter.org, v1.token.websocket.jupyter.org.{SECRET}",
         "v1.kernel.websocket.jupyter.org, v1.token.websocket.jupyter.org.[redacted]"),
        ("Sec-WebSocket-Protocol", "v1.token.websocket.jupyter.org",
         "v1.token.websocket.jupyter.org"),
        ("Sec-WebSocket-Protocol", f"access_token, {SECRET}", "access_token, [redacted]"),
        ("Sec-WebSocket-Protocol", f"Authorization,{SECRET}", "Authorization, [redacted]"),
        ("Sec-WebSocket-Protocol", f"chat, eyJhbGciOiJIUzI1NiJ9.{SECRET}", "chat, [redacted]"),
        ("Sec-WebSocket-Protocol", "chat,graphql-transport-ws", "chat,graphql-transport-ws"),
        ("Sec-WebSocket-Key", KEY, KEY),
        ("Origin", "http://example.com", "http://example.com"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=15",
         "permessage-deflate; client_max_window_bits=15"),
        ("Cookie", "", ""),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_nothing_else(name: str, value: str, expected: str) -> None:
    assert redacted_value(name, value) == expected


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "api_key", "key", "auth", "jwt", "password", "secret", "session",
     "code", "sig", "signature", "TOKEN", "id_token", "X-Amz-Signature"],
)  # fmt: skip
def test_parameters_of_the_target_are_hidden(name: str) -> None:
    data = build_request(f"/ws?a=1&{name}={SECRET}&b=2", "a", KEY)
    request = redact(read_request(data))
    assert request.target == f"/ws?a=1&{name}=[redacted]&b=2"
    assert request.raw == data.replace(SECRET.encode(), b"[redacted]")


@pytest.mark.parametrize("target", ["/a?monkey=1&tokyo=2&encode=3", "/tokens/a", "/?q=token", "*"])
def test_other_targets_stay(target: str) -> None:
    expected = target
    request = read_request(build_request(target, "a", KEY))
    assert redact(request).target == expected


def test_a_response_is_redacted_with_what_repeats_the_secret() -> None:
    location = f"https://a/cb?code={SECRET}&state=1#access_token={SECRET}"
    data = build_response(
        302,
        headers=[("Set-Cookie", f"sid={SECRET}; HttpOnly"), ("Location", location),
                 ("X-Echo", f"<{SECRET}>")],
        reason=f"Go {SECRET}",
    )  # fmt: skip
    response = read_response(data, f'<a href="/?x={SECRET}">'.encode())
    hidden = redact(response)
    assert hidden.get("Location") == "https://a/cb?code=[redacted]&state=1#access_token=[redacted]"
    assert hidden.get("Set-Cookie") == MARKER
    assert hidden.get("X-Echo") == f"<{MARKER}>"
    assert hidden.reason == f"Go {MARKER}"
    assert hidden.body == f'<a href="/?x={MARKER}">'.encode()
    assert hidden.status == 302


def test_a_response_repeats_no_secret_of_its_request() -> None:
    request = read_request(build_request(f"/?token={SECRET}", "a", KEY))
    response = read_response(build_response(403), f"bad: {SECRET}".encode())
    assert SECRET.encode() in redact(response).body
    assert redact(response, also=find_secrets(request)).body == f"bad: {MARKER}".encode()


@pytest.mark.parametrize(
    "body",
    [f'{{"token": "{SECRET}", "a": 1}}', f"<a href='/lab?token={SECRET}'>", f"api_key={SECRET}"],
)
def test_a_body_hides_what_it_names_a_secret(body: str) -> None:
    response = redact(read_response(build_response(200), body.encode()))
    assert response.body == body.replace(SECRET, MARKER).encode()


@pytest.mark.parametrize("piece", [b"a", b"token", b"token ", b"?&", b"://", b"%25", b"=", b"&a="])
def test_long_texts_are_redacted_in_linear_time(piece: bytes) -> None:
    # Looked through again from each of its bytes, the body alone would take minutes.
    response = read_response(build_response(200), piece * 100_000)
    assert redact(response).body
    line = piece.decode() * (15_000 // len(piece))
    for name in ("Location", "Cookie", "Sec-WebSocket-Protocol", "X-Other"):
        redact(read_response(build_response(302, headers={name: line})))


@pytest.mark.parametrize("data", [RFC_REQUEST, CURL_REQUEST, WEBSOCKETS_REQUEST])
def test_a_head_without_secrets_stays_as_it_is(data: bytes) -> None:
    request = read_request(data)
    assert redact(request) == request
    assert redact(read_response(SSE_RESPONSE)) == read_response(SSE_RESPONSE)
    bare = read_response(b"HTTP/1.1 101\r\n\r\n")
    assert redact(bare) == bare


def test_reveal_shows_all() -> None:
    request = read_request(CHROMIUM_REQUEST)
    assert redact(request, True) is request
    assert redact(request, reveal=False) != request


def test_a_redacted_head_is_a_whole_head() -> None:
    request = redact(read_request(CHROMIUM_REQUEST))
    again = read_request(request.raw)
    plain = [dataclasses.replace(header, redacted=False) for header in request.headers]
    assert list(again.headers) == plain
    assert again.target == request.target == "/chat?token=[redacted]"
    assert redact(request) == request


def test_a_redacted_handshake_is_judged_alike() -> None:
    k8s = f"base64url.bearer.authorization.k8s.io.{SECRET}"
    for offered, chosen, good in (
        (f"{k8s}, v4.channel.k8s.io", "v4.channel.k8s.io", True),
        (k8s, k8s, True),
        (f"access_token, {SECRET}", "access_token", True),
        (f"access_token, {SECRET}", SECRET, True),
        (f"auth, {SECRET}, chat", "chat", True),
        (f"{k8s}, v4.channel.k8s.io", "v5.channel.k8s.io", False),
    ):
        asked = build_request("/", "a", KEY, headers={"Sec-WebSocket-Protocol": offered})
        answered = build_response(key=KEY, headers={"Sec-WebSocket-Protocol": chosen})
        request, response = read_request(asked), read_response(answered)
        result = Handshake(request, response)
        hidden = Handshake(redact(request), redact(response, also=find_secrets(request)))
        assert result.accepted is hidden.accepted is good
        assert SECRET not in repr(result.checks) + result.why_refused + repr(hidden)


CARRIERS = [
    ("Cookie", "{}"),
    ("Cookie", "a=1; sid={}; b=2"),
    ("Authorization", "Bearer {}"),
    ("Authorization", "{}"),
    ("Proxy-Authorization", "Basic {}"),
    ("X-Session-Token", "{}"),
    ("X-XSRFToken", "{}"),
    ("x-api-key", "{}"),
    ("Referer", "https://a/?token={}"),
    ("Referer", "https://a/?next={{{}}}"),
    ("Sec-WebSocket-Protocol", "chat, bearer.{}"),
    ("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.{}, chat"),
    ("Sec-WebSocket-Protocol", "token, {}, chat"),
    ("", "/ws?token={}"),
    ("", "/ws?a=1&signature={}&b=2"),
    ("", "/ws;session={}?a=1"),
    ("", "/ws?redirect={{{}}}"),
]
secrets = st.text(string.ascii_letters + string.digits + "-._~+/=!*", min_size=12, max_size=80)


# Whatever text of ours can stand in a head or a judgement of it.
KNOWN_TEXTS = [
    Path(module.__file__).read_text()
    for module in (wslab.wire.http.handshake, wslab.wire.http.headers)
]


def traces(secret: str, *things: Any) -> list[str]:
    """Return every piece of eight characters of a secret that is somewhere in the things."""
    text = "\n".join(repr(thing) for thing in things)
    pieces = {secret[i : i + 8] for i in range(len(secret) - 7)}
    return sorted(piece for piece in pieces if piece in text)


@given(secrets, st.sampled_from(CARRIERS), st.integers(0, 2))
def test_redaction_leaves_no_trace(secret: str, carrier: tuple[str, str], wraps: int) -> None:
    name, form = carrier
    if "{{" in form:  # a URL in a URL, percent-encoded once or more
        inner = f"/x?token={secret}"
        for _ in range(wraps + 1):
            inner = quote(inner, safe="")
        value = form.replace("{{{}}}", inner)
    else:
        value = form.replace("{}", secret)
    target = value if not name else "/"
    headers = {name: value} if name else {}
    request = read_request(build_request(target, "a", KEY, headers=headers))
    # A "secret" that is a word of ours, such as "websocket", leaves what looks like traces.
    assume(not traces(secret, redact(read_request(CHROMIUM_REQUEST)), repr(KNOWN_TEXTS), *CARRIERS))
    assert traces(secret, request) or "{{" in form
    hidden = redact(request)
    asked = Handshake(request, read_response(build_response(403)))
    shown = (hidden, dataclasses.asdict(hidden), hidden.raw, asked.checks, asked.why_refused)
    assert traces(secret, *shown) == []
    assert MARKER in repr(hidden)
    assert redact(hidden) == hidden
    assert {header.name for header in hidden.headers} == {h.name for h in request.headers}
    with_faults = Handshake(request, None).request
    assert traces(secret, dataclasses.asdict(redact(with_faults))) == []


@given(secrets, st.sampled_from(["Set-Cookie", "Location", "X-Auth-Token"]), st.booleans())
def test_redaction_leaves_no_trace_in_answers(secret: str, name: str, echoed: bool) -> None:
    value = {"Set-Cookie": "sid={}; Path=/", "Location": "/?code={}", "X-Auth-Token": "{}"}[name]
    assume("." not in secret)  # dots take tokens apart, and the parts are looked for alone
    data = build_response(302, headers={name: value.replace("{}", secret)})
    response = read_response(data, f"moved: {secret}".encode() if echoed else b"moved")
    hidden = redact(response)
    assume(not traces(secret, read_response(build_response(302)), repr(KNOWN_TEXTS), *CARRIERS))
    assert traces(secret, hidden, dataclasses.asdict(hidden)) == []


# Heads made by hand.


def test_a_request_is_built() -> None:
    assert build_request("/chat", "localhost:1", KEY) == (
        b"GET /chat HTTP/1.1\r\n"
        b"Host: localhost:1\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )


def test_headers_take_the_place_of_defaults_or_follow_them() -> None:
    data = build_request(
        "/", "a", KEY, headers=[("upgrade", "h2c"), ("X", "1"), ("Host", "b"), ("Host", "c")],
        omit=("CONNECTION", "Sec-WebSocket-Key"),
    )  # fmt: skip
    assert data == (
        b"GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\nupgrade: h2c\r\n"
        b"Sec-WebSocket-Version: 13\r\nX: 1\r\n\r\n"
    )


def test_a_response_is_built() -> None:
    assert build_response(key=KEY) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert build_response(426, headers={"Upgrade": "websocket"}, body=b"no") == (
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 2\r\n"
        b"Upgrade: websocket\r\n\r\nno"
    )
    assert build_response(299) == (
        b"HTTP/1.1 299 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    assert b"Content-Length" not in build_response(304)
    assert build_response(101, omit=["sec-websocket-accept"]).endswith(b"Upgrade\r\n\r\n")
    assert b"Accept: nonsense" in build_response(headers={"Sec-WebSocket-Accept": "nonsense"})


@pytest.mark.parametrize("bad", ["a\r\nX-Admin: 1", "a\nb", "a\rb", "a\x00b", "\x7f"])
def test_what_would_inject_a_header_is_refused(bad: str) -> None:
    for build in (
        lambda: build_request(bad, "a", KEY),
        lambda: build_request("/", bad, KEY),
        lambda: build_request("/", "a", bad),
        lambda: build_request("/", "a", KEY, headers={"X": bad}),
        lambda: build_request("/", "a", KEY, method=bad),
        lambda: build_response(key=KEY, headers=[("X", bad)]),
        lambda: build_response(403, reason=bad),
    ):
        with pytest.raises(ValueError, match="header injection"):
            build()
    for name in (bad, "a b", "a:b", ""):
        with pytest.raises(ValueError, match="header's name"):
            build_request("/", "a", KEY, headers={name: "x"})


def test_mistakes_in_building_teach() -> None:
    with pytest.raises(ValueError, match="%20"):
        build_request("/a b", "a", KEY)
    with pytest.raises(ValueError, match="white space, got ''"):
        build_request("", "a", KEY)
    with pytest.raises(ValueError, match="percent-encode"):
        build_request("/кот", "a", KEY)
    with pytest.raises(ValueError, match="expected key="):
        build_response()
    with pytest.raises(ValueError, match="frames follow"):
        build_response(key=KEY, body=b"x")
    with pytest.raises(ValueError, match="three digits"):
        build_response(42)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_what_is_built_is_read_back(pairs: list[tuple[str, str]]) -> None:
    own = {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}
    assume(not own & {name.lower() for name, _ in pairs})
    request = read_request(build_request("/x", "a", KEY, headers=pairs))
    assert [(h.name, h.value) for h in request.headers[5:]] == pairs


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

"""What the tests of heads share: heads as they were sent, and reading them."""

from __future__ import annotations

import dataclasses
import string
from typing import Any

from hypothesis import strategies as st

from wslab.wire.http.building import build_request
from wslab.wire.http.handshake import Handshake
from wslab.wire.http.head_reader import HeadReader
from wslab.wire.http.heads import Request, Response

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


def handshake(
    request: bytes = RFC_REQUEST, response: bytes | None = RFC_RESPONSE, body: bytes = b""
) -> Handshake:
    answer = read_response(response, body) if response is not None else None
    return Handshake(read_request(request), answer)


def without(head: bytes, name: str) -> bytes:
    """Take the lines of a header out of a head."""
    prefix = name.lower().encode() + b":"
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(prefix)]
    assert len(kept) < len(lines)
    return b"\r\n".join(kept)


def failed(result: Handshake) -> list[tuple[str, str]]:
    return [(check.side, check.name) for check in result.checks if not check.ok]


@st.composite
def spoiled_heads(draw: st.DrawFn) -> bytes:
    """Real heads with a few bytes changed, put in or taken out, and something after them."""
    data = bytearray(draw(st.sampled_from(REQUESTS + RESPONSES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        piece = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b":", b" ", b",", b"\x00", b"H"]))
        data[at : at + draw(st.integers(0, 2))] = piece or draw(st.binary(max_size=3))
    return bytes(data) + draw(st.binary(max_size=20))


TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
names = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20)
values = st.text(string.printable[:95], max_size=60).map(str.strip)


def spoiled_request(headers: dict[str, str] | None = None, **keywords: Any) -> bytes:
    return build_request("/chat", "localhost", KEY, headers=headers or {}, **keywords)


# Secrets.
SECRET = "hunter2-hunter2-hunter2"

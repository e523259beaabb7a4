"""Whole handshakes judged: of the RFC, of browsers, of websockets, redacted."""

from __future__ import annotations

import pytest
from hypothesis import given
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request as ReferenceRequest
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.wire.http.heads import (
    CHROMIUM_REQUEST,
    CURL_REQUEST,
    KEY,
    RFC_REQUEST,
    SECRET,
    WEBSOCKETS_REQUEST,
    failed,
    handshake,
    read_request,
    read_response,
    spoiled_heads,
)
from wslab.wire.http.building import build_request, build_response
from wslab.wire.http.handshake import Handshake
from wslab.wire.http.head_reader import HeadReader
from wslab.wire.http.heads import Request, Response
from wslab.wire.http.redaction import find_secrets, redact


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


def test_no_answer_and_old_http_are_not_accepted() -> None:
    result = handshake(response=None)
    assert failed(result) == [("response", "status")]
    assert result.checks[-1].got == "no answer"
    assert "No answer came" in result.why_refused
    assert "cannot be known" in result.why_refused
    assert (result.subprotocol, result.extensions, result.is_upgraded) == (None, [], False)
    old = build_response(key=KEY).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert failed(handshake(response=old)) == [("response", "HTTP version")]


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

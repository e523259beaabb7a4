"""Each rule of the handshake, broken, beside what websockets refuses."""

from __future__ import annotations

import pytest
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request as ReferenceRequest
from websockets.server import ServerProtocol

from tests.wire.http.heads import (
    ACCEPT,
    KEY,
    RFC_REQUEST,
    failed,
    handshake,
    read_request,
    read_response,
    spoiled_request,
    without,
)
from wslab.wire.http.building import build_request, build_response
from wslab.wire.http.handshake import Handshake

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


def test_the_right_accept_for_no_key_is_no_accept() -> None:
    result = handshake(without(RFC_REQUEST, "Sec-WebSocket-Key"))
    assert failed(result) == [("request", "key"), ("response", "Accept")]

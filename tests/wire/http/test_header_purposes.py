"""What each header is for, and who sets it."""

from __future__ import annotations

import pytest

from tests.wire.http.heads import (
    CHROMIUM_REQUEST,
    REQUESTS,
    RFC_RESPONSE,
    SSE_RESPONSE,
    WEBSOCKETS_REQUEST,
    read_request,
    read_response,
)
from wslab.wire.http.header_purposes import explain


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

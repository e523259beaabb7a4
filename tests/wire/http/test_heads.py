"""Heads as values: headers by name, and where their bytes are."""

from __future__ import annotations

import pytest

from tests.wire.http.heads import (
    CURL_REQUEST,
    EVENTSOURCE_REQUEST,
    REQUESTS,
    RESPONSES,
    read_request,
    read_response,
    without,
)


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


def test_a_poll_and_a_stream_ask_for_no_websocket() -> None:
    assert not read_request(EVENTSOURCE_REQUEST).asks_for_websocket
    assert read_request(without(CURL_REQUEST, "Upgrade")).asks_for_websocket
    assert read_request(b"GET / HTTP/1.1\r\nupgrade: h2c, WebSocket\r\n\r\n").asks_for_websocket

"""Lists of tokens, and what asks for a WebSocket."""

from __future__ import annotations

import pytest

from wslab.wire.http.field_values import asks_for_websocket, parse_token_list


def test_a_token_list_is_split() -> None:
    assert parse_token_list("keep-alive, Upgrade") == ["keep-alive", "Upgrade"]
    assert parse_token_list(" a ,,\tb,") == ["a", "b"]
    assert parse_token_list("") == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Connection": "Upgrade"}, False),  # what a reverse proxy adds to every request
        ({"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"}, False),
        ({"Upgrade": "notwebsocket"}, False),
        ({"Upgrade": "WebSocket"}, True),
        ({"Upgrade": "h2c, websocket"}, True),
        ({"Sec-WebSocket-Protocol": "chat"}, True),
    ],
)
def test_what_asks_for_a_websocket(headers: dict[str, str], expected: bool) -> None:
    assert asks_for_websocket(headers.items()) is expected

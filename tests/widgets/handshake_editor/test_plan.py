"""A plan: how a request differs from a good one, in words."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("how", "label"),
    [
        ({}, "as it should be"),
        ({"omit": "sec-websocket-key"}, "without Sec-WebSocket-Key"),
        ({"omit": ["Host", "Upgrade"]}, "without Host, Upgrade"),
        ({"headers": {"sec-websocket-version": "8"}}, "sec-websocket-version: 8"),
        ({"headers": {"X-Try": "1"}}, "with X-Try: 1"),
        ({"method": "POST", "version": "HTTP/1.0"}, "method POST, version HTTP/1.0"),
        ({"headers": {"Cookie": "id=abcdefgh"}}, "with Cookie: "),
    ],
)
def test_a_try_is_named_by_what_is_different(editor, how, label):
    assert editor.ask(**how).label.startswith(label)

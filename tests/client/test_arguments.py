"""What connect() refuses before anybody is asked."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

import wslab


async def quiet(websocket):
    await websocket.wait_closed()


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"additional_headers": {"X-City": "日本"}}, ("'X-City'", "'日'", "urllib.parse.quote")),
        ({"additional_headers": [("X-A", "a\r\nX-B: b")]}, ("'X-A'", "'\\r' at 1")),
        ({"additional_headers": {"X Room": "1"}}, ("name", "'X Room'")),
        ({"additional_headers": Headers({"": "1"})}, ("name", "''")),
        ({"origin": "http://bücher.example/日"}, ("'Origin'",)),
        ({"user_agent_header": "me\n"}, ("'User-Agent'",)),
        ({"subprotocols": ["chat room"]}, ("subprotocols", "'chat room'")),
    ],
)
def test_a_header_that_http_cannot_carry_is_named_before_anybody_is_asked(kwargs, words):
    with wslab.serve(quiet) as server:
        with pytest.raises(ValueError, match="expected") as refused:
            wslab.connect(server, **kwargs)
        assert all(word in str(refused.value) for word in words)
        assert "X-B" not in str(refused.value)  # values may be secrets
        assert server.connections_seen == 0
        with pytest.raises(TypeError, match="'X-N' to hold a str, got int"):
            wslab.connect(server, additional_headers={"X-N": 1})
        carried = {"X-City": "Zürich", "X-Empty": "", "X-Tab": "a\tb"}
        wslab.connect(server, additional_headers=carried).close()

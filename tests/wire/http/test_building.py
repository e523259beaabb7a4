"""Heads made by hand."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.wire.http.heads import KEY, names, read_request, values
from wslab.wire.http.building import build_request, build_response


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

"""WebSocket URLs: which are wrong, and what they say."""

from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wslab
from tests import peers
from tests.client.test_open_diagnosis import fails
from wslab.client.urls import check_url, is_loopback, session_in, with_query
from wslab.errors import BadURL, HandshakeRefused, WslabError


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://localhost:8765/x", "write 'ws://localhost:8765/x'"),
        ("HTTPS://localhost", "write 'wss://localhost'"),
        ("localhost:8765", "write 'ws://localhost:8765'"),
        ("//localhost:8765", "write 'ws://localhost:8765'"),
        ("8765", "write 'ws://8765'"),
        ("", "it is empty"),
        ("ftp://localhost", "the scheme is ws or wss"),
        ("ws://", "it names no host"),
        ("ws:///path", "it names no host"),
        ("ws:/localhost", "it names no host"),
        ("ws://:8765", "it names no host"),
        ("ws://localhost/#top", "the part after # never leaves a browser"),
        ("ws://localhost/#", "the part after #"),
        ("ws://localhost:0/", "port 0"),
        ("ws://localhost:99999/", "Port out of range"),
        ("ws://localhost:x/", "Port could not be cast"),
        ("ws://[::1", "Invalid IPv6 URL"),
        ("ws://user@localhost/", "username provided without password"),
        (" ws://localhost/", "a space or a line's end"),
        ("ws://localhost/\r\nX-Evil: 1", "a space or a line's end"),
        ("ws://local host/", "a space or a line's end"),
        ("ws://localhost/a b", "%20"),
        (None, "got NoneType None"),
        (8765, "got int 8765"),
        (b"ws://localhost", "got bytes"),
    ],
)
def test_bad_urls(url, words):
    error = fails(BadURL, url, words)
    assert isinstance(error, ValueError)
    assert isinstance(error, WslabError)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("ws://example.org", "example.org", 80),
        ("wss://example.org/x?y=z", "example.org", 443),
        ("WS://EXAMPLE.org:1234", "example.org", 1234),
        ("ws://user:pass@example.org", "example.org", 80),
        ("ws://[::1]:9000/", "::1", 9000),
        ("ws://127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_good_urls(url, host, port):
    assert check_url(url) == (host, port)


def test_is_loopback():
    for host in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"):
        assert is_loopback(host)
    for host in ("example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0", "::", ""):
        assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "went"),
    [
        ("ws://h/", "ws://h/?session=a_b-c&offset=7"),
        ("ws://h", "ws://h?session=a_b-c&offset=7"),
        ("ws://h/p?x=1&x=2&y", "ws://h/p?x=1&x=2&y&session=a_b-c&offset=7"),
        ("wss://u:p@[::1]:5/%20?q=%26", "wss://u:p@[::1]:5/%20?q=%26&session=a_b-c&offset=7"),
        ("ws://h/?session=mine", "ws://h/?session=mine&offset=7"),
        ("ws://h/?offset=", "ws://h/?offset=&session=a_b-c"),
    ],
)
def test_parameters_are_added_to_the_query(url, went):
    assert with_query(url, [("session", "a_b-c"), ("offset", "7")]) == went
    assert with_query(url, []) == url


def test_the_session_that_a_url_names():
    assert session_in("ws://h/?a=1&session=x%2Dy") == "x-y"
    assert session_in("ws://h/?sessions=1") is None
    assert session_in("ws://h/") is None


@given(st.text(max_size=20))
def test_a_query_stays_as_it_is(text):
    url = f"ws://h/p?{urllib.parse.quote(text)}"
    assert with_query(url, [("session", "s")]).startswith(f"{url}&" if text else "ws://h/p?")


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_secrets_in_a_url_do_not_show():
    with wslab.serve(echo) as server:
        url = f"ws://alice:hunter2@127.0.0.1:{server.port}/room?token=hunter2&x=1"
        with wslab.connect(url) as client:
            assert "hunter2" not in repr(client)
            assert "x=1" in repr(client)
            assert client.url == url  # the handle itself keeps what it was given
        with pytest.raises(wslab.errors.NobodyListening) as nobody:
            wslab.connect(url.replace(str(server.port), str(peers.free_port())))
        assert "hunter2" not in str(nobody.value)
        with pytest.raises(wslab.errors.BadURL) as bad:
            wslab.connect(url.replace("ws://", "http://"))
        assert "hunter2" not in str(bad.value)
        with peers.raw_server(peers.answer("403 Forbidden")) as port:
            with pytest.raises(HandshakeRefused) as refused:
                wslab.connect(url.replace(str(server.port), str(port)))
            assert "hunter2" not in str(refused.value)

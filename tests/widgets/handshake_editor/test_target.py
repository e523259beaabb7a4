"""A target: a URL, a callback, or neither."""

from __future__ import annotations

import ssl

import pytest

import wslab
from tests.peers import answer, client_tls, raw_server, server_tls
from tests.widgets.handshake_editor.handlers import echo, key_of
from wslab.errors import ConnectFailed, NobodyListening
from wslab.widgets import HandshakeEditor
from wslab.wire.http.building import build_response


def test_a_url_with_a_path():
    with raw_server(answer("404 Not Found", b"no\n", "Content-Type: text/plain")) as port:
        editor = HandshakeEditor(f"ws://127.0.0.1:{port}/chat?x=1")
        one = editor.ask()
        assert one.sent.startswith(b"GET /chat?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
        assert (one.status, one.headers["Content-Type"]) == (404, "text/plain")
        assert editor.shown[0]["body"] == "no\n"
        editor.close()


def test_tls():
    with wslab.serve(echo, ssl=server_tls()) as server:
        editor = HandshakeEditor(server, ssl=client_tls())
        assert editor.ask().status == 101
        editor.close()
        strict = HandshakeEditor(server)
        with pytest.raises(ConnectFailed, match="certificate") as caught:
            strict.ask()
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        strict.close()


def test_a_callback_is_listened_for_only_while_it_answers():
    ports = []

    async def yes(reader, writer):
        ports.append(writer.get_extra_info("sockname")[1])
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(build_response(key=key_of(head)))
        await writer.drain()
        writer.close()

    editor = HandshakeEditor(yes)
    assert [editor.ask().status for _ in range(2)] == [101, 101]
    for port in ports:
        with pytest.raises(NobodyListening):
            HandshakeEditor(f"ws://127.0.0.1:{port}/").ask()
    editor.close()


def test_a_callback_that_raises_says_so():
    async def broken(reader, writer):
        raise KeyError("sec-websocket-key")

    editor = HandshakeEditor(broken)
    one = editor.ask()
    assert (one.status, one.outcome) == (None, "no answer")
    assert one.why.startswith("broken() raised KeyError: 'sec-websocket-key'.")

    async def untouched(reader, writer):
        raise NotImplementedError

    editor = HandshakeEditor(untouched)
    assert editor.ask().why.startswith("untouched() is not written yet.")
    editor.close()


@pytest.mark.parametrize(
    ("target", "error"), [(8765, TypeError), ("http://x/", ValueError), ("ws:///", ValueError)]
)
def test_what_is_no_target(target, error):
    with pytest.raises(error, match="expected"):
        HandshakeEditor(target)


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


def test_a_certificate_made_on_the_spot_is_trusted():
    with wslab.serve(echo, tls=True) as server:
        editor = HandshakeEditor(server)
        assert editor.ask().status == 101
        editor.close()

"""The handshake editor: what it sends is what stands there, what it shows is what came back."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading

import pytest

import wslab
from tests.peers import answer, client_tls, free_port, hold, raw_server, server_tls
from wslab.errors import ConnectFailed, NobodyListening
from wslab.widgets import HandshakeEditor
from wslab.widgets.attempts.editor import MAX_ATTEMPTS
from wslab.widgets.handshake_editor.attempt import attempt
from wslab.widgets.handshake_editor.plan import plan_of
from wslab.widgets.handshake_editor.target import Target
from wslab.wire.http.accept import accept_key
from wslab.wire.http.building import build_response


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as running:
        yield running


@pytest.fixture
def editor(server):
    editor = HandshakeEditor(server)
    yield editor
    editor.close()


def key_of(data: bytes) -> str:
    return re.search(rb"Sec-WebSocket-Key: (\S+)", data)[1].decode()


def click(editor: HandshakeEditor, number: str = "1", **changes) -> None:
    """Do as the page does when Send is pressed."""
    good = editor.good
    lines = [[row["name"], row["value"]] for row in good["lines"] if row["on"]]
    plan = {part: good[part] for part in ("method", "target", "version")}
    message = {"type": "send", "id": number, "key": good["key"], "plan": {**plan, "lines": lines}}
    message["plan"] |= changes
    editor._on_msg(editor, json.loads(json.dumps(message)), [])


# What goes out.


def test_a_good_request_is_five_headers_and_nothing_more(editor, server):
    one = editor.ask()
    key = key_of(one.sent)
    assert len(base64.b64decode(key, validate=True)) == 16
    assert (
        one.sent
        == (
            "GET / HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\n"
            "Upgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "\r\n"
        ).encode()
    )


def test_the_server_got_the_very_bytes(editor, server):
    one = editor.ask(omit="Host", headers={"X-Try": "1"}, path="/a?b=c")
    came = b"".join(chunk.data for chunk in server.tape.chunks() if chunk.what == "client")
    assert came.startswith(one.sent)
    assert one.sent.startswith(b"GET /a?b=c HTTP/1.1\r\nUpgrade: ")
    assert one.sent.endswith(b"\r\nX-Try: 1\r\n\r\n")


def test_it_leaves_as_a_client_should(editor, server):
    # 1000 with a mask, so that the handler ends as it always does, and no error is recorded.
    editor.ask()
    closes = [event for event in server.tape.frames if event.opcode == 8]
    assert [(event.sender, event.masked) for event in closes] == [
        ("client", True),
        ("server", False),
    ]
    assert closes[0].payload == b"\x03\xe8"
    assert server.errors_seen == 0


def test_each_try_has_a_key_of_its_own(editor):
    assert len({key_of(editor.ask().sent) for _ in range(5)}) == 5


# What comes back.


@pytest.mark.parametrize(
    ("how", "status", "suspect"),
    [
        ({}, 101, None),
        ({"omit": "Host"}, 101, "Host"),
        ({"omit": "Upgrade"}, 426, "Upgrade"),
        ({"omit": "Connection"}, 426, "Connection"),
        ({"omit": "Sec-WebSocket-Key"}, 400, "Sec-WebSocket-Key"),
        ({"omit": "Sec-WebSocket-Version"}, 400, "Sec-WebSocket-Version"),
        ({"headers": {"Sec-WebSocket-Version": "8"}}, 400, "Sec-WebSocket-Version"),
        ({"headers": {"Sec-WebSocket-Key": "short"}}, 400, "Sec-WebSocket-Key"),
        ({"headers": {"Upgrade": "h2c"}}, 426, "Upgrade"),
        ({"headers": {"Connection": "keep-alive"}}, 426, "Connection"),
        ({"headers": {"Origin": "https://elsewhere.example"}}, 403, "Origin"),
        ({"method": "POST"}, 405, None),
        ({"version": "HTTP/1.0"}, 505, None),
        (
            {"omit": ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]},
            200,
            "Upgrade",
        ),
    ],
)
def test_the_real_answer(editor, how, status, suspect):
    one = editor.ask(**how)
    assert one.status == status
    assert one.received.startswith(f"HTTP/1.1 {status} ".encode())
    assert one.handshake.suspect == suspect
    assert one.handshake.accepted == (not how)
    assert str(status) in one.why


def test_the_derivation_is_checked():
    def wrong(reader, writer):
        writer.write(build_response(headers={"Sec-WebSocket-Accept": "anything"}))
        writer.close()

    editor = HandshakeEditor(wrong)
    one = editor.ask()
    shown = editor.shown[0]
    assert shown["state"] == "doubtful"
    assert shown["accept"]["accept"] == accept_key(key_of(one.sent))
    assert (shown["accept"]["sent"], shown["accept"]["fits"]) == ("anything", False)
    fault = next(row for row in shown["response"] if row["name"] == "Sec-WebSocket-Accept")["fault"]
    assert "got 'anything'" in fault
    editor.close()


def test_every_header_of_the_answer_is_explained(editor):
    editor.ask()
    rows = editor.shown[0]["response"]
    assert rows[0]["value"] == "HTTP/1.1 101 Switching Protocols"
    assert {"Upgrade", "Connection", "Sec-WebSocket-Accept"} <= {row["name"] for row in rows}
    assert all(row["purpose"] and row["section"] for row in rows[1:])


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


def test_secrets_are_in_no_view(editor):
    editor.ask(
        headers={"Cookie": "id=abcdefgh", "Authorization": "Bearer s3cr3t99"},
        path="/?token=t0k3n999",
    )
    views = repr(editor.get_state()) + str(editor) + editor._to_html()
    assert "Cookie" in views
    for secret in ("abcdefgh", "s3cr3t99", "t0k3n999"):
        assert secret not in views
        assert secret.encode() in editor.attempts[0].sent


# Other targets.


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


def test_an_answer_that_has_no_end_is_told():
    target = Target.of(_no_end)
    plan = plan_of(target, "k")
    one = attempt(target, plan, plan, timeout_s=0.1)
    assert one.status == 400
    assert "not its end" in one.why


def _no_end(_reader, writer):
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_what_is_no_http_is_told():
    with raw_server(lambda sock: (sock.sendall(b"SSH-2.0-OpenSSH\r\n"), hold(sock))) as port:
        one = HandshakeEditor(f"ws://127.0.0.1:{port}/").ask()
    assert one.status is None
    assert one.why.startswith("What came is no HTTP answer.")


def test_nobody_listens():
    editor = HandshakeEditor(f"ws://127.0.0.1:{free_port()}/")
    with pytest.raises(NobodyListening, match="server stopped"):
        editor.ask()
    assert editor.attempts == ()
    editor.close()


@pytest.mark.parametrize(
    ("target", "error"), [(8765, TypeError), ("http://x/", ValueError), ("ws:///", ValueError)]
)
def test_what_is_no_target(target, error):
    with pytest.raises(error, match="expected"):
        HandshakeEditor(target)


# The page's side.


def test_a_click_sends_what_stands_there(editor):
    lines = [["Host", "h"], ["upgrade", "WEBSOCKET"], ["X", ""]]
    click(editor, "a.1", method="BREW", target="/pot", lines=lines)
    assert editor.attempts[0].sent == (
        b"BREW /pot HTTP/1.1\r\nHost: h\r\nupgrade: WEBSOCKET\r\nX: \r\n\r\n"
    )
    assert (editor.done, editor.said) == (["a.1"], "")


def test_a_click_brings_the_try_and_a_new_key(editor):
    key = editor.good["key"]
    click(editor)
    [shown] = editor.shown
    assert (shown["number"], shown["state"]) == (1, "opened")
    assert (shown["label"], shown["outcome"]) == ("as it should be", "101 Switching Protocols")
    assert shown["accept"]["key"] == key
    assert shown["accept"]["fits"] is True
    assert editor.good["key"] != key
    row = next(row for row in editor.good["lines"] if row["name"] == "Sec-WebSocket-Key")
    assert row["value"] == editor.good["key"]


def test_a_key_that_was_given_out_before_is_no_change(editor):
    good = editor.good
    editor.ask()  # a cell in between used up the key that the page shows
    lines = [[row["name"], row["value"]] for row in good["lines"] if row["on"]]
    plan = {part: good[part] for part in ("method", "target", "version")}
    message = {"type": "send", "id": "1", "key": good["key"], "plan": {**plan, "lines": lines}}
    editor._on_msg(editor, message, [])
    assert editor.attempts[-1].label == "as it should be"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": [["Host", "a\r\nX: b"]]}, "not sent: expected a value of Host on one line"),
        ({"lines": [["Ho st", "a"]]}, "not sent: expected a header's name of letters"),
        ({"lines": [["X", "ü€"]]}, "not sent: expected ASCII"),
        ({"target": ""}, "not sent: expected a target without white space"),
        ({"version": "HTTP/2.0"}, "not sent: expected the lines to make one HTTP request"),
        ({"lines": [["X", "1"]] * 41}, "not sent: expected at most 40 headers, got 41"),
        ({"lines": None}, "not sent: "),
    ],
)
def test_what_cannot_be_sent_is_said_and_ends_the_waiting(editor, changes, said):
    click(editor, "7", **changes)
    assert editor.said.startswith(said)
    assert editor.done == ["7"]
    assert editor.attempts == ()


def test_a_stopped_server_is_said(editor, server):
    server.stop()
    click(editor)
    assert editor.said.startswith("not sent: expected something to listen at 127.0.0.1:")


def test_other_messages_are_ignored(editor):
    for message in ({}, {"type": "ready"}, None, "send"):
        editor._on_msg(editor, message, [])
    assert (editor.done, editor.attempts) == ([], ())


def test_clicks_from_several_threads(editor):
    threads = [threading.Thread(target=click, args=(editor, str(n))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(editor.done) == ["0", "1", "2", "3", "4", "5"]
    assert [shown["number"] for shown in editor.shown] == [1, 2, 3, 4, 5, 6]
    assert len(editor.attempts) == 6


def test_the_history_is_bounded(editor):
    for _ in range(MAX_ATTEMPTS + 3):
        editor.ask()
    assert len(editor.attempts) == MAX_ATTEMPTS
    assert [shown["number"] for shown in editor.shown] == list(range(4, MAX_ATTEMPTS + 4))
    assert len(json.dumps(editor.shown)) < 100_000


# As text.


def test_text_and_html_without_a_page(editor):
    assert str(editor) == "handshake editor for server 'echo', 0 tries"
    assert "Nothing was sent yet." in editor._to_html()
    editor.ask(omit="Host")
    editor.ask(headers={"Sec-WebSocket-Version": "<b>"})
    assert str(editor).splitlines()[1:] == [
        "  without Host                101 Switching Protocols",
        "  Sec-WebSocket-Version: <b>  400 Bad Request",
    ]
    assert "&lt;b&gt;" in editor._to_html()
    assert ": <b>" not in editor._to_html()
    data, _ = editor._repr_mimebundle_()
    assert data["text/plain"] == str(editor)
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_try_says_itself(editor):
    one = editor.ask(omit="Host")
    assert str(one) == "without Host: 101 Switching Protocols"
    assert repr(one) == "<HandshakeAttempt without Host: 101 Switching Protocols>"

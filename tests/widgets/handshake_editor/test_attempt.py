"""An attempt: the bytes that go out are those that stand there, and the answer is judged."""

from __future__ import annotations

import base64

import pytest

from tests.peers import free_port, hold, raw_server
from tests.widgets.handshake_editor.handlers import key_of
from wslab.errors import NobodyListening
from wslab.widgets import HandshakeEditor
from wslab.widgets.handshake_editor.attempt import attempt
from wslab.widgets.handshake_editor.target import HandshakeTarget, plan_of
from wslab.wire.http.accept import accept_key
from wslab.wire.http.building import build_response


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


def test_secrets_are_in_no_view(editor):
    editor.ask(
        headers={"Cookie": "id=abcdefgh", "Authorization": "Bearer s3cr3t99"},
        path="/?token=t0k3n999",
    )
    views = repr(editor.get_state()) + "".join(editor.forms().values())
    assert "Cookie" in views
    for secret in ("abcdefgh", "s3cr3t99", "t0k3n999"):
        assert secret not in views
        assert secret.encode() in editor.attempts[0].sent


def test_an_answer_that_has_no_end_is_told():
    target = HandshakeTarget.of(_no_end)
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


def test_a_try_says_itself(editor):
    one = editor.ask(omit="Host")
    assert str(one) == "without Host: 101 Switching Protocols"
    assert repr(one) == "<HandshakeAttempt without Host: 101 Switching Protocols>"

from __future__ import annotations

import json

import pytest

from tests.peers import frame, request
from tests.replays.rig import ANSWER, add_connection, script_of, taped
from tests.wire.files.test_chrome_har import CHROMES
from wslab.replays import script as script_module
from wslab.replays.script import Step, chosen, load_record, messages_of, scripts_of
from wslab.wire.tape.tape import Tape

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nX-Why: not you\r\nContent-Length: 3\r\n\r\nno\n"


def test_steps():
    script = script_of(
        ("client", "hello"),
        ("server", b"\x01"),
        ("server", "ping", b"p"),
        ("client", "pong", b"p"),
        ("client", "close", 1000, "bye"),
        ("server", "close", 1000, "bye"),
        ended=True,
    )
    assert [(s.kind, s.sender, s.number, s.data, s.code, s.reason) for s in script.steps] == [
        ("message", "client", 1, "hello", 1005, ""),
        ("message", "server", 2, b"\x01", 1005, ""),
        ("ping", "server", 2, b"p", 1005, ""),
        ("close", "client", 2, b"", 1000, "bye"),
    ]
    assert script.end is script.steps[-1]
    assert (script.id, script.label, script.name) == ("one-id", "one", "one")
    assert script.began_s == pytest.approx(0.05)
    assert script.steps[1].at_s == pytest.approx(0.2)
    assert script.largest_bytes == 5


def test_the_handshake():
    script = script_of(
        headers=["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"],
        answer=ANSWER % b"Sec-WebSocket-Protocol: b\r\n",
        path="/chat?x=1",
    )
    assert (script.path, script.offered, script.subprotocol) == ("/chat", ["a", "b", "c"], "b")
    assert not script.is_refusal


def test_a_refusal():
    script = script_of(answer=REFUSAL, ended=True)
    assert script.is_refusal
    assert (script.response.status, script.body, script.subprotocol) == (403, b"no\n", None)
    assert (script.steps, script.end) == ([], None)


class TestTheEnd:
    def test_without_a_close_frame(self):
        assert script_of(("client", "a"), ended=True).end.kind == "end"

    def test_still_open(self):
        assert script_of(("client", "a")).end is None

    def test_without_a_code(self):
        assert script_of(("client", "close")).end.code == 1005

    def test_with_a_code_that_may_not_be_sent(self):
        script = script_of(("client", "close", 1006, "x"))
        assert script.end.code == 1005
        assert "one: a close frame with code 1006" in script.notes[-1]

    def test_messages_behind_a_close_frame(self):
        script = script_of(("client", "a"), ("server", "close", 1000), ("client", "b"))
        assert [step.data for step in messages_of(script.steps, "client")] == ["a"]


def test_several_connections():
    tape = taped(("client", "a"))
    add_connection(tape, [("client", "b")], name="two", at_s=1.0)
    track = tape.open("http")
    track.client(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2.0)
    track.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2.0)
    scripts = scripts_of(tape)
    assert [script.name for script in scripts] == ["one", "two"]
    assert chosen(scripts, None) == scripts
    for connection in (1, -1, "two", "two-id"):
        assert chosen(scripts, connection) == scripts[1:]
    for connection in (2, -3, "three"):
        with pytest.raises(LookupError, match=r"\(0: 'one', 1: 'two'\), got"):
            chosen(scripts, connection)


class TestWhatIsNotWhole:
    def test_no_websocket(self):
        tape = Tape()
        tape.open("x").client(request(5), 0.0)  # nobody has answered
        with pytest.raises(ValueError, match="none that was answered"):
            scripts_of(tape)

    def test_what_was_dropped(self):
        tape = Tape(max_bytes=2**16)
        track = tape.open("x")
        track.client(request(5), 0.0)
        track.server(ANSWER % b"", 0.0)
        for _ in range(200):
            track.client(frame(1, b"x" * 1000), 1.0)
        with pytest.raises(ValueError, match="all of connection 'x', but .* bytes of it were drop"):
            scripts_of(tape)

    def test_a_message_that_is_too_long(self):
        tape = Tape(max_bytes=2**26)
        add_connection(tape, [("client", "a")])
        track = tape.connections[0]
        for n in range(5):
            track.client(frame(0 if n else 1, b"x" * 2**22, fin=False), 1.0)
        with pytest.raises(ValueError, match="message 2 is too long to be kept whole"):
            scripts_of(tape)

    def test_more_than_can_be_held(self, monkeypatch):
        monkeypatch.setattr(script_module, "MAX_BYTES", 100)
        with pytest.raises(ValueError, match="at most 100 bytes of messages to play"):
            script_of(("client", "x" * 101))

    def test_a_broken_rule_is_noted(self):
        tape = taped(("client", "a"))
        tape.connections[0].client(frame(1, b"\xff"), 1.0)
        [script] = scripts_of(tape)
        assert len(script.steps) == 1
        assert script.notes[0].startswith("one: client broke a rule: ")


class TestLoading:
    def test_a_tape_and_what_has_one(self):
        tape = Tape()
        assert load_record(tape) is tape

        class Handle:
            pass

        handle = Handle()
        handle.tape = tape
        assert load_record(handle) is tape
        handle.tape = None
        with pytest.raises(ValueError, match="was made without one"):
            load_record(handle)
        with pytest.raises(TypeError, match=r"path of a .har or .pcapng file, got int 5"):
            load_record(5)

    def test_chromes_har(self, tmp_path):
        path = tmp_path / "session.har"
        path.write_text(json.dumps(CHROMES), encoding="utf-8")
        tape = load_record(path)
        assert tape.name == "session"
        [script] = scripts_of(tape)
        assert [(step.sender, step.data) for step in script.steps] == [
            ("client", "héllo"),
            ("server", b"\xff\x00"),
        ]
        assert (script.path, script.end) == ("/chat", None)

    @pytest.mark.parametrize("kind", ["har", "pcapng"])
    def test_our_own(self, tmp_path, kind):
        path = tmp_path / f"tape.{kind}"
        tape = taped(("client", "hello"), ("server", "close", 1001, "x"), ended=True)
        {"har": tape.to_har, "pcapng": tape.to_pcapng}[kind](path)
        [script] = scripts_of(load_record(path))
        assert [(step.kind, step.data, step.code) for step in script.steps] == [
            ("message", "hello", 1005),
            ("close", b"", 1001),
        ]


def test_a_step_is_a_value():
    assert Step("message", "client", 1.0, 1, "a") == Step("message", "client", 1.0, 1, "a")

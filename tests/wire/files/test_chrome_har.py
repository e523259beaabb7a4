"""HTTP Archives of other programs, as far as they can be read."""

from __future__ import annotations

import json

import pytest

from tests.wire.taping import DEFLATE
from wslab.wire.events import FrameEvent
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.snapshot import BadFile
from wslab.wire.tape.tape import Tape

# As Chrome 156 writes it, cut to what matters: no wslab in it.
CHROMES = {
    "log": {
        "version": "1.2",
        "creator": {"name": "WebInspector", "version": "537.36"},
        "pages": [],
        "entries": [
            {
                "_connectionId": "85", "_initiator": {"type": "script"}, "_priority": "High",
                "_resourceType": "websocket",
                "_webSocketMessages": [
                    {"type": "send", "time": 1795421762.5, "opcode": 1, "data": "héllo"},
                    {"type": "receive", "time": 1795421762.75, "opcode": 2, "data": "/wA="},
                ],
                "cache": {}, "connection": "8765",
                "request": {
                    "method": "GET", "url": "ws://example.org:8765/chat?x=1",
                    "httpVersion": "HTTP/1.1",
                    "headers": [
                        {"name": "Host", "value": "example.org:8765"},
                        {"name": "Upgrade", "value": "websocket"},
                        {"name": "Connection", "value": "Upgrade"},
                        {"name": "Sec-WebSocket-Key", "value": "dGhlIHNhbXBsZSBub25jZQ=="},
                        {"name": "Sec-WebSocket-Version", "value": "13"},
                        {"name": "Sec-WebSocket-Extensions", "value": DEFLATE[0][1]},
                    ],
                    "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
                },
                "response": {
                    "status": 101, "statusText": "Switching Protocols", "httpVersion": "HTTP/1.1",
                    "headers": [
                        {"name": "Upgrade", "value": "websocket"},
                        {"name": "Connection", "value": "Upgrade"},
                        {"name": "Sec-WebSocket-Accept", "value": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
                        {"name": "Sec-WebSocket-Extensions", "value": DEFLATE[0][1]},
                    ],
                    "cookies": [], "content": {"size": 0, "mimeType": "x-unknown"},
                    "redirectURL": "", "headersSize": -1, "bodySize": -1,
                },
                "serverIPAddress": "[::1]", "startedDateTime": "2026-11-23T08:16:02.400Z",
                "time": 500.0,
                "timings": {"blocked": -1, "dns": -1, "ssl": -1, "connect": -1, "send": 0,
                            "wait": 20.0, "receive": 480.0},
            },
            {
                "cache": {},
                "request": {
                    "method": "POST", "url": "https://example.org/api", "httpVersion": "h2",
                    "headers": [{"name": ":authority", "value": "example.org"},
                                {"name": "cookie", "value": "sid=s3cretS3cret"}],
                    "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 2,
                    "postData": {"mimeType": "text/plain", "text": "hé"},
                },
                "response": {
                    "status": 200, "statusText": "", "httpVersion": "h2",
                    "headers": [{"name": "content-encoding", "value": "br"},
                                {"name": "set-cookie", "value": "a=1\nb=2"}],
                    "cookies": [],
                    "content": {"size": 5, "mimeType": "text/plain", "text": "hello"},
                    "redirectURL": "", "headersSize": -1, "bodySize": -1,
                },
                "startedDateTime": "2026-11-23T08:16:02.300Z", "time": 5.0,
                "timings": {"send": 0, "wait": 5.0, "receive": 0},
            },
            {
                "cache": {},
                "request": {"method": "GET", "url": "ws://127.0.0.1:1/", "httpVersion": "HTTP/1.1",
                            "headers": [], "queryString": [], "cookies": [], "headersSize": -1,
                            "bodySize": 0},
                "response": {"status": 0, "statusText": "", "httpVersion": "", "headers": [],
                             "cookies": [], "content": {"size": 0, "mimeType": "x-unknown"},
                             "redirectURL": "", "headersSize": -1, "bodySize": -1},
                "startedDateTime": "2026-11-23T08:16:03.000Z", "time": 5.0,
                "timings": {"send": 0, "wait": 5.0, "receive": 0},
            },
        ],
    }
}  # fmt: skip


def with_timings(folder, **timings):
    """Load Chrome's file, with other times of its WebSocket."""
    har = json.loads(json.dumps(CHROMES))
    har["log"]["entries"][0]["timings"] |= timings
    path = folder / "chrome.har"
    path.write_text(json.dumps(har), encoding="utf-8")
    return Tape.load(path)


class TestChromesFile:
    @pytest.fixture
    def tape(self, tmp_path):
        return with_timings(tmp_path)

    def test_messages(self, tape):
        text, binary = tape.messages
        assert (text.sender, text.data, text.compressed) == ("client", "héllo", False)
        assert (binary.sender, binary.data) == ("server", b"\xff\x00")
        assert tape.began_at + text.at_s == pytest.approx(1795421762.5, abs=1e-6)
        first, second = [event for event in tape.events if isinstance(event, FrameEvent)]
        assert first.raw == encode_frame(1, "héllo".encode(), mask_key=bytes(4))
        assert second.raw == encode_frame(2, b"\xff\x00")
        assert not [event for event in tape.events if event.kind == "fault"]

    def test_heads(self, tape):
        responses = {e.connection_id: e for e in tape.events if e.kind == "response"}
        assert set(responses) == {"har-1", "har-2"}
        handshake = responses["har-1"].handshake
        assert handshake.accepted
        assert responses["har-1"].request.target == "/chat?x=1"
        answer = responses["har-2"].response
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.get("content-encoding") is None
        asked = responses["har-2"].request
        assert asked.start_line == "POST /api HTTP/1.1"
        assert asked.get("Host") == "example.org"
        assert asked.get("cookie") == "[redacted]"
        (body,) = [event for event in tape.events if event.kind == "body"]
        assert body.data == "hé".encode()

    def test_connections_in_the_order_of_time(self, tape):
        opened = [event for event in tape.events if event.kind == "opened"]
        assert [event.connection_id for event in opened] == ["har-2", "har-1", "har-3"]
        assert [event.server_address for event in opened] == [
            "example.org:443", "[::1]:8765", "127.0.0.1:1",
        ]  # fmt: skip
        assert {event.side for event in opened} == {"client"}
        assert not [event for event in tape.events if event.kind == "ended"]

    def test_when_a_websocket_was_over_is_told_and_not_how(self, tape):
        [over] = [event for event in tape.events if event.kind == "over"]
        assert over.connection_id == "har-1"
        assert tape.began_at + over.at_s == pytest.approx(1795421762.9)
        told = tape.why_ended("har-1")
        assert told.startswith("It ended, and the record does not say how: the program that wrote")
        assert told.endswith("It had been open for 0.5 s.")

    def test_how_long_both_were_silent_is_told(self, tmp_path):
        told = with_timings(tmp_path, wait=350.0, receive=60_500.0).why_ended("har-1")
        assert "Neither side had sent a message for 60.5 s before. That would fit the idle" in told

    def test_of_a_websocket_that_was_open_no_end_is_told(self, tmp_path):
        tape = with_timings(tmp_path, receive=0)
        assert not [event for event in tape.events if event.kind == "over"]
        assert tape.why_ended("har-1").startswith("Its end is not on this record.")

    def test_what_is_not_known_is_in_no_capture_either(self, tape, tmp_path):
        tape.to_pcapng(tmp_path / "x.pcapng")
        again = Tape.load(tmp_path / "x.pcapng")
        assert not [event for event in again.events if event.kind in ("ended", "over")]

    def test_can_be_saved_and_loaded_again(self, tape, tmp_path):
        tape.to_har(tmp_path / "again.har")
        assert Tape.load(tmp_path / "again.har").events == tape.events

    def test_a_message_before_the_answers_time(self, tmp_path):
        """Chrome's timings are rounded: a message never comes before its handshake."""
        har = json.loads(json.dumps(CHROMES))
        har["log"]["entries"][0]["timings"]["wait"] = 5000.0
        (tmp_path / "x.har").write_text(json.dumps(har))
        assert len(Tape.load(tmp_path / "x.har").messages) == 2


class TestOddEntries:
    """What other programs write is loaded as far as it can be read; the notes say what was not."""

    def load(self, har: dict, tmp_path) -> Tape:
        (tmp_path / "odd.har").write_text(json.dumps(har))
        return Tape.load(tmp_path / "odd.har")

    @pytest.fixture
    def har(self) -> dict:
        return json.loads(json.dumps(CHROMES))

    @pytest.mark.parametrize(
        "odd",
        [
            {"type": "receive", "time": 1795421762.6, "opcode": -1, "data": "Invalid frame header"},
            {"type": "receive", "time": 1795421762.6, "opcode": 99, "data": "Invalid frame header"},
            {"type": "receive", "time": "soon", "opcode": 1, "data": "Invalid frame header"},
            {"type": "receive", "time": float("nan"), "opcode": 1, "data": "Invalid frame header"},
            {"type": "receive", "opcode": 1, "data": "Invalid frame header"},
            {"type": "receive", "time": 1795421762.6, "opcode": 2, "data": "Invalid frame header"},
        ],
        ids=["error", "opcode", "time", "nan", "no time", "no base64"],
    )
    def test_a_message(self, har, tmp_path, odd):
        har["log"]["entries"][0]["_webSocketMessages"].insert(1, odd)
        tape = self.load(har, tmp_path)
        assert [message.data for message in tape.messages] == ["héllo", b"\xff\x00"]
        (note,) = tape.notes
        assert "har-1: message 1 was left out" in note
        assert "Invalid frame header" in note
        assert "1 notes" in repr(tape)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("request", None), ("startedDateTime", "today"), ("request", {"url": "ws://x:99999/"})],
    )
    def test_an_entry(self, har, tmp_path, name, value):
        har["log"]["entries"][1][name] = value
        tape = self.load(har, tmp_path)
        assert [track.connection_id for track in tape.connections] == ["har-1", "har-3"]
        assert len(tape.messages) == 2
        (note,) = tape.notes
        assert "entry 1 was left out" in note

    @pytest.mark.parametrize("status", [-1, "101", 99999, 10**40, 200.5])
    def test_a_status_that_is_none(self, har, tmp_path, status):
        har["log"]["entries"][1]["response"]["status"] = status
        tape = self.load(har, tmp_path)
        assert "har-2: its answer was left out" in tape.notes[0]
        assert len(tape.connections) == 3

    def test_timings_that_are_none(self, har, tmp_path):
        har["log"]["entries"][1]["timings"] = {"wait": "long", "send": None, "dns": float("inf")}
        assert len(self.load(har, tmp_path).connections) == 3
        del har["log"]["entries"][1]["timings"]
        assert self.load(har, tmp_path).notes == ()

    def test_the_notes_have_a_bound(self, har, tmp_path):
        odd = {"type": "receive", "time": 0, "opcode": -1, "data": "x" * 9000}
        har["log"]["entries"][0]["_webSocketMessages"] += [odd] * 5000
        notes = self.load(har, tmp_path).notes
        assert notes[-1] == "and 4,980 notes more"
        assert sum(map(len, notes)) < 5_000

    def test_nothing_that_can_be_read(self, har, tmp_path):
        har["log"]["entries"] = [{}, 5, None]
        with pytest.raises(BadFile, match="entry 0"):
            self.load(har, tmp_path)

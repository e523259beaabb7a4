"""Events as rows."""

from __future__ import annotations

import sys

from tests.wire.taping import (
    close,
    masked,
    upgrade,
    websocket,
)
from wslab.wire.files.rows import COLUMNS
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape


class TestRows:
    def rows(self) -> list[dict]:
        tape = Tape()
        track = websocket(tape)
        track.client(masked(1, b"Hello"))
        track.server(encode_frame(2, b"\xff\x00"))
        track.server(encode_frame(9, b"?") + encode_frame(8, close(1001, "bye")))
        track.client(masked(10, b"?") + masked(3, b"?"))
        track.end()
        rows = tape.to_rows()
        assert rows == tape.to_rows()
        assert [row["kind"] for row in rows] == [event.kind for event in tape.events]
        assert [row["at_s"] for row in rows] == [event.at_s for event in tape.events]
        return rows

    def test_every_row_has_every_column_in_order(self):
        for row in self.rows():
            assert list(row) == list(COLUMNS)
            assert row["connection_id"] == "a1"
            assert row["label"] == "alice"

    def test_what_they_say(self):
        shown = [
            {name: value for name, value in list(row.items())[3:] if value is not None}
            for row in self.rows()
        ]
        assert shown[0] == {
            "sender": "client", "kind": "opened", "text": "127.0.0.1:50001 to 127.0.0.1:8765",
        }  # fmt: skip
        assert (shown[1]["text"], shown[2]["status"]) == ("GET /chat HTTP/1.1", 101)
        assert shown[3] == {
            "sender": "client", "kind": "frame", "number": 1, "opcode": 1, "name": "text",
            "fin": True, "masked": True, "compressed": False, "size_bytes": 11,
            "payload_bytes": 5, "text": "Hello",
        }  # fmt: skip
        assert shown[4] == {
            "sender": "client", "kind": "message", "opcode": 1, "name": "text",
            "compressed": False, "fragments": 1, "size_bytes": 11, "payload_bytes": 5,
            "text": "Hello",
        }  # fmt: skip
        assert (shown[5]["hex"], shown[6]["hex"], "text" in shown[6]) == ("ff00", "ff00", False)
        assert (shown[7]["name"], shown[7]["hex"]) == ("ping", "3f")
        assert (shown[9]["kind"], shown[9]["status"], shown[9]["text"]) == ("close", 1001, "bye")
        assert shown[11]["kind"] == "pong"
        assert shown[11]["round_trip_s"] >= 0
        assert (shown[12]["name"], shown[13]["kind"]) == ("reserved 0x3", "fault")
        assert shown[13]["text"].startswith("reserved-opcode: Expected ")
        assert shown[-1] == {"sender": "server", "kind": "ended", "text": "not clean"}

    def test_dropped_and_bodies(self):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        for _ in range(8000):
            track.client(masked(1, b"Hello"))
        row = next(row for row in tape.to_rows() if row["kind"] == "dropped")
        assert row["text"] == f"{tape.dropped.frames} frames"
        http = Tape()
        track = http.open("a1")
        track.client(b"GET / HTTP/1.1\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\n\r\n")
        track.server(b"data: 1\n\n")
        assert http.to_rows()[-1]["hex"] == b"data: 1\n\n".hex()

    def test_secrets(self):
        tape = Tape()
        upgrade(tape.open("a1"), target="/?token=s3cretS3cret")
        assert "s3cret" not in repr(tape.to_rows())
        assert "s3cretS3cret" in repr(tape.to_rows(reveal=True))

    def test_pandas_is_not_loaded(self):
        self.rows()
        assert "pandas" not in sys.modules

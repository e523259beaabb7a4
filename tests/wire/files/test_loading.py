"""Files that are not what they should be."""

from __future__ import annotations

import json
import random

import pytest

from tests.wire.files.formats import save
from tests.wire.taping import (
    masked,
    random_session,
    websocket,
)
from wslab.wire.tape.snapshot import BadFile
from wslab.wire.tape.tape import Tape


class TestBadFiles:
    def fails(self, path, data: bytes) -> str:
        path = path / "some.file"
        path.write_bytes(data)
        with pytest.raises(BadFile) as error:
            Tape.load(path)
        message = str(error.value)
        assert message.startswith("expected ")
        assert "some.file" in message
        assert ": " in message
        return message

    @pytest.mark.parametrize(
        ("data", "advice"),
        [
            (b"", "it is empty"),
            (b"\x1f\x8b\x08\x00", "unpack it first"),
            (b"\xd4\xc3\xb2\xa1" + bytes(20), "that is pcap, the older format"),
            (b"hello", "write one with tape.to_har"),
            (b"{}", "HTTP Archive"),
            (b"{", "HTTP Archive"),
            (b'{"log": {"entries": 5}}', "HAR 1.2"),
            (b'{"log": {"entries": [{}]}}', "got entry 0"),
            (b'{"log": {"entries": [], "_wslab": {"format": 99}}}', "a newer wslab"),
            (b'{"log": {"entries": [], "_wslab": []}}', "format 1"),
            (b'{"log": {"entries": [], "_wslab": {"format": 1}}}', "load the original"),
            (b'{"log": "\xff"}', "UTF-8"),
            (b"\x0a\x0d\x0d\x0a\x00\x00\x00\x1c\x1a\x2b\x3c\x4d", "little-endian"),
            (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a", "cut off"),
        ],
    )
    def test_says_what_is_wrong(self, tmp_path, data, advice):
        assert advice in self.fails(tmp_path, data)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Tape.load(tmp_path / "nothing.har")

    def test_a_capture_of_another_program(self, tmp_path):
        data = save(Tape(), tmp_path, "pcapng").read_bytes()
        size = int.from_bytes(data[4:8], "little")
        assert "another program wrote it" in self.fails(tmp_path, data[:size])

    def test_a_capture_cut_anywhere(self, tmp_path):
        tape = Tape()
        websocket(tape).client(masked(1, b"Hello"))
        data = save(tape, tmp_path, "pcapng").read_bytes()
        for cut in range(1, len(data), 7):
            path = tmp_path / "cut"
            path.write_bytes(data[:cut])
            try:
                loaded = Tape.load(path)
            except BadFile:
                continue
            assert len(loaded.events) <= len(tape.events)  # cut between two blocks

    def test_changed_bytes_never_raise_anything_else(self, tmp_path):
        source = random.Random(9)
        tape = Tape()
        random_session(tape, source, ["secret"] * 5)
        path = tmp_path / "changed"
        for name in ("har", "pcapng"):
            clean = save(tape, tmp_path, name).read_bytes()
            for _ in range(150):
                data = bytearray(clean)
                for _ in range(3):
                    data[source.randrange(len(data))] = source.randrange(256)
                path.write_bytes(data)
                try:
                    Tape.load(path).read()
                except BadFile:
                    pass

    def test_columns_that_do_not_fit_together(self, tmp_path):
        tape = Tape()
        websocket(tape)
        har = json.loads(save(tape, tmp_path, "har").read_text())
        for name, value in [
            ("what", [9, 9, 9]), ("connection", [5, 5, 5]), ("size_bytes", [10**9] * 3),
            ("at_s", []), ("data", "!"), ("connections", [{}]), ("data", ""),
        ]:  # fmt: skip
            changed = json.loads(json.dumps(har))
            changed["log"]["_wslab"][name] = value
            assert "load the original file" in self.fails(tmp_path, json.dumps(changed).encode())

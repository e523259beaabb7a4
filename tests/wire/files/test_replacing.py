"""Files are written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

import pytest

from tests.wire.files.formats import save
from tests.wire.taping import (
    masked,
    websocket,
)
from wslab.wire.tape.tape import Tape


class TestWholeOrNotAtAll:
    """A file that is written takes the old one's place when it is complete, and not before."""

    @pytest.fixture
    def tape(self) -> Tape:
        tape = Tape()
        track = websocket(tape)
        for _ in range(50):
            track.client(masked(1, b"x" * 2000))
        return tape

    @pytest.mark.parametrize("name", ["har", "pcapng"])
    @pytest.mark.parametrize("is_there", [True, False])
    def test_a_disk_that_is_full(self, tape, tmp_path, name, is_there):
        resource = pytest.importorskip("resource")
        path = tmp_path / f"tape.{name}"
        if is_there:
            save(Tape(), tmp_path, name)
        before = path.read_bytes() if is_there else None
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                save(tape, tmp_path, name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        assert (path.read_bytes() if is_there else None) == before
        assert [each.name for each in tmp_path.iterdir()] == ([path.name] if is_there else [])

    @pytest.mark.parametrize("name", ["har", "pcapng"])
    def test_an_interrupt_while_writing(self, tape, tmp_path, name, monkeypatch):
        path = save(tape, tmp_path, name)
        before = path.read_bytes()
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save(Tape(), tmp_path, name)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")
    def test_modes_and_links_stay(self, tape, tmp_path):
        (tmp_path / "away").mkdir()
        real = tmp_path / "away" / "real.har"
        real.write_bytes(b"old")
        real.chmod(0o604)
        (tmp_path / "tape.har").symlink_to(real)
        path = save(tape, tmp_path, "har")
        assert path.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o604
        assert len(Tape.load(path).messages) == 50
        mask = os.umask(0o027)
        try:
            assert save(tape, tmp_path, "pcapng").stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(mask)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
    def test_a_pipe_is_written_to(self, tape, tmp_path):
        os.mkfifo(tmp_path / "tape.har")
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append((tmp_path / "tape.har").read_bytes()))
        thread.start()
        save(tape, tmp_path, "har")
        thread.join(10)
        assert json.loads(read[0])["log"]["version"] == "1.2"

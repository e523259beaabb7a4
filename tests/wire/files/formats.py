"""What the tests of both file formats share."""

from __future__ import annotations

from wslab.wire.tape.tape import Tape


def save(tape: Tape, path, name: str, *, reveal: bool = False):
    path = path / f"tape.{name}"
    {"har": tape.to_har, "pcapng": tape.to_pcapng}[name](path, reveal=reveal)
    return path

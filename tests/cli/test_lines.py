"""Lines that several processes write to one terminal."""

from __future__ import annotations

import io
import sys

import pytest

from wslab.cli.lines import say


class Raw(io.RawIOBase):
    """What a terminal is asked to write, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        if data:
            self.written.append(bytes(data))
        return len(data)


@pytest.mark.parametrize("is_buffered", [False, True])
def test_a_line_is_one_write_whether_python_buffers_or_not(is_buffered, monkeypatch):
    raw = Raw()
    below = io.BufferedWriter(raw) if is_buffered else raw
    stream = io.TextIOWrapper(below, encoding="utf-8", newline="", write_through=not is_buffered)
    say("wslab: stopped", stream)
    say("two lines\nof one", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    say("here")
    assert raw.written == [b"wslab: stopped\n", b"two lines\nof one\n", b"here\n"]

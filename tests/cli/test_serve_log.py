"""What `wslab serve` prints of its clients."""

from __future__ import annotations

import re
import signal

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.cli.rig import WAIT_S, Serving, connect, needs_posix
from wslab.cli.serve_log import printable


@needs_posix
def test_a_refused_origin_is_told() -> None:
    with Serving() as serving:
        with pytest.raises(InvalidStatus), connect(serving.url, origin="https://a.example"):
            pass
        assert re.search(
            r"  refused     [0-9a-f]{6}  127\.0\.0\.1:\d+ 403 Forbidden", serving.line()
        )
        assert serving.end(signal.SIGINT)[0] == 0


@needs_posix
def test_nobody_reading_ends_it_quietly() -> None:
    with Serving() as serving:
        assert serving.process.stdout is not None
        serving.process.stdout.close()
        with connect(serving.url) as alice, pytest.raises(ConnectionClosed):
            alice.recv(timeout=WAIT_S)
        assert serving.process.wait(WAIT_S) == 0
        assert serving.process.stderr is not None
        assert serving.process.stderr.read() == ""
        serving.process.stdout = None


def test_what_a_client_sends_is_no_control_sequence() -> None:
    assert printable("/a\x1b[2J\x00é") == "/a\\x1b[2J\\x00é"

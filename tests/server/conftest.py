"""A server that echoes; and no test here makes the library print."""

from __future__ import annotations

import pytest

import wslab
from tests import peers
from tests.server.rig import echo


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    """No test here makes the library print, or log what Python would print, whatever happens."""
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture
def server():
    with wslab.serve(echo) as server:
        yield server

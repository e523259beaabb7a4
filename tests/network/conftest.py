"""A lab on either kind of loop, for tests of a room that lies under both."""

from __future__ import annotations

import pytest

import wslab
from tests.network.rig import LOOPS
from wslab.loops import portal


@pytest.fixture(params=LOOPS)
def lab_loop(request, monkeypatch):
    """Let the lab have a loop of this kind, fresh."""
    wslab.shutdown()
    monkeypatch.setattr(portal, "loop_factory", lambda: request.param)
    yield
    wslab.shutdown()

"""No test of a lesson leaves a server, a client or a loop to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wslab
from wslab.learn.exercises import Exercise, _exercises


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    wslab.shutdown()


@pytest.fixture
def make(monkeypatch):
    """Register a check for this test, called "zz test"."""

    def register(run):
        entry = Exercise("zz test", run, ("look here", "it is <this>"), "solutions/zz.py")
        monkeypatch.setitem(_exercises, "zz test", entry)

    return register

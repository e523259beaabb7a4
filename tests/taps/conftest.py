"""No test here makes the library print, and those of bytes run on both kinds of event loop."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests import peers
from wslab.loops import portal


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture(params=["uvloop", "asyncio"])
def each_loop(request, monkeypatch):
    """Run the test on uvloop's loop, and again on the stock one."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setattr(portal, "loop_factory", lambda: asyncio.SelectorEventLoop)
    wslab.shutdown()
    yield request.param
    wslab.shutdown()

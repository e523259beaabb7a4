"""A portal of its own, for each test that asks for one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from wslab.loops.portal import Portal


@pytest.fixture(params=["stock", "uvloop"])
def portal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A portal of its own, on each of the two loops."""
    if request.param == "stock":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    else:
        pytest.importorskip("uvloop")
    portal = Portal("under test")
    yield portal
    portal.close()

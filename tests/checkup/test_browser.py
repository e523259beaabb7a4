"""Which URL a browser is told."""

from __future__ import annotations

import pytest

import wslab
from tests.checkup.rig import at, found, names
from wslab.checkup.report import Finding
from wslab.notebook import environment


def test_a_script_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, environment.Kind.SCRIPT, can_reach_kernel=True)
    report = wslab.doctor()
    assert found(report, "URL for a browser") == Finding(
        "URL for a browser", True, "ws://127.0.0.1:PORT/"
    )
    assert "through Jupyter" not in [finding.name for finding in report.findings]


def test_colab_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, environment.Kind.COLAB)
    assert names(wslab.doctor(), False) == ["URL for a browser"]

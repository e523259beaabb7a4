"""A report taken apart, and an environment that says it is another."""

from __future__ import annotations

from typing import Any

import pytest

from wslab.checkup.report import Finding, Report
from wslab.notebook import environment


def found(report: Report, name: str) -> Finding:
    return next(finding for finding in report.findings if finding.name == name)


def names(report: Report, ok: bool | None) -> list[str]:
    return [finding.name for finding in report.findings if finding.ok is ok]


def at(monkeypatch: pytest.MonkeyPatch, kind: environment.Kind, **values: Any) -> None:
    here: dict[str, Any] = {
        "label": kind.value,
        "jupyter_base_url": "/user/demo-abc/",
        "jupyter_origin": None,
        "can_reach_kernel": False,
        "reason": "a test says so",
        "has_server_proxy": None,
    } | values
    monkeypatch.setattr(environment, "detect", lambda: environment.Environment(kind=kind, **here))

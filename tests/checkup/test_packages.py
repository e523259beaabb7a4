"""Installed versions, judged."""

from __future__ import annotations

import pytest

from wslab.checkup import packages
from wslab.checkup.report import Finding

VERSIONS = {
    "websockets": "17.4",
    "anywidget": "0.11.0",
    "ipywidgets": "8.1.9",
    "nest_asyncio2": "1.7.4",
    "ipykernel": "7.4.0",
    "jupyterlab": "4.6.6",
    "jupyter-server-proxy": "4.6.0",
    "uvloop": "0.23.0",
}


def judged(least: dict[str, str] | None = None, **changes: str | None) -> dict[str, Finding]:
    versions = VERSIONS | {name.replace("__", "-"): value for name, value in changes.items()}
    findings = packages.judged(versions, least or {}, "3.11.9", ">=3.11")
    return {finding.name: finding for finding in findings}


def test_versions_that_are_well() -> None:
    assert all(finding.ok for finding in judged().values())


@pytest.mark.parametrize("version", ["1.7.1", "1.7.2", "1.7.4rc1", "1.6"])
def test_an_old_nest_asyncio2_beside_ipykernel_7_is_reported(version: str) -> None:
    finding = judged(nest_asyncio2=version)["nest_asyncio2"]
    assert finding.ok is False
    assert "beside ipykernel 7.4.0 it silently loses queued cells" in finding.seen
    assert "nest_asyncio2>=1.7.4" in finding.advice
    assert (
        "queued cells" not in judged(nest_asyncio2=version, ipykernel="6.29")["nest_asyncio2"].seen
    )


def test_what_is_old_or_not_installed() -> None:
    findings = judged({"websockets": "17"}, websockets="16.0", ipywidgets=None, uvloop=None)
    assert findings["websockets"].seen == "16.0; 17 or newer is needed"
    assert findings["websockets"].ok is False
    assert findings["ipywidgets"].ok is False
    assert findings["uvloop"].ok is True
    assert "not installed; the stock event loop does the same" in findings["uvloop"].seen


def test_an_old_python() -> None:
    first = packages.judged({}, {}, "3.10.4", ">=3.11")[0]
    assert first.ok is False
    assert first.seen.endswith("3.11 or newer is needed")

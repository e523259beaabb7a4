"""Proxies of the environment that would catch loopback."""

from __future__ import annotations

import pytest

import wslab
from tests.checkup.rig import names
from wslab.checkup import proxies


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"])
def test_a_proxy_that_would_catch_loopback_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:hunter2@192.0.2.1:3128")
    finding = proxies.environment_proxies()
    caught = name.lower() != "all_proxy"  # which websockets does not heed
    assert finding.ok is not caught
    if caught:
        assert "NO_PROXY=localhost,127.0.0.1" in finding.advice
    assert "hunter2" not in f"{finding}"


def test_a_proxy_that_leaves_loopback_alone_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert proxies.environment_proxies().ok is True


def test_works_behind_a_proxy_that_catches_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    report = wslab.doctor()
    assert names(report, False) == ["environment proxies"]

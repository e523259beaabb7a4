"""The lab's loop, held or not, and loops that nest."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import wslab
from tests.checkup.rig import found, names
from wslab.checkup import process
from wslab.loops import portals


def test_names_the_loop_in_use() -> None:
    kind = type(portals.lab().loop).__module__.partition(".")[0]
    seen = found(wslab.doctor(), "event loop").seen
    assert seen.startswith("uvloop" if kind == "uvloop" else "asyncio's own")


def test_a_held_loop_is_reported_with_its_holder_and_not_waited_for() -> None:
    let_go, held = threading.Event(), threading.Event()

    def sits_on_the_loop() -> None:
        held.set()
        let_go.wait(30)

    future = portals.lab().submit(sits_on_the_loop)
    try:
        assert held.wait(5)
        began_s = time.monotonic()
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
        future.result(5)
    assert not report.ok
    assert "sits_on_the_loop() at test_process.py" in found(report, "event loop").seen
    assert found(report, "handshake and echo").ok is None
    assert took_s < 4
    assert wslab.doctor().ok


def test_the_old_nest_asyncio_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    monkeypatch.delattr(asyncio, "_nest_asyncio2", raising=False)
    finding = process.nesting()
    assert finding.ok is False
    assert "wslab.allow_nested_loops()" in finding.advice


def test_nest_asyncio2_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    monkeypatch.setattr(asyncio, "_nest_asyncio2", True, raising=False)
    assert process.nesting().ok is True


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"])
def test_a_proxy_that_would_catch_loopback_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:hunter2@192.0.2.1:3128")
    finding = process.environment_proxies()
    caught = name.lower() != "all_proxy"  # which websockets does not heed
    assert finding.ok is not caught
    if caught:
        assert "NO_PROXY=localhost,127.0.0.1" in finding.advice
    assert "hunter2" not in f"{finding}"


def test_a_proxy_that_leaves_loopback_alone_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert process.environment_proxies().ok is True


def test_works_behind_a_proxy_that_catches_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    report = wslab.doctor()
    assert names(report, False) == ["environment proxies"]

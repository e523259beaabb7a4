"""The doctor as a whole: what it finds by doing, and how long it may take."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import wslab
from tests.checkup.rig import found, names
from tests.kernels import Kernel
from wslab.checkup import doctor as examination
from wslab.checkup import jupyter as by_jupyter
from wslab.checkup import packages, process
from wslab.checkup import server as thrown_away
from wslab.checkup.report import Report
from wslab.loops import portals
from wslab.notebook import cells


def test_all_is_well_and_nothing_stays_open() -> None:
    before = set(cells.things())
    report = wslab.doctor()
    assert names(report, False) == []
    assert report.ok
    assert found(report, "handshake and echo").seen.startswith("101 (open) after")
    assert found(report, "page over HTTP").seen.startswith("200 OK")
    assert found(report, "stop() frees the port").ok is True
    assert set(cells.things()) == before


def test_works_where_a_loop_runs() -> None:
    async def cell() -> Report:
        await asyncio.sleep(0)
        return wslab.doctor()

    assert names(asyncio.run(cell()), False) == []


def test_refuses_on_the_labs_own_loop() -> None:
    async def handler() -> None:
        wslab.doctor()

    with pytest.raises(wslab.errors.WrongThread, match=r"asyncio\.to_thread\(wslab\.doctor\)"):
        wslab.run(handler)


def test_works_from_async_code_on_the_labs_loop_through_to_thread() -> None:
    report = wslab.run(asyncio.to_thread, wslab.doctor)
    assert names(report, False) == []


def test_a_loop_that_hangs_in_the_middle_does_not_hang_the_doctor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = threading.Event()

    async def blocking_echo(websocket: Any) -> None:
        async for _ in websocket:
            let_go.wait(30)

    monkeypatch.setattr(thrown_away, "_echo", blocking_echo)
    began_s = time.monotonic()
    try:
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
    assert took_s < 10
    assert found(report, "handshake and echo").ok is False
    assert "blocking_echo() at test_doctor.py" in str(report).replace("\n", " ").replace("  ", "")
    assert found(report, "stop() frees the port").ok is False
    assert portals.lab().answers(5)  # the fixture asserts that nothing stays behind


def test_every_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    for module, name in (
        (thrown_away, "page"),
        (thrown_away, "localhost"),
        (by_jupyter, "find_jupyter"),
        (process, "environment_proxies"),
        (packages, "packages"),
    ):
        monkeypatch.setattr(module, name, lambda *_: let_go.wait(30))
    began_s = time.monotonic()
    try:
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
    assert took_s < 10
    assert found(report, "page over HTTP").ok is False
    assert "no answer within 2.5 s" in found(report, "page over HTTP").seen
    assert found(report, "handshake and echo").ok is True


@pytest.mark.kernel
def test_in_cells_plain_and_awaiting() -> None:
    with Kernel(env={"JPY_PARENT_PID": ""}) as kernel:
        cells_ = kernel.run_all(
            [
                "import asyncio, wslab\n"
                "async def echo(ws):\n"
                "    async for message in ws: await ws.send(message)\n"
                "server = wslab.serve(echo); port = server.port\n"
                "report = wslab.doctor()\n"
                "other = wslab.serve(echo, name='other')\n"
                "print(server.is_serving, [f.name for f in report.findings if f.ok is False])",
                "await asyncio.sleep(0.01); report = wslab.doctor(); report",
                "print('JupyterLab' in str(report), len(wslab.notebook.cells.things()))",
            ]
        )
        assert [cell.status for cell in cells_] == ["ok"] * 3, [cell.error for cell in cells_]
        assert cells_[0].text == "True []\n"
        assert "<table" in cells_[1].results[0]["data"]["text/html"]
        assert cells_[2].text == "True 2\n"


def test_the_public_name_is_the_function() -> None:
    assert wslab.doctor is examination.doctor
    assert "doctor" in wslab.__all__

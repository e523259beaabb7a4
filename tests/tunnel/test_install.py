"""Installing wslab enables the tunnel, by a file that pyproject.toml lays out."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from websockets.sync.client import connect

import wslab
from tests.jupyters import BASE_URL, TOKEN, Jupyter, as_kernel_of
from tests.kernels import Kernel

PROJECT = Path(__file__).resolve().parents[2]
LAID_OUT = "etc/jupyter/jupyter_server_config.d/wslab.json"


def enabling_file() -> Path:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    [source] = [source for source, target in shared.items() if target == LAID_OUT]
    return PROJECT / source


def test_the_file_names_an_extension_that_is_there() -> None:
    content = json.loads(enabling_file().read_text("utf-8"))
    [(name, is_enabled)] = content["ServerApp"]["jpserver_extensions"].items()
    assert is_enabled is True
    [point] = importlib.import_module(name)._jupyter_server_extension_points()
    assert callable(importlib.import_module(point["module"])._load_jupyter_server_extension)


def test_a_kernel_registers_its_servers_without_loading_jupyters_server() -> None:
    code = "import sys, wslab.tunnel; print({'tornado', 'jupyter_server', 'ssl'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert not {"tornado", "jupyter_server"} & {*done.stdout.replace("'", " ").split()}


def echoes(jupyter: Jupyter, tunnel_id: str) -> bool:
    url = f"ws://127.0.0.1:{jupyter.port}{BASE_URL}wslab/{tunnel_id}/"
    headers = {"Authorization": f"token {TOKEN}"}
    with connect(url, additional_headers=headers, proxy=None) as client:
        client.send("hello")
        return client.recv(timeout=10) == "hello"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_the_file_alone_enables_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupyter_server")
    folder = tmp_path / "config" / "jupyter_server_config.d"
    folder.mkdir(parents=True)
    shutil.copy(enabling_file(), folder / "wslab.json")
    jupyter = Jupyter(tmp_path)
    try:
        as_kernel_of(monkeypatch, jupyter)
        with wslab.serve(echo) as server:
            assert echoes(jupyter, server.tunnel_id)
    finally:
        jupyter.close()
    assert not list(jupyter.runtime.glob("wslab-*"))  # the server's own sign has gone with it


IN_A_KERNEL = """
import wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo)
print(server.tunnel_id)
"""


@pytest.mark.kernel
def test_a_real_kernels_server_keeps_its_url_when_its_cell_runs_again(tmp_path: Path) -> None:
    pytest.importorskip("jupyter_server")
    jupyter = Jupyter(tmp_path, "--ServerApp.jpserver_extensions=wslab.tunnel=True")
    setup = f"import os; os.environ['JUPYTER_RUNTIME_DIR'] = {str(jupyter.runtime)!r}"
    try:
        with Kernel(env={"JPY_PARENT_PID": str(jupyter.process.pid)}) as kernel:
            kernel.check(setup)
            first = kernel.check(IN_A_KERNEL, cell_id="a")
            assert echoes(jupyter, first.strip())
            again = kernel.check(IN_A_KERNEL, cell_id="a")
            assert again == first
            assert echoes(jupyter, again.strip())
    finally:
        jupyter.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    os.environ.get("WSLAB_TEST_INSTALL") != "1",
    reason="installs everything anew; set WSLAB_TEST_INSTALL=1 (CI does)",
)
def test_it_is_enabled_in_a_fresh_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a wheel; test_binder.py sees that an editable install enables it, too."""
    checkout = tmp_path / "checkout"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "build", "dist")
    shutil.copytree(PROJECT, checkout, ignore=ignore)
    venv = tmp_path / "venv"
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for command in (
        [sys.executable, "-m", "venv", venv],
        [python, "-m", "pip", "install", "-qq", ".", "jupyter_server"],
    ):
        done = subprocess.run(
            command, cwd=checkout, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert (venv / LAID_OUT).is_file()
    folder = tmp_path / "jupyter"
    folder.mkdir()
    jupyter = Jupyter(folder, python=str(python), path=False)
    try:
        as_kernel_of(monkeypatch, jupyter)
        with wslab.serve(echo) as server:
            assert echoes(jupyter, server.tunnel_id)
    finally:
        jupyter.close()

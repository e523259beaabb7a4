"""What Binder builds: the pins fit the project, and (WSLAB_TEST_BINDER=1) a clean environment made
from binder/ serves the course under a JupyterHub's base URL, proxy included.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.lab.harness import Lab

PROJECT = Path(__file__).resolve().parent.parent
BINDER = PROJECT / "binder"
BASE_URL = "/user/demo-abc/"
FIRST_LESSON = "notebooks/00_start_here.ipynb"

# What a cell prints, a page on the same origin opens: through the proxy, as on Binder.
PROXIED = """
import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo)
print(server.browser_url)
"""
ECHO_IN_PAGE = """url => new Promise((resolve, reject) => {
  const socket = new WebSocket(new URL(url, location.href.replace(/^http/, "ws")));
  socket.onopen = () => socket.send("hello");
  socket.onmessage = event => { resolve(event.data); socket.close(); };
  socket.onclose = event => reject(new Error(`closed with ${event.code}`));
})"""


def _pins() -> dict[str, Requirement]:
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {_normal(pin.name): pin for pin in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_to_one_version():
    for pin in _pins().values():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin


def test_the_pins_are_what_the_project_asks_for():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *extras["lab"],
        *extras["fast"],
    ]
    pins = _pins()
    for requirement in map(Requirement, asked):
        pin = pins.get(_normal(requirement.name))
        assert pin is not None, f"{requirement.name} is not in binder/requirements.txt"
        [version] = [specifier.version for specifier in pin.specifier]
        assert requirement.specifier.contains(version), f"{pin} against {requirement}"


def test_the_runtime_is_a_python_that_the_project_supports():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"x{project['project']['requires-python']}").specifier.contains(version)


def test_post_build_can_be_executed():
    assert os.access(BINDER / "postBuild", os.X_OK)
    assert (BINDER / "postBuild").read_text().startswith("#!/usr/bin/env bash\n")


def _python_of_binder() -> str:
    """Return an interpreter of binder/runtime.txt's version, or else this one."""
    wanted = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    if wanted == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{wanted}")
    runs = found and subprocess.run([found, "-c", ""], capture_output=True, check=False)
    return found if found and runs and runs.returncode == 0 else sys.executable


def _run(*command: str | Path, cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr[-4000:]}"


@pytest.mark.browser
@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    os.environ.get("WSLAB_TEST_BINDER") != "1",
    reason="installs everything anew; set WSLAB_TEST_BINDER=1 (CI does)",
)
def test_the_course_runs_in_an_environment_made_from_binder(tmp_path, chromium, expect):
    checkout = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (PROJECT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)

    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    _run(_python_of_binder(), "-m", "venv", venv, cwd=tmp_path, env=env)
    env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env['PATH']}"
    pins = checkout / "binder" / "requirements.txt"
    _run(python, "-m", "pip", "install", "-qq", "-r", pins, cwd=checkout, env=env)
    _run("bash", checkout / "binder" / "postBuild", cwd=checkout, env=env)

    as_on_binder = {
        "PATH": env["PATH"],
        "PYTHONPATH": "",
        "JUPYTERHUB_SERVICE_PREFIX": BASE_URL,
        "BINDER_LAUNCH_HOST": "https://binder.example.org/",
    }
    with Lab(
        chromium, base_url=BASE_URL, env=as_on_binder, python=str(python), root=checkout
    ) as lab:
        with lab.open(FIRST_LESSON) as notebook:
            notebook.run_all()
            assert notebook.errors() == []
            assert notebook.not_run() == []
            assert notebook.console == []
        with lab.open(lab.write("proxied.ipynb", [PROXIED])) as notebook:
            notebook.run_all()
            url = notebook.text(0).strip()
            assert f"{BASE_URL}proxy/" in url
            assert notebook.page.evaluate(ECHO_IN_PAGE, url) == "hello"

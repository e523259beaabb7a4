"""`wslab lab`: what it hands to JupyterLab, and what that says."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.rig import WAIT_S, WSLAB, needs_posix
from tests.kernels import environment
from wslab.cli import course, lab
from wslab.cli.main import main


def test_its_kernels_say_which_cell_of_a_lesson_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = pytest.importorskip("jupyterlab.labapp").LabApp
    launched: list[str | None] = []
    monkeypatch.setattr(
        app, "launch_instance", lambda: launched.append(os.environ.get("PYTHONSTARTUP"))
    )
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    monkeypatch.setattr(os, "environ", mine)
    monkeypatch.setattr(logging.getLogger("ServerApp"), "filters", [])
    lab.jupyterlab()
    mine["PYTHONSTARTUP"] = "their own"
    lab.jupyterlab()
    first, second = launched
    assert first is not None
    assert Path(first).read_text().startswith('"""Run by IPython')
    assert second == "their own"


def test_a_clone_opens_its_own_notebooks(
    jupyter: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start_here.ipynb").write_text("{}")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(course, "PACKAGE", tmp_path / "wslab")
    assert main(["lab"]) == 0
    assert jupyter == [
        [
            *(sys.executable, "-P", "-c", "from wslab.cli.lab import jupyterlab; jupyterlab()"),
            f"--ServerApp.root_dir={tmp_path / 'notebooks'}",
            "--LabApp.default_url=/lab/tree/00_start_here.ipynb",
            lab.QUIET,
        ]
    ]


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["--no-browser", "--port", "8899"], ["--no-browser", "--port=8899"]),
        (["--port=8899"], ["--port=8899"]),
        (["--ip", "0.0.0.0", "--allow-root"], ["--ip", "0.0.0.0", "--allow-root"]),
        (["--no-brow"], ["--no-brow"]),
        (["--ServerApp.token=x", "--no-browser"], ["--no-browser", "--ServerApp.token=x"]),
        (["--", "--help", "--port", "x"], ["--help", "--port", "x"]),
        (["--debug", "--", "--dir"], ["--debug", "--dir"]),
    ],
)
def test_other_arguments_go_on_to_jupyter(
    jupyter: list[list[str]], packaged: Path, arguments: list[str], passed_on: list[str]
) -> None:
    assert main(["lab", *arguments]) == 0
    assert jupyter[0][6:] == [lab.QUIET, *passed_on]  # what comes later wins


def test_without_jupyterlab_it_names_the_extra(
    packaged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else real(name)
    )
    assert main(["lab"]) == 2
    assert "pip install 'wslab[lab]'" in capsys.readouterr().err
    assert not Path("wslab-course").exists()


@pytest.mark.parametrize("arguments", [[], ["--allow-root"], ["--ServerApp.allow_root=False"]])
def test_root_may_run_it_and_is_told(
    jupyter: list[list[str]],
    packaged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert main(["lab", *arguments]) == 0
    is_ours = not arguments
    assert jupyter[0][7:] == (["--allow-root"] if is_ours else arguments)
    assert ("started with --allow-root" in capsys.readouterr().out) is is_ours


def test_what_jupyter_always_warns_of_stands_below_no_address() -> None:
    def passes(level: int, text: str) -> bool:
        return lab.say_address_alone(logging.LogRecord("x", level, "", 0, text, (), None))

    usual = ["Notebook 00_start_here.ipynb is not trusted", "WARNING: over TCP without encryption"]
    assert not any(passes(logging.WARNING, text) for text in usual)
    assert passes(logging.WARNING, "wslab.tunnel could not tell kernels that it is here")
    assert passes(logging.ERROR, "Notebook x is not trusted: unreadable")


def leads_somewhere(address: str) -> bool:
    """Open it; Jupyter says its address a moment before it listens there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=WAIT_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError as exc:
            if not isinstance(exc.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@needs_posix
@pytest.mark.parametrize("arguments", [["--no-browser"], ["--no-browser", "--debug"]])
def test_the_address_stands_alone_and_once(
    packaged: Path, tmp_path: Path, arguments: list[str]
) -> None:
    own = {"HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = [*WSLAB, "lab", "--port", "0", "--dir", str(tmp_path / "course"), *arguments]
    with subprocess.Popen(
        command,
        env=environment(**own, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line.rstrip("\n"))
                if re.fullmatch(r"    https?://\S+", said[-1]):
                    break
            address = said[-1].strip()
            assert "/lab/tree/00_start_here.ipynb?token=" in address
            assert leads_somewhere(address)
        finally:
            process.terminate()  # once: a second one would ask nobody
            rest = process.communicate(timeout=WAIT_S)[0]
    if "--debug" not in arguments:
        text = "\n".join([*said, rest])
        assert text.count("http://") == 1, text
        assert said[-3:-1] == ["wslab: JupyterLab runs until Ctrl-C. Open", ""]
    assert process.returncode == 0


@needs_posix
def test_it_becomes_the_other_program() -> None:
    code = "import sys; from wslab.cli import lab; print('before'); lab.become(sys.argv[1:])"
    inner = "import os, sys; print(os.getpid()); sys.exit(7)"
    with subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, "-c", inner],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=WAIT_S)
    assert out == f"before\n{process.pid}\n"
    assert process.returncode == 7


def test_where_there_is_no_exec_the_childs_exit_code_is_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab, "CAN_EXEC", False)
    assert lab.become([sys.executable, "-c", "import sys; sys.exit(7)"]) == 7

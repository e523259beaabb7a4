"""The file in which Jupyter's server names its address, and what is installed beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.notebook.rig import (
    HUB,
    ZMQInteractiveShell,
    write_server_file,
)
from wslab.notebook import jupyter_server
from wslab.notebook.environment import Kind, detect

pytestmark = pytest.mark.usefixtures("on_a_plain_machine")


def test_jupyter_is_found_by_the_parent_process_where_the_variable_is_no_pid(
    tmp_path: Path,
) -> None:
    write_server_file(tmp_path, pid=os.getppid())
    here = detect({"JPY_PARENT_PID": "1784"}, ZMQInteractiveShell(), {})
    assert here.jupyter_origin == "http://localhost:8888"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 1}', '{"url": "x", "base_url": 1}'])
def test_a_broken_server_file_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "jpserver-4242.json").write_text(text)
    here = detect({"JPY_PARENT_PID": "4242"}, ZMQInteractiveShell(), {})
    assert (here.kind, here.can_reach_kernel) == (Kind.JUPYTER, None)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"jupyter_server_proxy", "jupyter_server"}, True),
        ({"jupyter_server"}, False),
        (set(), None),
    ],
)
def test_has_server_proxy(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], expected: bool | None
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: name if name in installed else None
    )
    assert detect(HUB, modules={}).has_server_proxy is expected


def test_the_real_runtime_folder_is_jupyters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/somewhere/runtime")
    assert jupyter_server._runtime_dir() == "/somewhere/runtime"

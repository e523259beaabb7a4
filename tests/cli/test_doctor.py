"""`wslab doctor` in a shell."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.rig import wslab


def test_doctor_exits_with_1_if_something_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    runtime = str(tmp_path)
    done = wslab("doctor", JUPYTER_RUNTIME_DIR=runtime)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.search(r"^works +handshake and echo +101", done.stdout, re.MULTILINE)
    done = wslab("doctor", JUPYTER_RUNTIME_DIR=runtime, HTTP_PROXY="http://u:pw9@192.0.2.1:1")
    assert done.returncode == 1
    assert "pw9" not in done.stdout

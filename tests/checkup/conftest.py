"""What no check of these tests shall see of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wslab.checkup import server as thrown_away


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Forget this machine's proxies, Hub and running Jupyter servers, and how busy it is."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("JUPYTERHUB_", "BINDER_", "JPY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(thrown_away, "LATE_S", 2.0)  # other tests may run at the same time

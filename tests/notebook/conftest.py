"""A machine that nothing is known of, and a shell without IPython."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.pretended import Shell
from wslab.notebook import cells, environment, jupyter_server, page
from wslab.notebook import shell as shells


@pytest.fixture
def on_a_plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget this machine: no noted page, no container, no Hub, no running Jupyter server."""
    monkeypatch.setattr(environment, "_is_container", lambda: False)
    monkeypatch.setattr(jupyter_server, "_runtime_dir", lambda: str(tmp_path))
    monkeypatch.delenv("JUPYTERHUB_PUBLIC_URL", raising=False)
    page._noted.clear()
    page._tried.clear()
    yield
    page._noted.clear()
    page._tried.clear()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr(shells, "running_shell", lambda: shell)
    monkeypatch.setattr(cells, "_things", {})
    monkeypatch.setattr(cells, "_records", {})
    monkeypatch.setattr(shells, "_heard_shells", set())
    monkeypatch.setattr(shells, "_has_cell_ended", False)
    return shell

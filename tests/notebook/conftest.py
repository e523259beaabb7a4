"""A machine that nothing is known of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wslab.notebook import environment, jupyter_server, page


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

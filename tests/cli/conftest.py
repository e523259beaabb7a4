"""Where `wslab lab` finds the course, and what it becomes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wslab.cli import course, lab


@pytest.fixture
def jupyter(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Catch the command that would become JupyterLab."""
    commands: list[list[str]] = []

    def become(command: list[str]) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(lab, "become", become)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    return commands


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A course as a wheel carries it, and no checkout; the current folder is empty."""
    packaged = tmp_path / "site-packages" / "wslab" / "_course"
    (packaged / "solutions" / "__pycache__").mkdir(parents=True)
    (packaged / ".ipynb_checkpoints").mkdir()
    (packaged / "00_start_here.ipynb").write_text("{}")
    (packaged / "solutions" / "00_start_here.py").write_text("x = 1\n")
    (packaged / "solutions" / "__pycache__" / "x.pyc").write_text("")
    (packaged / ".ipynb_checkpoints" / "x.ipynb").write_text("")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(course, "PACKAGE", packaged.parent)
    return packaged

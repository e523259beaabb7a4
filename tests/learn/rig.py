"""What the tests of the lessons share: the notebooks' cells and their solutions."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

COURSE = Path(__file__).resolve().parents[2] / "notebooks"


def solution(lesson: str) -> ModuleType:
    """Return the solutions of a lesson, as "02_frames"; run anew at each call."""
    spec = importlib.util.spec_from_file_location("solution", COURSE / "solutions" / f"{lesson}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(lesson: str) -> dict[str, str]:
    """Return the sources of a lesson's code cells by their ids."""
    document = json.loads((COURSE / f"{lesson}.ipynb").read_text())
    return {c["id"]: "".join(c["source"]) for c in document["cells"] if c["cell_type"] == "code"}

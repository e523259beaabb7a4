"""Every lesson in a real kernel, all its cells queued at once: none is lost, none fails.

tests/lab/test_course.py does the same in a real JupyterLab, where widgets and the console count.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from tests.kernels import Kernel, lost, run_with_nbclient
from tests.lab.harness import course

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

LESSONS = pytest.mark.parametrize("lesson", course(), ids=lambda path: path.stem)


@LESSONS
def test_run_all_runs_all(lesson: Path, tmp_path: Path):
    folder = tmp_path / "notebooks"  # never in place: a lesson may write a file
    shutil.copytree(lesson.parent, folder)
    cells = nbformat.read(lesson, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    with Kernel(cwd=folder) as kernel:
        ran = kernel.run_all(
            [cell.source for cell in code], cell_ids=[cell.id for cell in code], timeout=120
        )
        assert lost(ran) == []
        assert [cell.error for cell in ran if cell.error] == []
        assert kernel.shutdown() < 5


@LESSONS
def test_nbclient_runs_it(lesson: Path):
    document = run_with_nbclient(lesson, timeout=120)
    assert all(cell.execution_count for cell in document.cells if cell.cell_type == "code")

"""The course as a folder: found, copied, and never written over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.rig import files, needs_posix
from wslab.cli import course
from wslab.cli.course import copy_missing
from wslab.cli.main import main


def test_a_folder_beside_an_installed_package_is_no_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(course, "PACKAGE", tmp_path / "wslab")
    assert course.checkout() is None


def test_the_course_is_copied_once_and_says_so(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab"]) == 0
    course = Path("wslab-course").resolve()
    assert files(course) == ["00_start_here.ipynb", "solutions/00_start_here.py"]
    assert jupyter[0][4] == f"--ServerApp.root_dir={course}"
    assert capsys.readouterr().out == "wslab: the course is in wslab-course (2 files copied)\n"

    assert main(["lab"]) == 0
    assert capsys.readouterr().out == "wslab: the course is in wslab-course (nothing missing)\n"


def test_a_file_of_the_users_is_never_overwritten(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Path("my course")
    course.mkdir()
    (course / "00_start_here.ipynb").write_text("mine")
    (course / "notes.txt").write_text("mine, too")
    assert main(["lab", "--dir", "my course"]) == 0
    assert (course / "00_start_here.ipynb").read_text() == "mine"
    assert files(course) == ["00_start_here.ipynb", "notes.txt", "solutions/00_start_here.py"]
    assert capsys.readouterr().out == (
        "wslab: the course is in my course (1 file copied, left as they are: 1 that differ from "
        "this version's)\n"
    )


@needs_posix
def test_a_link_that_leads_nowhere_is_left_alone(packaged: Path) -> None:
    Path("wslab-course").mkdir()
    Path("wslab-course/00_start_here.ipynb").symlink_to("elsewhere.ipynb")
    assert copy_missing(packaged, Path("wslab-course")) == (1, 1)
    assert not Path("wslab-course/elsewhere.ipynb").exists()


@needs_posix
def test_read_only_files_of_a_wheel_become_writable_ones(packaged: Path) -> None:
    (packaged / "00_start_here.ipynb").chmod(0o444)
    copy_missing(packaged, Path("x"))
    assert Path("x/00_start_here.ipynb").stat().st_mode & 0o200


def test_a_copy_that_breaks_off_leaves_no_half_file(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(source: Path, target: Path) -> None:
        Path(target).write_text("ha")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", breaks_off)
        with pytest.raises(OSError, match="No space"):
            copy_missing(packaged, Path("x"))
    assert files(Path("x")) == []
    assert copy_missing(packaged, Path("x")) == (2, 0)


def test_a_folder_that_can_not_be_is_one_line(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    assert main(["lab", "--dir", "taken"]) == 2
    assert capsys.readouterr().err.startswith("wslab: the course can't be copied to taken: ")
    assert jupyter == []


def test_an_installation_without_a_course(
    jupyter: list[list[str]],
    packaged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(course, "PACKAGE", Path("elsewhere").resolve())
    assert main(["lab"]) == 2
    assert "carries no course" in capsys.readouterr().err

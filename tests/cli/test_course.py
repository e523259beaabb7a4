"""The course as a folder: found, copied, and never written over."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.rig import files, needs_git, needs_posix
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


LINK = "https://mybinder.org/v2/{}?urlpath=lab/tree/notebooks/00_start_here.ipynb\n"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one commit on `main`, without a remote."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(course, "PACKAGE", tmp_path / "wslab")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "symbolic-ref", "HEAD", "refs/heads/main")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(tmp_path, *identity, "commit", "--quiet", "--allow-empty", "--message=x")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def pushed(clone: Path, remote: str, branch: str = "main") -> None:
    git(clone, "remote", "add", "origin", remote)
    git(clone, "update-ref", f"refs/remotes/origin/{branch}", "HEAD")


@needs_git
@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/owner/repo", "gh/owner/repo/main"),
        ("https://github.com/owner/repo.git", "gh/owner/repo/main"),
        ("https://GitHub.com/owner/repo.js.git/", "gh/owner/repo.js/main"),
        ("https://me:hunter2@github.com/owner/repo.git", "gh/owner/repo/main"),
        ("https://hunter2@github.com/owner/repo", "gh/owner/repo/main"),
        ("git@github.com:owner/repo.git", "gh/owner/repo/main"),
        ("github.com:owner/repo", "gh/owner/repo/main"),
        ("ssh://git@github.com/owner/repo.git", "gh/owner/repo/main"),
        ("ssh://git@ssh.github.com:443/owner/repo.git", "gh/owner/repo/main"),
        ("git://github.com/owner/repo", "gh/owner/repo/main"),
        ("https://gitlab.com/group/repo.git", "gl/group%2Frepo/main"),
        ("git@gitlab.com:group/sub/repo.git", "gl/group%2Fsub%2Frepo/main"),
        ("https://github.com/owner/re%20po", "gh/owner/re%20po/main"),
    ],
)
def test_binder_link(
    clone: Path, remote: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, remote)
    assert main(["lab", "--binder-link"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (LINK.format(expected), "")


@needs_git
def test_binder_link_of_a_branch_that_is_not_pushed(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, "https://github.com/owner/repo")
    git(clone, "checkout", "--quiet", "-b", "feature/a&b")
    assert main(["lab", "--binder-link"]) == 0
    out, err = capsys.readouterr()
    assert out == LINK.format("gh/owner/repo/feature%2Fa%26b")
    assert "branch 'feature/a&b' is not at origin yet" in err


@needs_git
def test_binder_link_of_a_detached_head_names_the_commit(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, "https://github.com/owner/repo")
    git(clone, "checkout", "--quiet", "--detach")
    assert main(["lab", "--binder-link"]) == 0
    assert capsys.readouterr().out == LINK.format(
        f"gh/owner/repo/{git(clone, 'rev-parse', 'HEAD')}"
    )


@needs_git
@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://me:hunter2@git.example.org/owner/repo", "got git.example.org"),
        ("/srv/git/repo.git", "got a local path"),
        ("C:\\git\\repo", "got a local path"),
        ("https://github.com/repo", "expected 'origin' to name OWNER/REPOSITORY, got 'repo'"),
        ("https://github.com/a/b/c", "got 'a/b/c'"),
        (None, "no git clone with a remote 'origin'"),
    ],
)
def test_no_binder_link(
    clone: Path, remote: str | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if remote is not None:
        pushed(clone, remote)
    assert main(["lab", "--binder-link"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"wslab: [^\n]+\n", err)
    assert expected in err
    assert "hunter2" not in err

"""`wslab lab --binder-link`: from a clone's origin to Binder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.rig import needs_git
from wslab.cli import course
from wslab.cli.main import main

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

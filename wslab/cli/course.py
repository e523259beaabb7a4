"""The course as a folder: in a clone, in an installation, and copied to where a user works;
and the address that opens a clone's origin on Binder.

Its rule: what is missing is added, and a file of the user's is never overwritten.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .arguments import UserError, complain

__all__ = [
    "COPY_TO",
    "FIRST_LESSON",
    "PACKAGE",
    "binder_link",
    "checkout",
    "copy_missing",
    "course",
    "source",
]

PACKAGE = Path(__file__).resolve().parent.parent
FIRST_LESSON = "00_start_here.ipynb"
COPY_TO = "wslab-course"
NOT_COPIED = (".ipynb_checkpoints", "__pycache__")


def checkout() -> Path | None:
    """Return the clone that this package runs from (an editable install), or None."""
    root = PACKAGE.parent
    # Another package's `notebooks` may stand beside ours in site-packages, but no pyproject.toml.
    is_clone = (root / "notebooks").is_dir() and (root / "pyproject.toml").is_file()
    return root if is_clone else None


def _packaged_course() -> Path | None:
    """Return the course that a wheel carries, or None."""
    folder = PACKAGE / "_course"
    return folder if folder.is_dir() else None


def source() -> Path:
    """Return the folder that the course comes from: a clone's own, or what a wheel carries.

    Raises:
        UserError: there is none.
    """
    clone = checkout()
    found = clone / "notebooks" if clone is not None else _packaged_course()
    if found is None:
        raise UserError(
            "this installation carries no course; install wslab again, or run it from a clone of "
            "the project"
        )
    return found


def course(folder: str | None) -> Path:
    """Return the folder to open, with the course in it."""
    origin = source()
    if checkout() is not None and folder is None:
        return origin
    target = Path(folder).expanduser() if folder is not None else Path(COPY_TO)
    try:
        copied, kept = copy_missing(origin, target)
    except OSError as exc:
        raise UserError(
            f"the course can't be copied to {target}: {exc.strerror or exc}; choose another folder "
            "with --dir"
        ) from None
    said = [
        f"{copied} {'file' if copied == 1 else 'files'} copied" if copied else "nothing missing"
    ]
    if kept:
        said.append(f"left as they are: {kept} that differ from this version's")
    print(f"wslab: the course is in {target} ({', '.join(said)})")
    return target.resolve()


def copy_missing(source: Path, target: Path) -> tuple[int, int]:
    """Copy the files that are missing in ``target``; return how many, and how many differ."""
    copied = kept = 0
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_dir() or any(part in NOT_COPIED for part in relative.parts):
            continue
        copy = target / relative
        if os.path.lexists(copy):
            kept += not copy.is_file() or copy.read_bytes() != path.read_bytes()
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: half a file would be taken for a changed one the next time.
        part = copy.with_name(f".{copy.name}.part")
        try:
            shutil.copyfile(path, part)
            os.replace(part, copy)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        copied += 1
    return copied, kept


def binder_link(folder: Path) -> str:
    """Return the address that opens ``folder``'s origin on Binder, at its current branch."""
    from urllib.parse import quote

    remote = _git(folder, "remote", "get-url", "origin")
    if not remote:
        raise UserError(
            f"{folder} is no git clone with a remote 'origin', from which Binder could build; "
            "publish it on GitHub or GitLab first: git remote add origin URL"
        )
    host, path = _remote(remote)
    provider = {"github.com": "gh", "gitlab.com": "gl"}.get(host)
    if provider is None:
        raise UserError(
            f"expected 'origin' to be at github.com or gitlab.com, got {host or 'a local path'}; "
            "Binder's own page makes links for other places"
        )
    parts = path.split("/")
    if len(parts) < 2 or not all(parts) or (provider == "gh" and len(parts) != 2):
        raise UserError(f"expected 'origin' to name OWNER/REPOSITORY, got {path!r}")
    branch = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    ref = branch or _git(folder, "rev-parse", "HEAD")  # a detached HEAD: the commit itself
    if branch and not _git(
        folder, "rev-parse", "--quiet", "--verify", f"refs/remotes/origin/{ref}"
    ):
        complain(f"note: branch {ref!r} is not at origin yet; Binder sees only what is pushed")
    # GitLab's groups may be nested, so there the whole name is one segment.
    name = "/".join(quote(part, safe="") for part in parts)
    name = name if provider == "gh" else quote(path, safe="")
    return (
        f"https://mybinder.org/v2/{provider}/{name}/{quote(ref, safe='')}"
        f"?urlpath=lab/tree/notebooks/{FIRST_LESSON}"
    )


def _remote(remote: str) -> tuple[str, str]:
    """Split a git remote into host and path, without credentials, port and `.git`."""
    from urllib.parse import unquote

    found = re.fullmatch(r"(?:https?|ssh|git)://(?:[^/]*@)?([^/:@]+)(?::\d+)?/(.+)", remote)
    if found is None:  # the short form for ssh, user@host:path; C:\... is a local path
        found = re.fullmatch(r"(?:[^/@]+@)?([^/:@]{2,}):(?!//)(.+)", remote)
    if found is None:
        return "", ""
    host = found[1].lower().removeprefix("www.")
    host = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}.get(host, host)
    return host, unquote(found[2]).strip("/").removesuffix(".git")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except FileNotFoundError:
        raise UserError("git is not installed, so the clone's origin is not known") from None
    except subprocess.TimeoutExpired:
        raise UserError("git did not answer within 10 s") from None
    return done.stdout.strip() if done.returncode == 0 else ""

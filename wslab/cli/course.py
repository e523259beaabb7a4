"""The course as a folder: in a clone, in an installation, and copied to where a user works.

Its rule: what is missing is added, and a file of the user's is never overwritten.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .arguments import UserError

__all__ = ["COPY_TO", "FIRST_LESSON", "PACKAGE", "checkout", "copy_missing", "course"]

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


def course(folder: str | None) -> Path:
    """Return the folder to open, with the course in it."""
    clone = checkout()
    if clone is not None and folder is None:
        return clone / "notebooks"
    source = clone / "notebooks" if clone is not None else _packaged_course()
    if source is None:
        raise UserError(
            "this installation carries no course; install wslab again, or run it from a clone of "
            "the project"
        )
    target = Path(folder).expanduser() if folder is not None else Path(COPY_TO)
    try:
        copied, kept = copy_missing(source, target)
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

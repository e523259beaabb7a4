"""`wslab lab --binder-link`: the address that opens a clone's origin on Binder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .arguments import UserError, complain
from .course import FIRST_LESSON

__all__ = ["binder_link"]


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

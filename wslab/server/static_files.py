"""Files and folders that a server hands out, as the page for plain HTTP.

Its rule: nothing outside the folder, nothing hidden and nothing that is no plain file, whatever a
path or a link says. No ranges, no caching, and at most 16 MiB.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from websockets.http11 import Response

__all__ = ["MAX_FILE_SIZE_BYTES", "content_type", "find_file"]

MAX_FILE_SIZE_BYTES = 16 * 1024 * 1024

# The types of a web page, so that they don't depend on the machine's registry (on Windows
# `.js` is often registered as text/plain, which a browser refuses to run).
_TYPES = {
    ".css": "text/css",
    ".htm": "text/html",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
}
_ANSWERED_IN_UTF8 = ("application/json", "application/manifest+json", "image/svg+xml")


def find_file(root: Path, path: str, answer: Callable[..., Response]) -> Response | None:
    """Return the answer with a file, or with one file of a folder; None when there is none.

    Args:
        root: the file or the folder.
        path: of the request, still percent-encoded.
        answer: makes an answer of status, body and content type.
    """
    names = _segments(path)
    if names is None:
        return None
    try:
        if not root.is_dir():
            return _read(root.resolve(), answer) if path == "/" else None
        found = _inside(root, [name for name in names if name])
        if found is not None and found.is_dir():
            if names[-1]:
                from urllib.parse import quote

                # Relative, so that it also holds behind a proxy that cut off a prefix.
                return answer(307, "", fields={"Location": f"./{quote(names[-1])}/"})
            found = _inside(root, [*names[:-1], "index.html"])
        elif not names[-1]:
            return None
        return None if found is None else _read(found, answer)
    except (OSError, RuntimeError, ValueError):  # gone, not readable, a loop of links, too long
        return None


def _segments(path: str) -> list[str] | None:
    """Split a URL's path into the names of folders and a file; None when one is not plain.

    Refused are `..`, hidden names, separators and colons (also percent-encoded, and the ones
    of Windows), control characters and what is not UTF-8. The last one is "" for a folder.
    """
    from urllib.parse import unquote

    if not path.startswith("/"):
        return None
    try:
        names = [unquote(name, errors="strict") for name in path[1:].split("/")]
    except UnicodeDecodeError:
        return None
    if "" in names[:-1] or any(re.search(r"^\.|[/\\:\x00-\x1f\x7f]", name) for name in names):
        return None
    return names


def _inside(root: Path, names: list[str]) -> Path | None:
    """Return the real path of something that is under `root` after following every link."""
    real_root = root.resolve()
    real = real_root.joinpath(*names).resolve()
    if not real.is_relative_to(real_root):
        return None
    hidden = any(part.startswith(".") for part in real.relative_to(real_root).parts)
    return None if hidden or not real.exists() else real


def _read(path: Path, answer: Callable[..., Response]) -> Response | None:
    """Read a regular file up to the limit; a pipe or a device is not opened for long."""
    flags = os.O_RDONLY
    for flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):  # not all exist everywhere
        flags |= getattr(os, flag, 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        body = file.read(MAX_FILE_SIZE_BYTES + 1)
    if len(body) > MAX_FILE_SIZE_BYTES:
        limit_mib = MAX_FILE_SIZE_BYTES // 2**20
        return answer(403, f"This file is larger than {limit_mib} MiB, the most that is served.\n")
    return answer(200, body, content_type(path.name), csp="")


def content_type(path: str, default: str = "") -> str:
    """Guess a Content-Type by the ending of a file's or a URL's name."""
    import mimetypes

    suffix = os.path.splitext(path)[1].lower()
    kind, encoding = mimetypes.guess_type(f"x{suffix}") if suffix else (None, None)
    kind = _TYPES.get(suffix) or (None if encoding else kind)
    if kind is None:
        return default or "application/octet-stream"
    if kind.startswith("text/") or kind in _ANSWERED_IN_UTF8:
        return f"{kind}; charset=utf-8"
    return kind

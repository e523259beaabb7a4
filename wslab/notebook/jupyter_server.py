"""The Jupyter server that started this kernel, as far as its own file on this machine says.

Its rule: the file is read and the server not imported, which takes a good part of a second. A token
is in it: whoever reads it keeps what he needs, and no more.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .origins import checked_base_url, origin_of

__all__ = ["has_server_proxy", "jupyter_server", "server_files"]


def jupyter_server(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return base URL and origin of the Jupyter server that started this kernel; None if unknown.

    The origin is "" where a browser may see another one.
    """
    for info in server_files(environ):
        try:
            url = urlsplit(str(info["url"]))
            base_url = checked_base_url(info["base_url"])
        except (ValueError, KeyError):
            continue
        # A server that listens on every address writes its machine's name into the URL, which
        # need not be the name in the browser; then the two hosts in the file differ.
        origin = origin_of(url.geturl()) if url.hostname == info.get("hostname") else None
        return {"base_url": base_url, "origin": origin or ""}
    return None


def server_files(environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what the servers that may have started this kernel have written about themselves.

    These are the files that `jupyter_server.serverapp.list_running_servers` would find, and would
    delete if they are stale. Their names carry the server's process id: JPY_PARENT_PID, or on
    Windows, where that is a handle, the parent's.
    """
    import json

    for pid in (environ.get("JPY_PARENT_PID", ""), str(os.getppid())):
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            continue
        with contextlib.suppress(OSError, ImportError, ValueError):
            with open(os.path.join(_runtime_dir(), f"jpserver-{pid}.json"), "rb") as file:
                info = json.load(file)
            if isinstance(info, dict):
                yield info


def _runtime_dir() -> str:
    from jupyter_core.paths import jupyter_runtime_dir  # there wherever a kernel runs

    return jupyter_runtime_dir()


def has_server_proxy() -> bool | None:
    """Whether jupyter-server-proxy is installed here; None where no Jupyter server is."""
    from importlib.util import find_spec

    if find_spec("jupyter_server_proxy") is not None:
        return True
    return False if find_spec("jupyter_server") is not None else None

"""Shells, variables and files that stand for the environments that a notebook runs in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wslab.notebook.environment import Environment
from wslab.notebook.routes import routes_to

HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"}
PUBLIC = HUB | {"JUPYTERHUB_PUBLIC_URL": "https://Hub.Example.org:443/user/alice/"}
BINDER = {
    "JUPYTERHUB_SERVICE_PREFIX": "/user/demo-abc/",
    "BINDER_LAUNCH_HOST": "https://mybinder.org/",
    "BINDER_REF_URL": "https://example.org/demo/tree/1234",
}
ID = "0123456789abcdef" * 2


class ZMQInteractiveShell:
    """Stands for ipykernel's shell: only its name and its namespace count."""

    def __init__(self, **user_ns: Any) -> None:
        self.user_ns = user_ns


class TerminalInteractiveShell:
    user_ns: dict[str, Any] = {}


def write_server_file(folder: Path, pid: int | str = 4242, **changes: Any) -> dict[str, str]:
    """Write what jupyter_server writes about itself; return the kernel's environment."""
    info = {
        "base_url": "/",
        "hostname": "localhost",
        "password": False,
        "pid": 4242,
        "port": 8888,
        "root_dir": "/home/alice",
        "secure": False,
        "sock": "",
        "token": "a-secret-token",
        "url": "http://localhost:8888/",
        "version": "2.21.1",
    }
    (folder / f"jpserver-{pid}.json").write_text(json.dumps(info | changes))
    return {"JPY_PARENT_PID": "4242"}


def kinds(here: Environment, **kwargs: Any) -> list[str]:
    found = routes_to(8765, here=here, **kwargs)
    assert all(route.label for route in found)
    return [route.kind for route in found]

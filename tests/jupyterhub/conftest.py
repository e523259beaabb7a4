"""The Hub that the tests share, with its users; skipped with one line where it can't be had."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.browser import Sync
from tests.jupyterhub.rig import JupyterHub, User, what_is_missing

REQUIRED = os.environ.get("REQUIRE_JUPYTERHUB", "") not in ("", "0")


def need_jupyterhub() -> None:
    """Skip where there is no JupyterHub to be had; fail where REQUIRE_JUPYTERHUB is set."""
    if missing := what_is_missing():
        assert not REQUIRED, f"REQUIRE_JUPYTERHUB is set, but there is {missing}"
        pytest.skip(missing)


@pytest.fixture(scope="session")
def hub(chromium: Sync) -> Iterator[JupyterHub]:
    """A JupyterHub at /."""
    need_jupyterhub()
    with JupyterHub(chromium) as running:
        yield running


@pytest.fixture(scope="session")
def alice(hub: JupyterHub) -> User:
    """Her server and its pages."""
    return hub.user("alice")

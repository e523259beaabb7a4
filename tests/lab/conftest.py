"""The two labs that the tests share: at the root, and under a base URL as JupyterHub gives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Sync
from tests.lab.harness import Lab


@pytest.fixture(scope="session")
def lab(chromium: Sync) -> Iterator[Lab]:
    """JupyterLab at /."""
    with Lab(chromium) as running:
        yield running


@pytest.fixture(scope="session")
def hub_lab(chromium: Sync) -> Iterator[Lab]:
    """JupyterLab at /user/demo-abc/, where the kernel takes the place for a JupyterHub."""
    base_url = "/user/demo-abc/"
    env = {"JUPYTERHUB_SERVICE_PREFIX": base_url}
    with Lab(chromium, base_url=base_url, env=env) as running:
        yield running


@pytest.fixture(scope="session", params=["lab", "hub_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """Both, one after the other."""
    running: Lab = request.getfixturevalue(request.param)
    return running

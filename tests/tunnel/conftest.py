"""A real Jupyter server with the tunnel, for all files here; and a server of ours behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import wslab
from tests.jupyters import BASE_URL, TOKEN, Jupyter, as_kernel_of
from tests.tunnel.rig import ask, echo, host_of


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    server = Jupyter(
        tmp_path_factory.mktemp("jupyter"), "--ServerApp.jpserver_extensions=wslab.tunnel=True"
    )
    yield server
    server.close()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, jupyter: Jupyter) -> None:
    as_kernel_of(monkeypatch, jupyter)


@pytest.fixture
def victim(kernel: None) -> Iterator[wslab.Server]:
    with wslab.serve(echo, page="the page of ours") as server:
        assert server.tunnel_id
        yield server


@pytest.fixture(scope="package")
def cookie(jupyter: Jupyter) -> str:
    """The cookie of a user who has logged in, as a browser sends it."""
    answer = ask(jupyter, f"{BASE_URL}wslab/?token={TOKEN}", host=host_of(jupyter))
    pairs = re.findall(rb"(?mi)^set-cookie: ([^;\r]+)", answer)
    assert any(pair.startswith(b"username-") for pair in pairs), answer
    return "Cookie: " + "; ".join(pair.decode() for pair in pairs)

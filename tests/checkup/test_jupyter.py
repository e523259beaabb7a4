"""Through a real Jupyter server, with the tunnel, with its proxy and without."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import wslab
from tests.checkup.rig import at, found, names
from tests.jupyters import TOKEN, Jupyter
from wslab.checkup import jupyter as by_jupyter
from wslab.checkup.report import Finding
from wslab.notebook import environment


def test_a_hub_whose_server_is_not_found_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, environment.Kind.HUB)
    report = wslab.doctor()
    assert found(report, "through Jupyter").ok is None
    url = found(report, "URL for a browser")
    assert url.ok is None
    assert url.seen == "/user/demo-abc/proxy/PORT/ on the notebook's own host"


# Said aloud, since where wslab is installed it is enabled.
NO_TUNNEL = "--ServerApp.jpserver_extensions=wslab.tunnel=False"


@pytest.fixture(scope="module")
def with_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server_proxy")
    jupyter = Jupyter(
        tmp_path_factory.mktemp("with"),
        "--ServerApp.jpserver_extensions=jupyter_server_proxy=True",
        NO_TUNNEL,
    )
    yield jupyter
    jupyter.close()


@pytest.fixture(scope="module")
def without_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    jupyter = Jupyter(
        tmp_path_factory.mktemp("without"),
        "--ServerApp.jpserver_extensions=jupyter_server_proxy=False",
        NO_TUNNEL,
    )
    yield jupyter
    jupyter.close()


@pytest.fixture(scope="module")
def with_tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    jupyter = Jupyter(
        tmp_path_factory.mktemp("tunnel"),
        "--ServerApp.jpserver_extensions=wslab.tunnel=True",
        "--ServerApp.jpserver_extensions=jupyter_server_proxy=False",
    )
    yield jupyter
    jupyter.close()


def started_by(monkeypatch: pytest.MonkeyPatch, jupyter: Jupyter) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(jupyter.runtime))
    monkeypatch.setenv("JPY_PARENT_PID", str(jupyter.process.pid))


def test_an_echo_comes_through_jupyters_server(
    monkeypatch: pytest.MonkeyPatch, with_proxy: Jupyter
) -> None:
    started_by(monkeypatch, with_proxy)
    at(monkeypatch, environment.Kind.HUB)
    report = wslab.doctor()
    assert found(report, "through Jupyter").seen.startswith("an echo came through Jupyter's server")
    assert found(report, "URL for a browser").ok is True
    assert report.ok
    assert TOKEN not in str(report) + report._repr_html_()


def test_an_echo_comes_through_the_tunnel(
    monkeypatch: pytest.MonkeyPatch, with_tunnel: Jupyter
) -> None:
    """By a real handshake; then nobody misses jupyter-server-proxy."""
    started_by(monkeypatch, with_tunnel)
    at(monkeypatch, environment.Kind.HUB)
    report = wslab.doctor()
    assert found(report, "through the tunnel").seen.startswith("an echo came through Jupyter's")
    assert "not needed, since the tunnel carries" in found(report, "through Jupyter").seen
    url = found(report, "URL for a browser")
    assert url.ok is True
    assert url.seen == "/user/demo-abc/wslab/ID/ on the notebook's own host"
    assert report.ok
    assert TOKEN not in str(report) + report._repr_html_()


def test_a_missing_tunnel_is_said_with_the_command_that_enables_it(
    monkeypatch: pytest.MonkeyPatch, with_proxy: Jupyter
) -> None:
    started_by(monkeypatch, with_proxy)
    at(monkeypatch, environment.Kind.HUB)
    report = wslab.doctor()
    finding = found(report, "through the tunnel")
    assert finding.ok is None
    assert "jupyter-server-proxy stands in" in finding.seen
    assert "`jupyter server extension enable wslab.tunnel --sys-prefix`" in finding.advice
    assert found(report, "URL for a browser").seen.startswith("/user/demo-abc/proxy/PORT/")
    assert report.ok


def test_a_tunnel_that_says_it_is_there_and_is_not_is_found(
    monkeypatch: pytest.MonkeyPatch, without_proxy: Jupyter
) -> None:
    started_by(monkeypatch, without_proxy)
    at(monkeypatch, environment.Kind.HUB)
    monkeypatch.setattr("wslab.tunnel.tunnel_is_there", lambda: True)
    report = wslab.doctor()
    assert "404" in found(report, "through the tunnel").seen
    assert found(report, "URL for a browser").ok is False
    assert not report.ok


def test_a_hubs_own_token_is_tried_too(
    monkeypatch: pytest.MonkeyPatch, with_proxy: Jupyter
) -> None:
    started_by(monkeypatch, with_proxy)
    file = with_proxy.runtime / f"jpserver-{with_proxy.process.pid}.json"
    info = json.loads(file.read_text())
    monkeypatch.setenv("JPY_PARENT_PID", "")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", info["url"])
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    at(monkeypatch, environment.Kind.HUB)
    assert found(wslab.doctor(), "through Jupyter").ok is True
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "another")
    finding = found(wslab.doctor(), "through Jupyter")
    assert finding.ok is None
    assert "403" in finding.seen


def test_a_missing_server_proxy_is_found(
    monkeypatch: pytest.MonkeyPatch, without_proxy: Jupyter
) -> None:
    started_by(monkeypatch, without_proxy)
    at(monkeypatch, environment.Kind.BINDER)
    report = wslab.doctor()
    finding = found(report, "through Jupyter")
    assert finding.ok is False
    assert "404" in finding.seen
    assert "pip install jupyter-server-proxy" in finding.advice
    assert found(report, "URL for a browser").ok is False
    assert not report.ok


def test_a_missing_server_proxy_does_not_matter_on_ones_own_machine(
    monkeypatch: pytest.MonkeyPatch, without_proxy: Jupyter
) -> None:
    started_by(monkeypatch, without_proxy)
    at(monkeypatch, environment.Kind.JUPYTER, can_reach_kernel=True)
    report = wslab.doctor()
    assert found(report, "through Jupyter").ok is True
    assert "not needed" in found(report, "through Jupyter").seen
    assert report.ok


def test_a_jupyter_server_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at(monkeypatch, environment.Kind.HUB)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/user/demo-abc/"
        monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", url)
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
        began_s = time.monotonic()
        finding = found(wslab.doctor(), "through Jupyter")
        took_s = time.monotonic() - began_s
    assert finding.ok is False
    assert took_s < 6


@pytest.mark.parametrize(
    ("url", "hostname", "expected"),
    [
        ("http://localhost:8888/", "localhost", "ws://localhost:8888/"),
        ("http://box:8888/user/a/", "0.0.0.0", "ws://127.0.0.1:8888/user/a/"),
        ("http://0.0.0.0:8888/user/a", "", "ws://127.0.0.1:8888/user/a/"),
        ("https://[::1]:8888/", "::1", "wss://[::1]:8888/"),
        ("http+unix://%2Ftmp%2Fsock/", "", None),
        ("", "", None),
    ],
)
def test_where_jupyters_server_can_be_reached(url: str, hostname: str, expected: str) -> None:
    assert by_jupyter.reachable(url, hostname) == expected


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}', '{"url": "x"}'])
def test_a_spoilt_file_of_jupyters_is_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "jpserver-1.json").write_text(text)
    assert by_jupyter.find_jupyter({"JPY_PARENT_PID": "1"}) is None


def test_a_script_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, environment.Kind.SCRIPT, can_reach_kernel=True)
    report = wslab.doctor()
    assert found(report, "URL for a browser") == Finding(
        "URL for a browser", True, "ws://127.0.0.1:PORT/"
    )
    assert "through Jupyter" not in [finding.name for finding in report.findings]


def test_colab_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, environment.Kind.COLAB)
    assert names(wslab.doctor(), False) == ["URL for a browser"]

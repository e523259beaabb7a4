"""The doctor: what it finds by doing, how long it may take, and what it never shows."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wslab
from tests.jupyters import TOKEN, Jupyter
from tests.kernels import Kernel
from wslab import doctor as _function  # the name of the function hides the module's
from wslab.doctor import Finding, Report, at_least, minimums
from wslab.loops import portals
from wslab.notebook import cells, environment

module = sys.modules["wslab.doctor"]
VERSIONS = {
    "websockets": "17.4",
    "anywidget": "0.11.0",
    "ipywidgets": "8.1.9",
    "nest_asyncio2": "1.7.4",
    "ipykernel": "7.4.0",
    "jupyterlab": "4.6.6",
    "jupyter-server-proxy": "4.6.0",
    "uvloop": "0.23.0",
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Forget this machine's proxies, Hub and running Jupyter servers, and how busy it is."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("JUPYTERHUB_", "BINDER_", "JPY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(module, "LATE_S", 2.0)  # other tests may run at the same time


def found(report: Report, name: str) -> Finding:
    return next(finding for finding in report.findings if finding.name == name)


def names(report: Report, ok: bool | None) -> list[str]:
    return [finding.name for finding in report.findings if finding.ok is ok]


# What it does.


def test_all_is_well_and_nothing_stays_open() -> None:
    before = set(cells.things())
    report = wslab.doctor()
    assert names(report, False) == []
    assert report.ok
    assert found(report, "handshake and echo").seen.startswith("101 (open) after")
    assert found(report, "page over HTTP").seen.startswith("200 OK")
    assert found(report, "stop() frees the port").ok is True
    assert set(cells.things()) == before


def test_names_the_loop_in_use() -> None:
    kind = type(portals.lab().loop).__module__.partition(".")[0]
    seen = found(wslab.doctor(), "event loop").seen
    assert seen.startswith("uvloop" if kind == "uvloop" else "asyncio's own")


def test_works_where_a_loop_runs() -> None:
    async def cell() -> Report:
        await asyncio.sleep(0)
        return wslab.doctor()

    assert names(asyncio.run(cell()), False) == []


def test_refuses_on_the_labs_own_loop() -> None:
    async def handler() -> None:
        wslab.doctor()

    with pytest.raises(wslab.errors.WrongThread, match=r"asyncio\.to_thread\(wslab\.doctor\)"):
        wslab.run(handler)


def test_works_from_async_code_on_the_labs_loop_through_to_thread() -> None:
    report = wslab.run(asyncio.to_thread, wslab.doctor)
    assert names(report, False) == []


def test_a_held_loop_is_reported_with_its_holder_and_not_waited_for() -> None:
    let_go, held = threading.Event(), threading.Event()

    def sits_on_the_loop() -> None:
        held.set()
        let_go.wait(30)

    future = portals.lab().submit(sits_on_the_loop)
    try:
        assert held.wait(5)
        began_s = time.monotonic()
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
        future.result(5)
    assert not report.ok
    assert "sits_on_the_loop() at test_doctor.py" in found(report, "event loop").seen
    assert found(report, "handshake and echo").ok is None
    assert took_s < 4
    assert wslab.doctor().ok


def test_a_loop_that_hangs_in_the_middle_does_not_hang_the_doctor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = threading.Event()

    async def blocking_echo(websocket: Any) -> None:
        async for _ in websocket:
            let_go.wait(30)

    monkeypatch.setattr(module, "_echo", blocking_echo)
    began_s = time.monotonic()
    try:
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
    assert took_s < 10
    assert found(report, "handshake and echo").ok is False
    assert "blocking_echo() at test_doctor.py" in str(report).replace("\n", " ").replace("  ", "")
    assert found(report, "stop() frees the port").ok is False
    assert portals.lab().answers(5)  # the fixture asserts that nothing stays behind


def test_every_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    for name in ("_page", "_localhost", "_find_door", "_environment_proxies", "_packages"):
        monkeypatch.setattr(module, name, lambda *_: let_go.wait(30))
    began_s = time.monotonic()
    try:
        report = wslab.doctor()
        took_s = time.monotonic() - began_s
    finally:
        let_go.set()
    assert took_s < 10
    assert found(report, "page over HTTP").ok is False
    assert "no answer within 2.5 s" in found(report, "page over HTTP").seen
    assert found(report, "handshake and echo").ok is True


def test_a_server_that_comes_too_late_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, stopping = threading.Event(), threading.Event()
    late: list[wslab.Server] = []
    real_serve, real_begin_close = wslab.serve, wslab.Server.begin_close

    def slow_serve(*args: Any, **kwargs: Any) -> wslab.Server:
        let_go.wait(30)
        late.append(real_serve(*args, **kwargs))
        return late[0]

    def begin_close(server: wslab.Server, **kwargs: Any) -> Any:
        stopping.set()
        return real_begin_close(server, **kwargs)

    monkeypatch.setattr(module, "serve", slow_serve)
    monkeypatch.setattr(wslab.Server, "begin_close", begin_close)
    monkeypatch.setattr(module, "BUDGET_S", 1.0)
    report = wslab.doctor()
    assert found(report, "listen on 127.0.0.1").ok is False
    assert not stopping.is_set()
    let_go.set()
    assert stopping.wait(5), "nobody stopped it"
    late[0].stop()  # wait for that stop to end
    assert not late[0].is_serving


def test_a_refusal_to_listen_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "serve", refused)
    report = wslab.doctor()
    finding = found(report, "listen on 127.0.0.1")
    assert finding.ok is False
    assert finding.seen == "refused: Permission denied"
    assert "firewall" in finding.advice
    assert found(report, "handshake and echo").ok is None
    assert not report.ok


def test_an_incomplete_installation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = wslab.serve
    monkeypatch.setattr(module, "serve", lambda *a, **k: serve(*a, page=None, **k))
    finding = found(wslab.doctor(), "page over HTTP")
    assert finding.ok is False
    assert finding.seen.startswith("426 Upgrade Required")


def test_an_echo_that_comes_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.0)
    finding = found(wslab.doctor(), "answers while busy")
    assert finding.ok is False
    assert re.search(r"slowest echo \d+ ms .*; expected under 0 ms", finding.seen)


def test_an_echo_that_is_late_once_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    worst = module._worst_echo
    asked: list[str] = []

    async def late_once(url: str) -> float:
        asked.append(url)
        return 9.0 if len(asked) == 1 else await worst(url)

    monkeypatch.setattr(module, "_worst_echo", late_once)
    assert found(wslab.doctor(), "answers while busy").ok is True
    assert len(asked) == 2


def test_a_port_that_stays_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[socket.socket] = []
    stop = wslab.Server.stop

    def stop_and_take(server: wslab.Server, timeout: float = 5.0) -> None:
        stop(server, timeout)
        taken.append(socket.socket())
        taken[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken[0].bind(("127.0.0.1", server.port))
        taken[0].listen()

    monkeypatch.setattr(wslab.Server, "stop", stop_and_take)
    try:
        finding = found(wslab.doctor(), "stop() frees the port")
    finally:
        taken[0].close()
    assert finding.ok is False
    assert "in use" in finding.seen.lower()


# localhost and proxies.


def resolving_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    real = socket.getaddrinfo
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "localhost":
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_localhost_that_is_another_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "192.0.2.7")
    finding = found(wslab.doctor(), "localhost")
    assert finding.ok is False
    assert finding.seen == "means 192.0.2.7, which is not this machine"
    assert "127.0.0.1" in finding.advice


def test_localhost_that_does_not_reach_the_server_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(server: Any, url: str) -> Any:
        assert url.startswith("ws://localhost:")
        raise ConnectionRefusedError

    with wslab.serve(module._echo) as server:
        monkeypatch.setattr(module, "_echoes", refused)
        resolving_to(monkeypatch, "::1")
        finding = module._localhost(server)
    assert finding.ok is False
    assert finding.seen.startswith("means ::1; a server on 127.0.0.1 is not reached by it")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"])
def test_a_proxy_that_would_catch_loopback_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:hunter2@192.0.2.1:3128")
    finding = module._environment_proxies()
    caught = name.lower() != "all_proxy"  # which websockets does not heed
    assert finding.ok is not caught
    if caught:
        assert "NO_PROXY=localhost,127.0.0.1" in finding.advice
    assert "hunter2" not in f"{finding}"


def test_a_proxy_that_leaves_loopback_alone_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert module._environment_proxies().ok is True


def test_works_behind_a_proxy_that_catches_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    report = wslab.doctor()
    assert names(report, False) == ["environment proxies"]


# Places, and the way through Jupyter's server.


def at(monkeypatch: pytest.MonkeyPatch, kind: environment.Kind, **values: Any) -> None:
    here: dict[str, Any] = {
        "label": kind.value,
        "jupyter_base_url": "/user/demo-abc/",
        "jupyter_origin": None,
        "can_reach_kernel": False,
        "why": "a test says so",
        "has_server_proxy": None,
    } | values
    monkeypatch.setattr(environment, "detect", lambda: environment.Place(kind=kind, **here))


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
    assert module._reachable(url, hostname) == expected


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}', '{"url": "x"}'])
def test_a_spoilt_file_of_jupyters_is_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "jpserver-1.json").write_text(text)
    assert module._find_door({"JPY_PARENT_PID": "1"}) is None


# Nested loops and versions.


def test_the_old_nest_asyncio_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    monkeypatch.delattr(asyncio, "_nest_asyncio2", raising=False)
    finding = module._nesting()
    assert finding.ok is False
    assert "wslab.allow_nested_loops()" in finding.advice


def test_nest_asyncio2_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    monkeypatch.setattr(asyncio, "_nest_asyncio2", True, raising=False)
    assert module._nesting().ok is True


def judged(least: dict[str, str] | None = None, **changes: str | None) -> dict[str, Finding]:
    versions = VERSIONS | {name.replace("__", "-"): value for name, value in changes.items()}
    findings = module._judged(versions, least or {}, "3.11.9", ">=3.11")
    return {finding.name: finding for finding in findings}


def test_versions_that_are_well() -> None:
    assert all(finding.ok for finding in judged().values())


@pytest.mark.parametrize("version", ["1.7.1", "1.7.2", "1.7.4rc1", "1.6"])
def test_an_old_nest_asyncio2_beside_ipykernel_7_is_reported(version: str) -> None:
    finding = judged(nest_asyncio2=version)["nest_asyncio2"]
    assert finding.ok is False
    assert "beside ipykernel 7.4.0 it silently loses queued cells" in finding.seen
    assert "nest_asyncio2>=1.7.4" in finding.advice
    assert (
        "queued cells" not in judged(nest_asyncio2=version, ipykernel="6.29")["nest_asyncio2"].seen
    )


def test_what_is_old_or_not_installed() -> None:
    findings = judged({"websockets": "17"}, websockets="16.0", ipywidgets=None, uvloop=None)
    assert findings["websockets"].seen == "16.0; 17 or newer is needed"
    assert findings["websockets"].ok is False
    assert findings["ipywidgets"].ok is False
    assert findings["uvloop"].ok is True
    assert "not installed; the stock event loop does the same" in findings["uvloop"].seen


def test_an_old_python() -> None:
    first = module._judged({}, {}, "3.10.4", ">=3.11")[0]
    assert first.ok is False
    assert first.seen.endswith("3.11 or newer is needed")


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("17", "17", True),
        ("17.0", "17", True),
        ("17", "17.0.1", False),
        ("1.10", "1.9", True),
        ("1.7.4", "1.7.4", True),
        ("1.7.4rc1", "1.7.4", False),
        ("1.7.4.dev3", "1.7.4", False),
        ("1.7.5.dev3", "1.7.4", True),
        ("1.7.4.post1", "1.7.4", True),
        ("1.7.4+local", "1.7.4", True),
        ("v2.0", "1.9", True),
        ("unknown", "1", False),
    ],
)
def test_at_least(version: str, minimum: str, expected: bool) -> None:
    assert at_least(version, minimum) is expected


def test_minimums_are_read_from_requirement_strings() -> None:
    assert minimums(
        [
            "websockets>=17",
            "nest-asyncio2 (>=1.7.4)",
            "jupyterlab<5,>=4.1; extra == 'lab'",
            'uvloop>=0.21; (sys_platform != "win32") and extra == "fast"',
            "ipykernel>=7; extra == 'test'",
            "wslab[lab]; extra == 'test'",
            "anywidget",
            "",
        ]
    ) == {"websockets": "17", "nest-asyncio2": "1.7.4", "jupyterlab": "4.1", "uvloop": "0.21"}


def test_its_own_minimums_are_known_here() -> None:
    _, requirements = module._own_requirements()
    assert at_least(minimums(requirements)["nest-asyncio2"], "1.7.4")


# How it shows itself.

SAMPLE = Report(
    (
        Finding("event loop", True, "uvloop"),
        Finding("page <b>", False, "it said " + "no " * 40, "do this & that"),
        Finding("place", None, ""),
    )
)


def test_the_text_is_aligned_and_80_columns_wide() -> None:
    lines = str(SAMPLE).splitlines()
    assert re.fullmatch(r"wslab \S+: 1 of 3 work, 1 does not work, 1 is not known\.", lines[0])
    assert lines[2] == "works          event loop  uvloop"
    assert lines[3].startswith("does not work  page <b>    it said no no")
    assert lines[4].startswith(" " * 27 + "no no")
    assert " " * 27 + "-> do this & that" in lines
    assert lines[-1] == "not known      place"
    assert max(map(len, lines)) <= 80
    assert repr(SAMPLE) == str(SAMPLE)


def test_the_html_says_the_same_and_escapes_it() -> None:
    text = SAMPLE._repr_html_()
    assert "page &lt;b&gt;" in text
    assert "do this &amp; that" in text
    assert "<b>" not in text
    for state in ("works", "does not work", "not known"):
        assert f">{state}</td>" in text


def test_ok_is_false_only_for_what_does_not_work() -> None:
    assert not SAMPLE.ok
    assert Report((Finding("a", None, ""), Finding("b", True, ""))).ok


def test_secrets_and_the_home_folder_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("USERPROFILE", "/home/alice")
    visit = module._Visit()
    visit.secrets.add("abc123")
    visit.findings.append(
        Finding("x", False, "abc123 at /home/alice/x http://u:pw@h/?token=zz&a", "its token is")
    )
    (finding,) = visit.tidied()
    assert finding.seen == "[hidden] at ~/x http://[hidden]@h/?token=[hidden]&a"
    assert finding.advice == "its token is"


# In a kernel.


@pytest.mark.kernel
def test_in_cells_plain_and_awaiting() -> None:
    with Kernel(env={"JPY_PARENT_PID": ""}) as kernel:
        cells_ = kernel.run_all(
            [
                "import asyncio, wslab\n"
                "async def echo(ws):\n"
                "    async for message in ws: await ws.send(message)\n"
                "server = wslab.serve(echo); port = server.port\n"
                "report = wslab.doctor()\n"
                "other = wslab.serve(echo, name='other')\n"
                "print(server.is_serving, [f.name for f in report.findings if f.ok is False])",
                "await asyncio.sleep(0.01); report = wslab.doctor(); report",
                "print('JupyterLab' in str(report), len(wslab.notebook.cells.things()))",
            ]
        )
        assert [cell.status for cell in cells_] == ["ok"] * 3, [cell.error for cell in cells_]
        assert cells_[0].text == "True []\n"
        assert "<table" in cells_[1].results[0]["data"]["text/html"]
        assert cells_[2].text == "True 2\n"


def test_the_public_name_is_the_function() -> None:
    assert _function is wslab.doctor
    assert "doctor" in wslab.__all__

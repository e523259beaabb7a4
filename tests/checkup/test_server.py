"""What goes wrong with a server that is thrown away."""

from __future__ import annotations

import errno
import re
import socket
import threading
from typing import Any

import pytest

import wslab
from tests.checkup.rig import found
from wslab.checkup import doctor as examination
from wslab.checkup import server as thrown_away


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

    monkeypatch.setattr(thrown_away, "serve", slow_serve)
    monkeypatch.setattr(wslab.Server, "begin_close", begin_close)
    monkeypatch.setattr(examination, "BUDGET_S", 1.0)
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

    monkeypatch.setattr(thrown_away, "serve", refused)
    report = wslab.doctor()
    finding = found(report, "listen on 127.0.0.1")
    assert finding.ok is False
    assert finding.seen == "refused: Permission denied"
    assert "firewall" in finding.advice
    assert found(report, "handshake and echo").ok is None
    assert not report.ok


def test_an_incomplete_installation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = wslab.serve
    monkeypatch.setattr(thrown_away, "serve", lambda *a, **k: serve(*a, page=None, **k))
    finding = found(wslab.doctor(), "page over HTTP")
    assert finding.ok is False
    assert finding.seen.startswith("426 Upgrade Required")


def test_an_echo_that_comes_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrown_away, "LATE_S", 0.0)
    finding = found(wslab.doctor(), "answers while busy")
    assert finding.ok is False
    assert re.search(r"slowest echo \d+ ms .*; expected under 0 ms", finding.seen)


def test_an_echo_that_is_late_once_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    worst = thrown_away._worst_echo
    asked: list[str] = []

    async def late_once(url: str) -> float:
        asked.append(url)
        return 9.0 if len(asked) == 1 else await worst(url)

    monkeypatch.setattr(thrown_away, "_worst_echo", late_once)
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
    def refused(url: str) -> Any:
        assert url.startswith("ws://localhost:")
        raise ConnectionRefusedError

    with wslab.serve(thrown_away._echo) as server:
        monkeypatch.setattr(thrown_away, "handshake", refused)
        resolving_to(monkeypatch, "::1")
        finding = thrown_away.localhost(server)
    assert finding.ok is False
    assert finding.seen.startswith("means ::1; a server on 127.0.0.1 is not reached by it")

"""tap(): what it takes, and what running a cell again does."""

from __future__ import annotations

import pytest

import wslab
from tests import peers
from tests.notebook.pretended import Shell
from tests.taps.rig import echo
from wslab.errors import BadURL
from wslab.notebook import cells
from wslab.notebook import shell as shells


def test_it_reaches_for_the_target_only_when_somebody_asks():
    with wslab.tap("ws://127.0.0.1:1/") as tap:
        assert tap.is_serving
        assert not tap.errors


def test_it_takes_a_server_and_another_tap():
    with wslab.serve(echo) as server, wslab.tap(server) as first, wslab.tap(first) as second:
        with wslab.connect(second) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        assert [len(tape.messages) for tape in (server.tape, first.tape, second.tape)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"max_connections": 0}, ValueError),
        ({"headers": {"a\n": "b"}}, ValueError),
        ({"headers": {"a": 1}}, TypeError),
        ({"record": "yes"}, TypeError),
        ({"ssl": peers.client_tls()}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_what_could_not_work_is_refused_before_anything_starts(kwargs, error):
    with pytest.raises(error):
        wslab.tap("ws://feed.example/", **kwargs)
    with pytest.raises(BadURL):
        wslab.tap("https://feed.example/")
    assert not list(wslab.running())


def test_a_cell_that_runs_again_replaces_it_on_the_same_port(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(shells, "running_shell", lambda: shell)
    monkeypatch.setattr(shells, "_heard_shells", set())
    monkeypatch.setattr(cells, "_things", {})
    monkeypatch.setattr(cells, "_records", {})
    server = wslab.serve(echo)
    first = shell.run("A", lambda: wslab.tap(server))
    client = wslab.connect(first)
    second = shell.run("A", lambda: wslab.tap(server))
    assert (second.port, first.is_serving, first.replaced) == (first.port, False, True)
    peers.until(lambda: client.close_code == 1006)
    assert "replaces what this cell had started" in second.note
    with wslab.connect(second) as other:
        other.send("hello")
        assert other.recv(timeout=5) == "hello"
    kept = shell.run("B", lambda: wslab.tap(server, keep=True))
    shell.run("B", lambda: wslab.tap(server))
    assert kept.is_serving
    wslab.shutdown()

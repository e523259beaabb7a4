"""tap(): what it takes, and what running a cell again does."""

from __future__ import annotations

import pytest

import wslab
from tests import peers
from tests.taps.rig import echo
from wslab.errors import BadURL


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
